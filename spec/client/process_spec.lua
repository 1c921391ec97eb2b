-- The process around the client: its signals, forks, descriptors, environment and end.
-- Tests that may kill an interpreter run in a child, with the same Lua.

local driver = require "spec.support.driver"
local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local libcurl = require "spec.support.libcurl"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local uqpay = require "uqpay"

local body, http, lines = fixture.body, fixture.http, driver.lines
local failed, succeeded = fixture.failed, fixture.succeeded
local serve = faulty.serve
local unpack = table.unpack or unpack

-- The prelude of every child.
local function prelude()
  return ([[
    local uqpay = require "uqpay"
    local function client(changes)
      local options = { base_url = %q, ca_file = %q, token = %q, timeout = 60,
        retry_delay = 0.01, amounts = "string" }
      for name, value in pairs(changes or {}) do options[name] = value end
      return uqpay.new(options)
    end
    local function say(...)
      print(...)
      io.stdout:flush()
    end
    ]]):format(sandbox.url, sandbox.ca_file, sandbox.token)
end

-- The command that runs code in a child; the words before it belong to its environment.
-- Children end without closing their state: what they leave behind is no leak, though
-- LeakSanitizer cannot look into LuaJIT's memory and takes it for one.
local function command(code, ...)
  local words = { "env", "ASAN_OPTIONS=detect_leaks=0", "LUA_PATH=" .. package.path,
    "LUA_CPATH=" .. package.cpath, ... }
  words[#words + 1] = assert(os.getenv "UQPAY_LUA", "run by make spec")
  words[#words + 1] = "-e"
  words[#words + 1] = prelude() .. code
  return driver.command(unpack(words))
end

-- Runs code in a child to its end. Returns what it printed, and its exit status as the
-- shell tells it: above 128 for a signal.
local function run(code, ...)
  local text = driver.output(command(code, ...) .. " 2>&1; echo \"exit $?\"")
  local output, status = text:match "^(.-)exit (%d+)\n$"
  return output, tonumber(status), text
end

describe("Ctrl-C", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)
  after_each(faulty.stop)

  -- Is the process asleep? It has nothing to sleep in but the wait that is meant.
  local function asleep(pid)
    local file = assert(io.open("/proc/" .. pid .. "/stat"))
    local state = file:read "*a":match "^.*%) (%a)"
    file:close()
    return state == "S"
  end

  local function until_asleep(pid)
    for _ = 1, 12000 do
      if asleep(pid) then return end
      socket.sleep(0.005)
    end
    error "it never waits"
  end

  -- Starts a child that says "ready" before it waits, sends SIGINT while it does, and
  -- returns what it prints from then on, and its exit status.
  local function interrupt(code)
    local line = "sh -c 'echo $$; exec \"$@\"' sh " .. command(code)
    local pipe = assert(io.popen(line .. " 2>&1; echo \"exit $?\"", "r"))
    local pid = tonumber((pipe:read "*l"))
    assert.equal("ready", pipe:read "*l")
    until_asleep(pid)
    local start = socket.gettime()
    os.execute("kill -s INT " .. pid)
    local text = pipe:read "*a"
    pipe:close()
    assert.is_true(socket.gettime() - start < 30)
    local output, status = text:match "^(.-)exit (%d+)\n$"
    return output, tonumber(status)
  end

  local waits = {
    ["for an answer"] = {
      behaviour = { read = true, keep = true },
      code = [[local c = client { base_url = %q, on_request = function(info)
        if info.currency == "USD" and not Said then
          Said = true
          say "ready"
        end
      end }]],
    },
    ["for a retry"] = {
      behaviour = { read = true, send = http("", "503 Busy") },
      code = [[local c = client { base_url = %q, retry_delay = 50, retry_delay_max = 50,
        on_retry = function() say "ready" end }]],
    },
  }

  for name, wait in pairs(waits) do
    it("ends a call that waits " .. name .. ", and the program", function()
      local server = serve(wait.behaviour)
      local output, status = interrupt(wait.code:format(server.url) .. [[
        print("never", c:balance "USD")]])
      assert.matches("interrupted!", output, 1, true)
      assert.is_nil(output:find("never", 1, true))
      assert.equal(1, status)
    end)

    it("in a call that waits " .. name .. " can be caught; the client goes on", function()
      local server = serve(wait.behaviour, { read = true, send = http(body(7)) })
      local output, status = interrupt(wait.code:format(server.url) .. [[
        local ok, message = pcall(c.balance, c, "USD")
        say(ok, type(message), message)
        for n = 1, 2 do say(c:balance "USD".available_balance) end
        local stats = c:stats()
        say(stats.calls == 3, stats.succeeded == 2)
        c:close()]])
      local list = lines(output)
      assert.matches("^false\tstring\t.*interrupted!$", list[1])
      assert.same({ "7", "7", "true\ttrue" }, { list[2], list[3], list[4] })
      assert.equal(4, #list)
      assert.equal(0, status)
    end)
  end
end)

describe("SIGPIPE", function()
  before_each(function() sandbox.reset() end)
  after_each(faulty.stop)

  -- The lines on signals of /proc/self/status.
  local look = [[
    local fork = require "fork"
    local function signals()
      local text = ""
      for line in io.lines "/proc/self/status" do
        if line:find "^S%a+:%s+%x+$" then text = text .. line .. "\n" end
      end
      return text
    end
    local function pipe_bit(name)
      local digit = signals():match(name .. ":%s*%x*(%x)%x%x%x\n")
      return tonumber(digit, 16) % 2
    end
  ]]

  it("keeps its disposition and its mask, whatever happens", function()
    local server = serve({ read = true, send = http(body(1)), close = true },
      { reset = true }, { read = true, reset = true })
    local output, status = run(look .. "local url = '" .. server.url .. [['
      fork.default_pipe()
      local before = signals()
      local raw = client { base_url = url, max_retries = 0 }
      for n = 1, 4 do raw:balance "USD" end
      raw:close()
      local c = client()
      assert(c:balance "USD")
      c:balance "ZZZ"
      client { base_url = "https://127.0.0.1:1/api" }:balance "USD"
      c = nil
      collectgarbage()
      say(pipe_bit "SigIgn", pipe_bit "SigBlk", before == signals())]])
    assert.equal("0\t0\ttrue\n", output)
    assert.equal(0, status)
  end)

  -- A proxy lets TLS begin on a connection that it has closed already: what the client
  -- writes is answered with a reset. It has left an empty ServerHello behind, for which
  -- the client writes an alert, and that raises the signal. Newer versions of libcurl
  -- would not have it; the library that is preloaded would.
  it("does not kill when a server closes while we write", function()
    local server = serve { read = true,
      send = "HTTP/1.1 200 OK\r\n\r\n\22\3\3\0\4\2\0\0\0" }
    local library = os.getenv "UQPAY_OUT" .. "/fork.so"
    local output, status = run(look .. "local url = '" .. server.url .. [['
      fork.default_pipe()
      for n = 1, 20 do
        local c = client { proxy = url, max_retries = 0 }
        local _, _, err = c:balance "USD"
        if err.kind ~= "tls" and err.kind ~= "connect" then say(err.message) end
        c:close()
      end
      say("alive", pipe_bit "SigPnd", pipe_bit "ShdPnd")]], "LD_PRELOAD=" .. library)
    assert.equal("alive\t0\t0\n", output)
    assert.equal(0, status)
  end)

  it("that was pending before us is pending still", function()
    local output, status = run(look .. [[
      fork.pending_pipe()
      local before = signals()
      local c = client()
      assert(c:balance "USD")
      c:balance "ZZZ"
      c:close()
      local pending = pipe_bit "SigPnd" + pipe_bit "ShdPnd"
      say(pipe_bit "SigBlk", pending, before == signals())]])
    assert.equal("1\t1\ttrue\n", output)
    assert.equal(0, status)
  end)
end)

describe("a fork", function()
  before_each(function() sandbox.reset() end)

  -- The parent asks, forks, waits for the child, and asks again. The child does what it
  -- is told; what both print comes in this order.
  local function forked(child, options)
    local output, status, all = run(([[
      local fork = require "fork"
      local c = client(%s)
      say(c:balance "USD".available_balance)
      local pid = fork.fork()
      if pid == 0 then
        local inherited = c
        %s
      else
        say(fork.wait(pid))
        say(c:balance "SGD".available_balance)
        say(c:stats().connections == 1)
        c:close()
      end]]):format(options or "", child))
    assert.equal(0, status, all)
    return lines(output)
  end

  -- The connections on which requests came.
  local function connections()
    local list = {}
    for n, request in ipairs(sandbox.requests()) do list[n] = request.connection end
    return list
  end

  local ends = {
    ["_exit"] = "fork.leave(0)",
    ["os.exit"] = "os.exit(0)",
    ["os.exit, the state closed"] = "os.exit(0, true)",
    ["the end of its code"] = "",
    ["close()"] = "inherited:close() inherited:close() fork.leave(0)",
    ["a collection"] = "inherited, c = nil, nil collectgarbage() collectgarbage()"
      .. " fork.leave(0)",
  }

  for name, ending in pairs(ends) do
    for _, version in ipairs { "1.1", "2" } do
      it("leaves the parent its connection, HTTP/" .. version .. ", child ended by "
        .. name, function()
        local list = forked([[
          local value, message, err = inherited:balance "USD"
          say(value, err.kind, message == err.message and message ~= "", err.attempts)
          ]] .. ending, ("{ http_version = %q }"):format(version))
        assert.matches("^nil\tforked\ttrue\t", list[2])
        assert.same({ "5000.25", list[2], "exit\t0", "10000.00", "true" }, list)
        local used = connections()
        assert.equal(2, #used)
        assert.equal(used[1], used[2])
      end)
    end
  end

  it("leaves the child free to make a client of its own", function()
    local list = forked [[
      say(client():balance "XUSD".available_balance)
      say(select(2, inherited:balance "USD"))
      fork.leave(0)]]
    assert.equal("12345678901234567890.12", list[2])
    assert.matches("fork", list[3], 1, true)
    assert.same({ "exit\t0", "10000.00", "true" }, { list[4], list[5], list[6] })
    local used = connections()
    assert.equal(3, #used)
    assert.equal(used[1], used[3])
    assert.not_equal(used[1], used[2])
  end)

  it("counts before the first call as well, and so does one unknown to libc", function()
    for way, before in pairs { fork = "", clone = "c:balance 'USD'" } do
      local output = run(([[
        local fork = require "fork"
        local c = client()
        %s
        local pid = fork.%s()
        if pid == 0 then
          say(select(3, c:balance "USD").kind)
          say(client():balance "SGD".available_balance)
          say(select(3, c:balance "USD").kind)
          fork.leave(0)
        end
        fork.wait(pid)
        say(c:balance "USD".available_balance)]]):format(before, way))
      assert.equal("forked\n10000.00\nforked\n5000.25\n", output)
    end
  end)

  -- Both processes come back from the function, in the middle of the same call.
  local middles = {
    on_request = "{ on_request = split }", on_response = "{ on_response = split }",
    on_retry = "{ on_retry = split }",
    token = "{ token = function() split() return TOKEN end }",
  }

  for name, options in pairs(middles) do
    it("within " .. name .. ", in a call, leaves the call to the parent", function()
      sandbox.fault { kind = "html",
        match = { ["x-on-behalf-of"] = sandbox.sub_account } }
      local output, status, all = run(([[
        local fork = require "fork"
        local TOKEN, pid, armed = %q
        local function split()
          if armed and not pid then pid = fork.fork() end
        end
        local c = client(%s)
        assert(c:balance "USD")     -- there is a connection to be torn apart
        armed = true
        local balance, message, err = c:balance("USD", { on_behalf_of = %q })
        if pid == 0 then
          say(balance, (err or {}).kind)
          fork.leave(0)
        end
        fork.wait(pid)
        say(balance and balance.available_balance, message)]]):format(sandbox.token,
        options, sandbox.sub_account))
      assert.equal(0, status, all)
      assert.equal("nil\tforked\n111.11\tnil\n", output)
      assert.equal(3, #sandbox.requests())
    end)
  end
end)

describe("descriptors", function()
  before_each(function()
    sandbox.reset()
    -- clients of other specs must not give theirs back in the middle
    collectgarbage()
    collectgarbage()
  end)
  after_each(faulty.stop)

  -- The open ones, by number, and their flags.
  local function descriptors()
    local list, count = {}, 0
    for n = 0, 255 do
      local file = io.open("/proc/self/fdinfo/" .. n)
      if file then
        list[n] = file:read "*a":match "flags:%s*(%d+)"
        file:close()
        count = count + 1
      end
    end
    return list, count
  end

  local function count()
    local _, number = descriptors()
    return number
  end

  -- Newly opened descriptors, as lists of flags.
  local function new_ones(before)
    local list = {}
    for n, flags in pairs((descriptors())) do
      if not before[n] then list[#list + 1] = tonumber(flags, 8) end
    end
    return list
  end

  local function is_cloexec(flags)
    return math.floor(flags / tonumber("2000000", 8)) % 2 == 1
  end

  local function open_client(version)
    local client = fixture.client { http_version = version }
    succeeded(client:balance "USD")
    sandbox.fault { kind = "drop_before" }
    succeeded(client:balance "USD")
    return client
  end

  it("are not opened before the first call", function()
    local before = count()
    local client = fixture.client()
    assert.equal(before, count())
    client:close()
  end)

  it("of connection and poller are closed when a program is run", function()
    local before = descriptors()
    local client = open_client "1.1"
    local least = uqpay.info().poller == "poll" and 1 or 2    -- that one has none
    local closed, kept = 0, 0
    for _, flags in ipairs(new_ones(before)) do
      if is_cloexec(flags) then closed = closed + 1 else kept = kept + 1 end
    end
    assert.is_true(closed >= least, closed)
    assert.is_true(kept <= 2, kept)     -- a pair of sockets in which libcurl wakes itself
    client:close()
  end)

  local function dozens(make, finish)
    local before = count()
    for _ = 1, 30 do finish(make()) end
    collectgarbage()
    collectgarbage()
    assert.equal(before, count())
  end

  local function close(client) client:close() end
  local function forget() end

  for name, finish in pairs { ["close()"] = close, ["a collection"] = forget } do
    it("are given back by " .. name, function()
      dozens(function()
        local client = fixture.client()
        succeeded(client:balance "USD")
        return client
      end, finish)
    end)

    it("are given back by " .. name .. " after failures", function()
      local n = 0
      dozens(function()
        n = n + 1
        local changes = ({
          { base_url = "https://127.0.0.1:1/api" }, { base_url = sandbox.expired_url },
          { timeout = 0.01 }, { token = "nonsense" }, { proxy = "socks5://127.0.0.1:1" },
          { proxy = "http://127.0.0.1:1" },
        })[n % 6 + 1]
        if changes.timeout then sandbox.fault { kind = "delay", seconds = 0.05 } end
        changes.max_retries = 1
        local client = fixture.client(changes)
        assert.is_nil((client:balance "USD"))
        return client
      end, finish)
    end)
  end

  it("stay few, whatever fails on one client", function()
    local client = fixture.client { max_retries = 0 }
    succeeded(client:balance "USD")
    local before = count()
    for n = 1, 30 do
      sandbox.fault { kind = n % 2 == 0 and "drop_after" or "truncate" }
      client:balance "USD"
    end
    succeeded(client:balance "USD")
    assert.is_true(count() <= before + 1)
    client:close()
  end)

  -- A number that was ours is reused by the next descriptor that is opened. Here that is
  -- one with unread data.
  it("of others are not touched", function()
    local server = serve { send = "hello", keep = true }
    for _, order in ipairs {
      { kind = "drop_after" }, { kind = "truncate" }, { kind = "delay", seconds = 0.05 },
      { kind = "garbage", body = http(body(1)) },
    } do
      local client = fixture.client { max_retries = 0 }
      succeeded(client:balance "USD")
      sandbox.fault { order, order }
      client:balance("USD", { timeout = order.seconds and 0.02 })
      sandbox.reset()
      local others = {}
      for n = 1, 3 do
        others[n] = assert(socket.connect("127.0.0.1", server.port))
        assert.truthy(socket.select({ others[n] }, nil, 60)[1])
      end
      for _ = 1, 3 do succeeded(client:balance "USD") end
      for _, other in ipairs(others) do
        assert.equal("hello", other:receive(5))
        other:settimeout(0)
        assert.equal("timeout", select(2, other:receive(1)))
        assert.truthy(other:send "thanks")
        other:close()
      end
    end
  end)

  it("are given back when the name cannot be resolved", function()
    dozens(function()
      local client = fixture.client { max_retries = 0,
        base_url = "https://" .. ("a"):rep(64) .. ".invalid/api" }
      failed("dns", client:balance "USD")
      return client
    end, close)
  end)
end)

describe("the end of a program", function()
  before_each(function() sandbox.reset() end)

  local ends = {
    ["its last line"] = { 0, "" },
    ["a closed client"] = { 0, "c:close()" },
    ["os.exit"] = { 3, "os.exit(3)" },
    ["os.exit, the state closed"] = { 3, "os.exit(3, true)" },
    ["an error"] = { 1, "error 'the end'" },
    ["a collection"] = { 0, "c = nil collectgarbage()" },
    ["a client made last"] = { 0, "c = client()" },
    ["many clients"] = { 0, "Kept = {} for n = 1, 50 do Kept[n] = client() end" },
    ["a client in a loop of references"] = { 0,
      "local t = {} t.c = client { on_request = function() return t end } t.t = t" },
  }

  for name, case in pairs(ends) do
    it("is clean by " .. name, function()
      local output, status = run([[
        local c = client()
        say(c:balance "USD".available_balance)
        ]] .. case[2])
      assert.equal("5000.25\n", output:match "^[^\n]*\n")
      assert.equal(case[1], status, output)
      if case[1] ~= 1 then assert.equal("5000.25\n", output) end
    end)
  end

  it("is clean within a hook or a token function", function()
    for _, options in ipairs { "{ on_request = leave }", "{ on_response = leave }",
      "{ token = leave }", "{ on_retry = leave }" } do
      sandbox.fault { kind = "html" }
      local output, status = run(([[
        local function leave() os.exit(5) end
        client(%s):balance "USD"]]):format(options))
      assert.equal("", output)
      assert.equal(5, status)
      sandbox.reset()
    end
  end)
end)

describe("a client without references", function()
  before_each(function() sandbox.reset() end)

  it("is collected, with its hooks", function()
    local weak = setmetatable({}, { __mode = "v" })
    local function use()
      local client
      client = fixture.client { on_request = function() return client end }
      weak[1] = client
      succeeded(client:balance "USD")
      sandbox.fault { kind = "status", status = 403 }
      failed("permission", client:balance "USD")
    end
    use()
    for _ = 1, 3 do collectgarbage() end
    assert.is_nil(weak[1])
  end)

  it("is not collected in the middle of its call", function()
    local balance = succeeded(fixture.client {
      on_request = function() collectgarbage() collectgarbage() end,
      on_response = function() collectgarbage() collectgarbage() end,
      on_retry = function() collectgarbage() collectgarbage() end,
      token = function()
        collectgarbage()
        collectgarbage()
        return sandbox.token .. ""
      end,
    }:balance "USD")
    assert.equal(5000.25, balance.available_balance)
  end)
end)

describe("coroutines", function()
  before_each(function() sandbox.reset() end)

  it("may share a client, and each gets its own answers", function()
    local client = fixture.client { amounts = "string" }
    local amounts = { USD = "5000.25", SGD = "10000.00",
      XUSD = "12345678901234567890.12" }
    local threads = {}
    for currency, amount in pairs(amounts) do
      threads[#threads + 1] = coroutine.wrap(function()
        for _ = 1, 5 do
          local balance = succeeded(client:balance(currency))
          coroutine.yield(balance.currency == currency
            and balance.available_balance == amount)
        end
        return "done"
      end)
    end
    for _ = 1, 5 do
      for _, thread in ipairs(threads) do assert.is_true(thread()) end
    end
    for _, thread in ipairs(threads) do assert.equal("done", thread()) end
  end)

  it("may make a client and die; it works on", function()
    local client
    coroutine.wrap(function()
      client = fixture.client {
        on_request = function() collectgarbage() end,
        token = function() return sandbox.token end,
      }
      succeeded(client:balance "USD")
    end)()
    collectgarbage()
    collectgarbage()
    succeeded(client:balance "USD")
    coroutine.wrap(function() succeeded(client:balance "USD") end)()
  end)

  it("run the hooks of their own calls", function()
    local seen = {}
    local client = fixture.client { on_request = function()
      seen[#seen + 1] = coroutine.running() or "main"
    end }
    local thread = coroutine.create(function() return client:balance "USD" end)
    assert.is_true(coroutine.resume(thread))
    client:balance "USD"
    assert.equal(thread, seen[1])
    assert.not_equal(thread, seen[2])
  end)

  it("cannot be yielded from a hook: counted, and no harm done", function()
    local client = fixture.client {
      on_request = coroutine.yield, on_response = coroutine.yield,
    }
    local thread = coroutine.create(function() return client:balance "USD" end)
    local ok, balance = coroutine.resume(thread)
    assert.is_true(ok)
    assert.equal("dead", coroutine.status(thread))
    assert.equal(5000.25, balance.available_balance)
    assert.equal(2, client:stats().hook_errors)
  end)
end)

-- Where each of these names a server that must not be spoken to.
describe("proxies in the environment", function()
  before_each(function() sandbox.reset() end)
  after_each(faulty.stop)

  local names = { "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy",
    "ALL_PROXY" }

  local function with_proxies(code)
    local server = serve { read = true, send = http("", "407 Who?") }
    local words = { "-u", "no_proxy", "-u", "NO_PROXY" }
    for _, name in ipairs(names) do words[#words + 1] = name .. "=" .. server.url end
    local env = table.concat(words, " ")
    local output, status = driver.output(("env %s %s 2>&1"):format(env, command(code)))
    return output, status, server:requests()
  end

  it("are not used for http://, whose requests are readable", function()
    local output, _, seen = with_proxies(([[
      say(client { base_url = %q }:balance "USD".available_balance)
      say(client { base_url = %q, proxy = "" }:balance "USD".available_balance)
      ]]):format(sandbox.http_url, sandbox.http_url))
    assert.equal("5000.25\n5000.25\n", output)
    assert.equal(0, #seen)
  end)

  it("are not used with proxy = \"\"", function()
    local output, _, seen = with_proxies
      [[say(client { proxy = "" }:balance "USD".available_balance)]]
    assert.equal("5000.25\n", output)
    assert.equal(0, #seen)
  end)

  it("are used for https:// otherwise, for a tunnel that shows no secret", function()
    local output, _, seen = with_proxies
      [[say(select(3, client { max_retries = 0 }:balance "USD").kind)]]
    assert.equal("connect\n", output)
    assert.equal(1, #seen)
    assert.matches("^CONNECT ", seen[1])
    assert.is_nil(seen[1]:find("Bearer", 1, true))
    assert.is_nil(seen[1]:find("idempotency", 1, true))
    assert.equal(0, #sandbox.requests())
  end)

  it("give way to the option", function()
    local output, _, seen = with_proxies [[
      local c = client { proxy = "http://127.0.0.1:1", max_retries = 0 }
      say(select(3, c:balance "USD").kind)]]
    assert.equal("connect\n", output)
    assert.equal(0, #seen)
  end)
end)

describe("the user's or the system's configuration", function()
  before_each(function() sandbox.reset() end)

  -- A directory with files, for as long as the spec runs.
  local function directory(files)
    local dir = driver.directory "home"
    finally(function() os.execute(driver.command("rm", "-rf", dir)) end)
    for name, text in pairs(files) do
      local file = assert(io.open(dir .. "/" .. name, "w"))
      file:write(text)
      file:close()
    end
    return dir
  end

  it("that allows TLS 1.0 and 1.1 allows us none", function()
    local dir = directory { cnf = [[
      openssl_conf = init
      [init]
      ssl_conf = ssl
      [ssl]
      system_default = defaults
      [defaults]
      MinProtocol = TLSv1
      CipherString = ALL:@SECLEVEL=0
    ]] }
    -- the command line shows that the server would be spoken to
    local curl = driver.output(driver.command("env", "OPENSSL_CONF=" .. dir .. "/cnf",
      "curl", "-q", "-s", "--noproxy", "*", "--tlsv1.0", "--cacert", sandbox.ca_file,
      "-d", "{}", sandbox.old_tls_url))
    assert.matches("route not found", curl, 1, true)
    local code = ("say(select(3, client { base_url = %q }:balance 'USD').kind)"):format(
      sandbox.old_tls_url)
    assert.equal("tls\n", run(code, "OPENSSL_CONF=" .. dir .. "/cnf"))
    assert.equal(1, #sandbox.requests())
  end)

  it("in .netrc and .curlrc changes nothing", function()
    local home = directory {
      [".netrc"] = "machine 127.0.0.1 login netrc password netrc\n",
      [".curlrc"] = "insecure\nheader = \"x-evil: 1\"\n",
    }
    local output = run([[say(client():balance "USD".available_balance)]], "HOME=" .. home)
    assert.equal("5000.25\n", output)
    local headers = sandbox.requests()[1].headers
    assert.is_nil(headers.authorization)
    assert.is_nil(headers["x-evil"])
  end)
end)

describe("the module", function()
  local path = package.searchpath and package.searchpath("uqpay", package.cpath)
    or (os.getenv "UQPAY_OUT" or "build/5.4") .. "/uqpay.so"

  it("shows its two entries and no other symbol", function()
    local output = driver.output(driver.command("nm", "-D", "--defined-only", path))
    local names = {}
    for line in output:gmatch "[^\n]+" do
      names[#names + 1] = line:match "(%S+)$":gsub("@.*", "")
    end
    table.sort(names)
    assert.same({ "luaopen_uqpay", "luaopen_uqpay_internal" }, names)
  end)

  it("writes no global variable", function()
    local output = run [[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      package.loaded.uqpay = nil
      local again = require "uqpay"
      local c = client()
      assert(c:balance "USD")
      c:close()
      for name in pairs(_G) do if not before[name] then say(name) end end
      say(type(again.new))]]
    assert.equal("function\n", output)
  end)

  it("can be loaded twice in a process, and each works", function()
    local output, status = run [[
      local one = require "uqpay"
      package.loaded.uqpay = nil
      local two = require "uqpay"
      local c = client()
      assert(c:balance "USD")
      say(one._VERSION == two._VERSION)]]
    assert.equal("true\n", output)
    assert.equal(0, status)
    assert.equal(uqpay._VERSION, require "uqpay"._VERSION)
  end)
end)

-- A program closes a Lua state, and with it unloads the module, while a thread of libcurl
-- looks a name up: it continues in the library's code.
describe("a state that is closed with a look-up under way", function()
  it("leaves the module in memory, and does not affect the program", function()
    local code = ([[
      package.cpath = %q
      local fork = require "fork"
      local function count(path, pattern)
        local n = 0
        for line in io.lines(path) do if line:find(pattern) then n = n + 1 end end
        return n
      end
      local function threads()
        local text = ""
        for line in io.lines "/proc/self/status" do text = text .. line .. "\n" end
        return tonumber(text:match "Threads:%%s*(%%d+)")
      end
      print(count("/proc/self/maps", "/uqpay%%.so") > 0)
      for n = 1, 3 do
        fork.state(([=[
          package.cpath = %%q
          local uqpay = require "uqpay"
          local client = uqpay.new { base_url = "https://nobody.invalid", token = "t" }
          Call = client:start_balance "USD"
          client:step(0)
        ]=]):format(package.cpath))
      end
      print(count("/proc/self/maps", "/uqpay%%.so") > 0, threads() > 1)
      local ends = os.time() + 60
      while threads() > 1 do
        assert(os.time() < ends)
        require "socket".sleep(0.01)
      end
      print "alive"
    ]]):format(package.cpath)
    local text = driver.output(driver.command("env", "ASAN_OPTIONS=detect_leaks=0",
      "UQPAY_WRAP=" .. driver.preload "fork", os.getenv "UQPAY_LUA", "-e", code)
      .. " 2>&1; echo \"exit $?\"")
    local under_way = text:match "^false\ntrue\t(%a+)\nalive\nexit 0\n$"
    assert.is_string(under_way, text)
    -- before 7.87 libcurl waits for its thread; from 8.20 on it ends the idle ones with
    -- the client, and this look-up may be over by then
    if not libcurl.at_least(8, 20) then
      assert.equal(tostring(libcurl.at_least(7, 87)), under_way)
    end
  end)
end)

-- Every way in which a Lua program comes to have a child.
describe("a child", function()
  before_each(function() sandbox.reset() end)

  for _, version in ipairs { "1.1", "2" } do
    it("leaves the calls in flight to the parent, HTTP/" .. version, function()
      sandbox.fault { kind = "delay", seconds = 0.1, times = 3 }
      local output, status, all = run(([[
        local fork = require "fork"
        local c = client { http_version = %q }
        local currencies, calls = { "USD", "SGD", "XUSD" }, {}
        assert(c:balance "USD", "a connection is open")
        for n, currency in ipairs(currencies) do calls[n] = c:start_balance(currency) end
        for n = 1, 3 do c:step(0) end
        local pid = fork.fork()
        if pid == 0 then
          c:step(0.2)
          local ready = 0
          for call in function() return c:ready() end do ready = ready + 1 end
          for _, call in ipairs(calls) do
            assert(call:step())
            say(select(3, call:result()).kind, ready)
          end
          say(client():balance "SGD".available_balance)
          c, calls = nil, nil
          collectgarbage()
          os.exit(0, true)
        end
        say(fork.wait(pid))
        for _, call in ipairs(calls) do
          while not call:step() do c:step(1) end
          say(call:result().available_balance)
        end
        say(c:stats().retries)]]):format(version))
      assert.equal(0, status, all)
      local first = ("forked\t3\n"):rep(3) .. "10000.00\nexit\t0\n"
      assert.equal(first .. "5000.25\n10000.00\n12345678901234567890.12\n0\n", output)
    end)
  end

  local look = [[
    local fork = require "fork"
    local function kind(c) return (select(3, c:balance "USD") or {}).kind or "ok" end
    local function child(f)
      local pid = fork.fork()
      if pid == 0 then
        f()
        fork.leave(0)
      end
      local how, code = fork.wait(pid)
      if code ~= 0 then say(how, code) end
    end
  ]]

  it("and its child each reject what they inherited, and not what they made", function()
    local output = run(look .. [[
      local one = client()
      say(kind(one))
      child(function()
        local two = client()
        say(kind(one), kind(two))
        child(function()
          local three = client()
          say(kind(one), kind(two), kind(three))
        end)
        say(kind(one), kind(two))
      end)
      child(function() say(kind(one), kind(client())) end)
      say(kind(one))]])
    assert.equal("ok\nforked\tok\nforked\tforked\tok\nforked\tok\n"
      .. "forked\tok\nok\n", output)
  end)

  it("is no stranger to what was made before the module was loaded, or after", function()
    local output = run([[
      package.loaded.uqpay = nil
      uqpay = require "uqpay"
      ]] .. look .. [[
      child(function() say(kind(client())) end)
      local c
      child(function()
        package.loaded.uqpay = nil
        uqpay = require "uqpay"
        c = client()
        say(kind(c))
      end)
      c = client()
      child(function() say(kind(c)) end)
      say(kind(c))]])
    assert.equal("ok\nok\nforked\nok\n", output)
  end)

  it("of a coroutine, by a fork within it, is one as well", function()
    local output = run(look .. [[
      local c = client()
      say(kind(c))
      coroutine.wrap(function()
        child(function() coroutine.wrap(function() say(kind(c)) end)() end)
      end)()
      say(kind(c))]])
    assert.equal("ok\nforked\nok\n", output)
  end)

  -- LuaJIT's programs need no library for it.
  it("by LuaJIT's ffi is one as well", function()
    if not rawget(_G, "jit") then return pending "not LuaJIT" end
    local output = run [[
      local ffi = require "ffi"
      ffi.cdef "int fork(void); void _exit(int); int waitpid(int, int *, int);"
      local c = client()
      assert(c:balance "USD")
      local pid = ffi.C.fork()
      if pid == 0 then
        say(select(3, c:balance "USD").kind)
        ffi.C._exit(0)
      end
      ffi.C.waitpid(pid, nil, 0)
      say(c:balance "USD".available_balance)]]
    assert.equal("forked\n5000.25\n", output)
  end)

  it("that runs another program disturbs no call, nor its client", function()
    for _, version in ipairs { "1.1", "2" } do
      sandbox.reset()
      sandbox.fault { kind = "delay", seconds = 0.05, times = 2 }
      local output, status, all = run(([[
        local c = client { http_version = %q, max_retries = 0 }
        local first = c:start_balance "USD"
        c:step(0.01)
        os.execute "true"
        local pipe = io.popen("cat", "w")
        c:step(0.01)
        local second = c:start_balance "SGD"
        c:step(0.01)
        pipe:close()
        local from = io.popen "echo from"
        assert(from:read "*l" == "from")
        for _, call in ipairs { first, second } do
          while not call:step() do c:step(1) end
          say(assert(call:result()).available_balance)
        end
        from:close()
        say(c:balance "USD".available_balance)]]):format(version))
      assert.equal(0, status, all)
      assert.equal("5000.25\n10000.00\n5000.25\n", output)
    end
  end)
end)

describe("a program with calls in flight", function()
  before_each(function() sandbox.reset() end)

  local ends = {
    ["its last line"] = { 0, "" },
    ["os.exit"] = { 3, "os.exit(3)" },
    ["os.exit, the state closed"] = { 3, "os.exit(3, true)" },
    ["an error"] = { 1, "error 'the end'" },
    ["close()"] = { 0, "c:close()" },
    ["a collection of the client"] = { 0, "c = nil collectgarbage() collectgarbage()" },
    ["a collection of all"] = { 0, "c, calls = nil, nil collectgarbage()" },
    ["a loop that is left"] = { 0,
      "for q in c:batch({ 'SGD', 'USD', 'XUSD' }) do break end" },
  }

  for name, case in pairs(ends) do
    for _, version in ipairs { "1.1", "2" } do
      it("ends well by " .. name .. ", HTTP/" .. version, function()
        sandbox.fault { kind = "delay", hold = true, times = 3,
          match = { ["x-on-behalf-of"] = sandbox.sub_account } }
        local output, status = run(([[
          local c = client { http_version = %q }
          assert(c:balance "USD")
          local calls = {}
          for n = 1, 3 do calls[n] = c:start_balance("USD", { on_behalf_of = %q }) end
          for n = 1, 3 do c:step(0.01) end
          say "in flight"
          %s]]):format(version, sandbox.sub_account, case[2]))
        assert.equal(case[1], status, output)
        assert.equal("in flight\n", output:match "^[^\n]*\n")
        if case[1] ~= 1 then assert.equal("in flight\n", output) end
      end)
    end
  end
end)

describe("a client in its own hooks", function()
  before_each(function() sandbox.reset() end)

  local hooks = { "on_request", "on_response", "on_retry", "token", "progress" }
  local actions = {
    "c:balance 'SGD'", "c:balance { currency = 'USD', timeout = 0.5 }",
    "c:start_balance 'USD'", "Kept = c:start_balance 'USD' Kept:step() c:step(0.01)",
    "c:step(0)", "c:step(0.01)", "c:ready()", "c:pollfd()", "c:events()", "c:timeout()",
    "c:stats()", "tostring(c)", "c:token()", "c:invalidate_token()",
    "c:balances { page_size = 10 }",
    "for _ in c:each_balance() do end",
    "for _ in c:batch { 'SGD', 'USD' } do end",
    "Call:cancel()", "Call:step()", "Call:result()", "Call:done()", "c:close()",
    "Call = nil c = nil collectgarbage()",
    "coroutine.wrap(function() c:balance 'USD' end)()",
    "error {}", "error()", "coroutine.yield()", "collectgarbage() collectgarbage()",
  }

  for _, hook in ipairs(hooks) do
    it("does no harm, whatever it does: " .. hook, function()
      local output, status, all = run(([=[
        local TOKEN
        hook, TOKEN = %q, %q
        local load = loadstring or load
        local styles = {
          function() return c:balance "USD" end,
          function()
            Call = c:start_balance "USD"
            local call = Call
            for _ = 1, 6000 do
              if call:step() then return call:result() end
              c:step(0.01)
            end
            error "it never ends"
          end,
          function()
            local options = hook == "progress" and { progress = Within } or nil
            for _, balance, message, err in c:batch({ "USD" }, options) do
              if balance then return balance end
              return balance, message, err
            end
          end,
        }
        for _, action in ipairs { %s } do
          for n, style in ipairs(styles) do
            local within, ran = load("local c = c; " .. action), 0
            function Within()
              if ran < 3 then
                ran = ran + 1
                if hook == "token" then pcall(within) return TOKEN end
                within()
              end
              return TOKEN
            end
            local options = { retry_delay = 0.001, retry_delay_max = 0.001, timeout = 20 }
            if hook ~= "progress" then options[hook] = Within end
            if hook == "on_retry" then
              options.base_url = "https://127.0.0.1:1/api"
              options.max_retries = 1
            end
            c = client(options)
            local mine = c
            local ok, balance, message, err = pcall(style)
            if ok and balance == nil and message ~= nil then
              if type(message) ~= "string" or type(err.kind) ~= "string" then
                say("odd results", action, n, message)
              end
            elseif ok and balance and balance.available_balance ~= "5000.25" then
              say("odd balance", action, n, balance.available_balance)
            elseif not ok and not tostring(balance):find "closed"
              and not tostring(balance):find "nil value" then
              say("odd error", action, n, balance)
            end
            local alive, later, why = pcall(mine.balance, mine, "SGD", { timeout = 20 })
            if alive and not later and hook ~= "on_retry" then
              say("no more", action, n, why)
            end
            mine:close()
            Call, Kept = nil, nil
          end
        end
        say "whole"]=]):format(hook, sandbox.token,
        "[[" .. table.concat(actions, "]], [[") .. "]]"))
      assert.equal("whole\n", output, all)
      assert.equal(0, status)
    end)
  end
end)

describe("the collector", function()
  before_each(function() sandbox.reset() end)

  it("at its most eager, in every hook and between, takes nothing in use", function()
    sandbox.fault { { kind = "html", skip = 2 }, { kind = "drop_after", skip = 5 },
      { kind = "status", status = 400, skip = 8 } }
    local output, status, all = run(([[
      if jit then jit.off() end
      require "spec.support.collector".eager()
      local function all() collectgarbage() collectgarbage() end
      debug.sethook(function() collectgarbage "step" end, "", 100)
      local c = client { on_request = all, on_response = all, on_retry = all,
        token = function() all() return %q end, app_info = { name = "x" } }
      local good, bad = 0, 0
      local function count(balance, message, err)
        if balance then good = good + 1 return end
        assert(type(message) == "string" and err.kind)
        all()
        assert(tostring(err) == err.message)
        bad = bad + 1
      end
      for n = 1, 6 do
        count(c:balance(n %% 2 == 0 and "USD" or "SGD"))
        all()
      end
      local calls = {}
      for n = 1, 6 do calls[n] = c:start_balance { currency = "XUSD" } end
      for _, call in ipairs(calls) do
        while not call:step() do c:step(1) end
        count(call:result())
      end
      for _, balance, message, err in c:batch({ "USD", "SGD", "ZZZ" },
        { progress = all }) do count(balance, message, err) end
      for item in c:each_balance() do assert(item.currency) end
      for item in c:each_account() do assert(item.account_id) end
      c = nil
      all()
      say(good, bad)]]):format(sandbox.token))
    assert.equal(0, status, all)
    assert.equal("13\t2\n", output)
  end)
end)

describe("call objects and iterators", function()
  before_each(function() sandbox.reset() end)

  it("pass from coroutine to coroutine", function()
    local client = fixture.client()
    local call
    coroutine.wrap(function() call = client:start_balance "SGD" end)()
    collectgarbage()
    local done = false
    while not done do
      client:step(0.1)
      coroutine.wrap(function() done = call:step() end)()
      collectgarbage()
    end
    coroutine.wrap(function()
      assert.equal(10000, succeeded(call:result()).available_balance)
    end)()

    local currencies, seen = { "USD", "SGD", "XUSD" }, {}
    local iterate
    coroutine.wrap(function() iterate = client:batch(currencies) end)()
    for n = 1, 4 do
      coroutine.wrap(function()
        local query, balance = iterate()
        if query then seen[query] = balance.available_balance end
        assert.equal(n == 4, query == nil)
      end)()
      collectgarbage()
    end
    assert.same({ USD = 5000.25, SGD = 10000, XUSD = 12345678901234567890.12 }, seen)

    local items, n = nil, 0
    coroutine.wrap(function() items = client:each_balance() end)()
    repeat
      local item
      coroutine.wrap(function() item = items() end)()
      if item then n = n + 1 end
    until item == nil
    assert.equal(#sandbox.balances(), n)
  end)
end)
