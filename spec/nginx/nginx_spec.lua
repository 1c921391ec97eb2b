-- resty.uqpay within real nginx servers, of one and two workers.

local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

if not rawget(_G, "jit") then
  describe("within nginx", function()
    pending "nginx's Lua is LuaJIT"
  end)
  return
end

local nginx = require "spec.support.nginx"
local socket = require "socket"

local hold, go, wait_until = nginx.hold, nginx.go, nginx.wait_until

-- In all servers: clients of the master, which each worker recreates.
local init = [[
  queries = {
    { { currency = "USD" }, 5000.25 }, { { currency = "SGD" }, 10000 },
    { { currency = "USD", on_behalf_of = sandbox.sub_account }, 111.11 },
    { { currency = "SGD", on_behalf_of = sandbox.sub_account }, 222.2 },
    { { currency = "USD", on_behalf_of = sandbox.other_sub_account }, 0 },
    { { currency = "XUSD", on_behalf_of = sandbox.other_sub_account }, 44444.4 },
  }
  client = uqpay.new(options())
  shared = {} -- by the requests of a worker
  function descriptors()
    collectgarbage()
    collectgarbage()
    local count = 0
    local pipe = io.popen("ls /proc/" .. ngx.worker.pid() .. "/fd")
    for _ in pipe:lines() do count = count + 1 end
    pipe:close()
    return count
  end
]]

-- Handlers that all servers have.
local function handlers(more)
  local all = {
    init = init,
    ["/usd"] = "answer(client:balance 'USD')",
    ["/query"] = [[
      local query = queries[tonumber(ngx.var.arg_n) % #queries + 1]
      local balance, message = client:balance(query[1])
      if not balance then return ngx.say(message) end
      local right = balance.currency == query[1].currency
        and balance.available_balance == query[2]
      ngx.say(right and "right" or "wrong")
    ]],
    ["/state"] = [[
      local s = client:stats()
      ngx.say("calls ", s.calls, " succeeded ", s.succeeded, " failed ", s.failed,
        " connections ", s.connections, " timers ", ngx.timer.running_count()
        + ngx.timer.pending_count())
    ]],
    ["/descriptors"] = "ngx.say(descriptors())",
  }
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

-- Every line of a log that reports a fault.
local function complaints(text)
  local list = {}
  for _, line in ipairs(driver.lines(text)) do
    for _, level in ipairs { "warn", "error", "crit", "alert", "emerg" } do
      if line:find("[" .. level .. "]", 1, true) then list[#list + 1] = line end
    end
  end
  return list
end

describe("within nginx", function()
  local server
  local function start(more)
    server = nginx.start(handlers(more))
    return server
  end
  local function stop()
    if server then server:stop() end
    server = nil
  end
  setup(sandbox.start)
  before_each(sandbox.reset)
  after_each(stop)

  -- The answers of so many requests at once, each expected to be this one.
  local function all(n, path, status, body)
    local statuses, bodies = server:many(n, path)
    for i = 1, n do
      assert.equal(body, bodies[i])
      assert.equal(status, statuses[i])
    end
  end

  for workers = 1, 2 do
    it("gives each of 256 requests at once its own answer, " .. workers .. " worker(s)",
      function()
        start { workers = workers }
        all(256, function(i) return "/query?n=" .. i end, 200, "right\n")
        all(256, function(i) return "/query?n=" .. i end, 200, "right\n")
        assert.equal(workers, #server:workers())
        assert.same({}, complaints(server:log()))
        assert.equal(512, sandbox.counts().endpoints.balance)
        local count = sandbox.connections()
        assert.is_true(count <= 8 * workers, "connections: " .. count)
      end)
  end

  it("opens few connections, over HTTP/1.1, too", function()
    start {
      init = init .. [[
        many = uqpay.new(options { base_url = sandbox.http1_url })
        two = uqpay.new(options { base_url = sandbox.http1_url, max_connections = 2 })
      ]],
      ["/many"] = "answer(many:balance 'USD')",
      ["/two"] = "answer(two:balance 'USD')",
    }
    local connections = sandbox.connections
    all(100, "/many", 200, "USD 5000.25\n")
    assert.is_true(connections() <= 16, "connections: " .. connections())
    sandbox.reset()
    all(30, "/two", 200, "USD 5000.25\n")
    assert.is_true(connections() <= 2, "connections: " .. connections())
  end)

  it("serves other requests while calls wait, and leaves no timer afterwards", function()
    start()
    hold()
    local peers = {}
    for i = 1, 200 do peers[i] = server:begin "/usd" end
    sandbox.until_arrived(200)
    -- the slowest in a while, in the best of three: others use the machine, too
    local best = math.huge
    for _ = 1, 3 do
      local slowest, ends = 0, socket.gettime() + 0.3
      repeat
        local begun = socket.gettime()
        local status, body = server:get "/ping"
        local done = socket.gettime()
        slowest = math.max(slowest, done - begun)
        assert.equal(200, status)
        assert.equal("pong\n", body)
      until done > ends
      best = math.min(best, slowest)
    end
    assert.is_true(best <= 0.05, "a request waits for " .. best .. " s")
    assert.matches("timers 1\n", select(2, server:get "/state"))
    go()
    for i = 1, 200 do
      assert.equal("USD 5000.25\n", select(2, server:finish(peers[i])))
    end
    wait_until(function()
      return select(2, server:get "/state"):find "timers 0\n"
    end, "no timer")
    assert.matches("calls 200 succeeded 200 failed 0 ", select(2, server:get "/state"))
  end)

  it("waits in every phase that can wait", function()
    start {
      ["/rewrite"] = { rewrite = "answer(client:balance 'USD') ngx.exit(200)" },
      ["/access"] = { access = "answer(client:balance 'USD') ngx.exit(200)" },
      ["/timer"] = [[
        local semaphore = require("ngx.semaphore").new()
        local result
        ngx.timer.at(0, function()
          result = { client:balance "USD" }
          semaphore:post()
        end)
        semaphore:wait(30)
        answer(unpack(result))
      ]],
      ["/thread"] = [[
        local threads = {}
        for i = 1, 5 do
          threads[i] = ngx.thread.spawn(function() return client:balance "USD" end)
        end
        for i = 1, 5 do answer(select(2, ngx.thread.wait(threads[i]))) end
      ]],
      ["/coroutine"] = [[
        local co = coroutine.wrap(function() return client:balance "USD" end)
        answer(co())
      ]],
    }
    for _, path in ipairs { "/rewrite", "/access", "/timer", "/coroutine" } do
      assert.equal("USD 5000.25\n", select(2, server:get(path)), path)
    end
    assert.equal(("USD 5000.25\n"):rep(5), select(2, server:get "/thread"))
    assert.same({}, complaints(server:log()))
  end)

  it("waits within a TLS handshake", function()
    start {
      http = ([[
        server {
          listen unix:@dir@/tls.sock ssl;
          ssl_certificate %s/server.pem;
          ssl_certificate_key %s/server.key;
          ssl_certificate_by_lua_block {
            local balance, message = client:balance "USD"
            shared.found = balance and balance.available_balance or message
          }
          location / { content_by_lua_block { ngx.say(shared.found) } }
        }
      ]]):format(sandbox.ca_file:match "^(.*)/", sandbox.ca_file:match "^(.*)/"),
    }
    assert.equal("5000.25\n", driver.output(driver.command("curl", "-s", "-k", "-m", "30",
      "--unix-socket", server.dir .. "/tls.sock", "https://localhost/")))
  end)

  -- Only OpenResty's nginx can wait there; elsewhere a wait would end the handshake.
  describe("waits or refuses, as this nginx can, in", function()
    local openresty = driver.output "nginx -V 2>&1":find "openresty"

    -- Makes two handshakes, the second with the session of the first.
    local function found_in(phase, tls)
      local server_conf = [[
        server {
          listen unix:@dir@/tls.sock ssl;
          ssl_certificate %s/server.pem;
          ssl_certificate_key %s/server.key;
          ssl_session_tickets off;
          ssl_session_cache shared:tls:1m;
          %s
          location / { content_by_lua_block { ngx.say(tostring(shared.found)) } }
        }
      ]]
      local code = phase .. [[_by_lua_block {
        local balance, message, err = client:balance "USD"
        shared.found = balance and balance.available_balance
          or err.kind .. ": " .. message
      }]]
      local dir = sandbox.ca_file:match "^(.*)/"
      local of_http = phase == "ssl_session_fetch"
      start { http = (of_http and code or "")
        .. server_conf:format(dir, dir, of_http and "" or code) }
      local text
      for _, session in ipairs { "-sess_out", "-sess_in" } do
        text = driver.output(driver.command("sh", "-c", [[
          printf 'GET / HTTP/1.0\r\n\r\n' | timeout 60 openssl s_client -quiet \
            -unix "$1" -ign_eof "$2" "$3" $4 2> /dev/null
        ]], "sh", server.dir .. "/tls.sock", session, server.dir .. "/session", tls))
      end
      return text:match "\r\n\r\n([^\n]*)"
    end

    for phase, tls in pairs { ssl_client_hello = "", ssl_session_fetch = "-tls1_2" } do
      it(phase .. "_by_lua", function()
        local found = found_in(phase, tls)
        if openresty and found == "5000.25" then return end
        assert.equal("config: balance would have to wait, which " .. phase .. "_by_lua "
          .. "cannot without OpenResty's patches of nginx: call it in rewrite, access or "
          .. "content, or through ngx.timer.at(0, f)", found)
        assert.equal(0, #sandbox.requests())
        assert.same({}, complaints(server:log()))
      end)
    end
  end)

  it("refuses at once in phases that cannot wait, and names the way out", function()
    local try = [[
      local balance, message, err = client:balance "USD"
      shared[ngx.get_phase()] = err and err.kind .. ": " .. message or "none"
    ]]
    start {
      init = init .. try .. [[
        for _, name in ipairs { "balances", "balances", "token", "start_balance",
          "accounts" } do
          local value, message, err = client[name](client, name == "balances" and {}
            or name == "start_balance" and "USD" or nil)
          assert(value == nil and err.kind == "config" and message:find(name, 1, true)
            and name:find(err.endpoint, 1, true), name)
        end
        for _, name in ipairs { "each_balance", "each_transaction", "each_account" } do
          local ok, message = pcall(function()
            for _ in client[name](client) do error "an item" end
          end)
          assert(not ok and message:find "%(config%)$" and message:find(name
            .. " would have to wait, which init_by_lua", 1, true), message)
          local item, why, err = client[name](client, { on_error = "return" })()
          assert(item == false and err.kind == "config" and why == err.message
            and err.endpoint, why)
        end
        local ok, message = pcall(function()
          for _ in client:batch { "USD" } do error "a result" end
        end)
        assert(not ok and message:find "%(config%)$"
          and message:find("batch would have to wait, which init_by_lua", 1, true),
          message)
      ]],
      http = ([[
        init_worker_by_lua_block { %s }
        upstream nowhere { server 127.0.0.1:1; balancer_by_lua_block { %s
          ngx.exit(503) } }
      ]]):format(try, try),
      ["/filters"] = {
        conf = ("set_by_lua_block $x { %s return '' }"):format(try),
        content = "ngx.say 'x'", header_filter = try, body_filter = try, log = try,
      },
      ["/balancer"] = { conf = "proxy_pass http://nowhere;" },
      ["/refused"] = [[
        for phase, message in pairs(shared) do ngx.say(phase, ": ", message) end
      ]],
      ["/hook"] = [[
        local got
        local hooked = uqpay.new(options { on_request = function()
          local balance, message, err = client:balance "USD"
          got = got or { err.kind, ": ", message }
        end })
        assert(hooked:balance "USD")
        ngx.say(got)
      ]],
    }
    server:get "/filters"
    server:get "/balancer"
    local text = select(2, server:get "/refused")
    for phase in ("init init_worker set header_filter body_filter log balancer")
      :gmatch "%S+" do
      local way = phase == "init" and "through ngx.timer.at(0, f) in init_worker_by_lua, "
        .. "or in rewrite, access or content"
        or "in rewrite, access or content, or through ngx.timer.at(0, f)"
      local line = ("\n%s: config: balance would have to wait, which %s_by_lua cannot: "
        .. "call it %s\n"):format(phase, phase, way)
      assert.is_truthy(("\n" .. text):find(line, 1, true), text)
    end
    assert.equal(0, #sandbox.requests())
    assert.matches("^config: balance would have to wait, which a hook, a token function "
      .. "or anything that C calls cannot: call it in ", select(2, server:get "/hook"))
  end)

  it("gives errors as the plain client does, and logs nothing of them", function()
    start {
      ["/zzz"] = "answer(client:balance 'ZZZ')",
      ["/fast"] = "answer(client:balance('USD', { timeout = 0.05 }))",
      ["/refused"] = [[
        answer(uqpay.new(options { base_url = "https://127.0.0.1:1/api",
          max_retries = 0 }):balance "USD")
      ]],
      ["/raised"] = [[
        local function raised(f, ...) ngx.say((select(2, pcall(f, ...)))) end
        raised(function() local x = client:balance("USD", { tiemout = 1 }) end)
        raised(function() local x = client:balance("USD", 1) end)
        raised(function() local x = uqpay.new { tokne = 1 } end)
        raised(function() local x = uqpay.new(setmetatable(options(), {
          __index = {} })) end)
        raised(uqpay.new)
        client:close()
        raised(function() local x = client:balance "USD" end)
        raised(function() local x = client.balance "USD" end)
        raised(function() local x = client.each_account() end)
        raised(function() local x = uqpay:new(options()) end)
      ]],
      ["/values"] = [[
        local client = uqpay.new(options())
        local function show(value, message, err)
          ngx.say(tostring(value), " ", err.kind, " ", err.attempts, " ", err.endpoint)
        end
        show(client:balance "usd")
        show(client:balance("USD", { idempotency_key = "" }))
        show(client:accounts { page_size = 0 })
        show(client:start_balance { currency = "USD", on_behalf_of = "x" }:result())
        for _, value, message, err in client:batch { "usd" } do
          show(value or nil, message, err)
        end
      ]],
    }
    local status, body = server:get "/zzz"
    assert.equal(500, status)
    assert.matches("^invalid_request: ", body)
    sandbox.fault { kind = "status", status = 503, times = 3, store = false }
    assert.matches("^api: ", select(2, server:get "/usd"))
    hold()
    assert.matches("^timeout: ", select(2, server:get "/fast"))
    go()
    assert.matches("^connect: ", select(2, server:get "/refused"))
    local raised = driver.lines(select(2, server:get "/raised"))
    assert.matches("^content_by_lua%(.-%):%d: unknown option 'tiemout' to "
      .. "'balance' %(did you mean 'timeout'%?%)$", raised[1])
    assert.matches("^content_by_lua%(.-%):%d: bad argument #2 to 'balance'", raised[2])
    assert.matches("^content_by_lua%(.-%):%d: unknown option 'tokne' to 'new'", raised[3])
    assert.matches("table without __index expected", raised[4])
    assert.matches("^bad argument #1 to 'new'", raised[5])
    assert.matches("attempt to use a closed uqpay client$", raised[6])
    assert.matches("^content_by_lua%(.-%):%d+: calling 'balance' on bad self .*use "
      .. "client:balance%(...%), not client%.balance%(...%)%)$", raised[7])
    assert.matches("^content_by_lua%(.-%):%d+: calling 'each_account' on bad self",
      raised[8])
    assert.matches("^content_by_lua%(.-%):%d+: bad call of 'new' %(use uqpay%.new{...}, "
      .. "not uqpay:new{...}%)$", raised[9])
    local before = #sandbox.requests()
    local refused = "nil invalid_request 0 balance\n"
    assert.equal(refused .. refused .. "nil invalid_request 0 accounts\n" .. refused
      .. refused, select(2, server:get "/values"))
    assert.equal(before, #sandbox.requests())
    assert.same({}, complaints(server:log()))
    assert.is_nil(server:log():find(sandbox.token, 1, true))
  end)

  it("warns once of a timeout that seems to be in milliseconds", function()
    start { ["/usd"] = "answer(client:balance('USD', { timeout = 3600 }))",
      ["/call"] = "answer(client:balance('USD', { timeout = 3601 }))",
      ["/new"] = [[
        local mine = uqpay.new(options { timeout = tonumber(ngx.var.arg_timeout) })
        answer(mine:balance "USD")
      ]] }
    local function warnings_behind(...)
      for _, path in ipairs { ... } do
        assert.equal("USD 5000.25\n", select(2, server:get(path)))
      end
      local list = complaints(server:log())
      for _, line in ipairs(list) do
        assert.matches("%[warn%] .*uqpay: timeout = ", line)
      end
      return list
    end
    assert.same({}, warnings_behind("/usd", "/new?timeout=3600"))
    local list = warnings_behind("/new?timeout=30000", "/new?timeout=30000", "/call")
    assert.equal(1, #list)
    assert.matches("uqpay: timeout = 30000: seconds are expected, not milliseconds",
      list[1])
    stop()
    start { ["/call"] = "answer(client:balance('USD', { timeout = 3601 }))",
      ["/table"] = "answer(client:balance { currency = 'USD', timeout = 3602 })" }
    list = warnings_behind("/call", "/table", "/call")
    assert.equal(1, #list)
    assert.matches("uqpay: timeout = 3601: seconds are expected", list[1])
    stop()
    start { ["/batch"] = [[
      for _, balance in client:batch({ "USD" }, { timeout = 3603 }) do
        answer(balance)
      end
    ]] }
    list = warnings_behind "/batch"
    assert.equal(1, #list)
    assert.matches("uqpay: timeout = 3603: seconds are expected", list[1])
  end)

  it("has lists, iterators, batches and call objects", function()
    start {
      ["/each"] = [[
        local count = 0
        for _ in client:each_transaction {
          start_time = sandbox.first_transaction, end_time = sandbox.last_transaction,
        } do
          count = count + 1
        end
        ngx.say(count)
      ]],
      ["/list"] = "ngx.say(assert(client:balances()).total_items)",
      ["/batch"] = [[
        local list = {}
        for i = 1, 60 do list[i] = i % 2 == 0 and "USD" or "SGD" end
        local right = 0
        for query, balance in client:batch(list, { concurrency = 20 }) do
          if balance.currency == query then right = right + 1 end
        end
        ngx.say(right)
      ]],
      ["/object"] = [[
        local call = client:start_balance "USD"
        while not call:step() do ngx.sleep(0.001) end
        answer(call:result())
      ]],
      ["/later"] = { content = [[
        shared.next = client:batch { "USD", "SGD" }
        assert(shared.next())
        ngx.say "x"
      ]], log = "shared.late = select(2, pcall(shared.next))" },
      ["/late"] = "ngx.say(shared.late)",
    }
    local span = 0
    for _, item in ipairs(sandbox.transactions()) do
      if item.create_time then span = span + 1 end
    end
    assert.equal(span .. "\n", select(2, server:get "/each"))
    assert.equal(#sandbox.balances() .. "\n", select(2, server:get "/list"))
    assert.equal("60\n", select(2, server:get "/batch"))
    assert.equal("USD 5000.25\n", select(2, server:get "/object"))
    sandbox.fault { kind = "delay", seconds = 20, hold = true,
      match = { [":method"] = "POST" }, skip = 1 }
    assert.equal("x\n", select(2, server:get "/later"))
    sandbox.release()
    assert.matches("^the iterator would have to wait, which log_by_lua cannot",
      select(2, server:get "/late"))
    assert.same({}, complaints(server:log()))
  end)

  it("works without the code cache", function()
    start { http = "lua_code_cache off;" }
    all(20, function(i) return "/query?n=" .. i end, 200, "right\n")
    assert.equal("USD 5000.25\n", select(2, server:get "/usd"))
    for _, line in ipairs(complaints(server:log())) do
      assert.is_truthy(line:find("lua_code_cache is off", 1, true), line)
    end
  end)

  it("cancels the call of a client that has gone, and leaves nothing", function()
    start { server = "lua_check_client_abort on;" }
    server:get "/usd"
    local before = select(2, server:get "/descriptors")
    hold()
    local peers = {}
    for i = 1, 30 do peers[i] = server:begin(i > 25 and "/usd" or "/query?n=1") end
    sandbox.until_arrived(31)
    for i = 1, 25 do peers[i]:close() end
    wait_until(function()
      return select(2, server:get "/state"):find "failed 25 "
    end, "25 calls are canceled")
    go()
    for i = 26, 30 do
      assert.equal("USD 5000.25\n", select(2, server:finish(peers[i])))
    end
    assert.matches("calls 31 succeeded 6 failed 25 ", select(2, server:get "/state"))
    wait_until(function()
      return select(2, server:get "/descriptors") == before
    end, "no descriptor is left")
    assert.same({}, complaints(server:log()))
  end)

  it("cancels calls that wait to begin when their client is closed, and no others",
    function()
      start {
        init = "clients = { uqpay.new(options()), uqpay.new(options()) }",
        ["/usd"] = [[
          note "begun"
          answer(clients[tonumber(ngx.var.arg_n)]:balance "USD")
        ]],
        ["/close"] = "clients[1]:close()",
      }
      hold()
      local peers = {}
      for i = 1, 60 do peers[i] = server:begin "/usd?n=1" end
      local other = server:begin "/usd?n=2"
      wait_until(function() return server:noted "begun" == 61 end, "they wait")
      server:get "/close"
      go()
      for i = 1, 60 do
        assert.matches("^canceled: the client was closed", select(2,
          server:finish(peers[i])))
      end
      assert.equal("USD 5000.25\n", select(2, server:finish(other)))
      assert.same({}, complaints(server:log()))
    end)

  it("answers what is in flight at the server's end", function()
    start { workers = 2 }
    hold()
    local peers, pid = {}, server:pid()
    for i = 1, 50 do peers[i] = server:begin "/usd" end
    sandbox.until_arrived(50)
    server:signal "QUIT"
    go()
    for i = 1, 50 do
      assert.equal("USD 5000.25\n", select(2, server:finish(peers[i])))
    end
    wait_until(function() return not server:pid() end, "the server is gone")
    assert.is_truthy(pid)
    assert.same({}, complaints(server:log()))
  end)

  it("answers calls in flight when the configuration is reloaded", function()
    start { workers = 2 }
    local old = table.concat(server:workers(), " ")
    hold()
    local peers = {}
    for i = 1, 50 do peers[i] = server:begin "/usd" end
    sandbox.until_arrived(50)
    server:signal "HUP"
    wait_until(function() return #server:workers() == 4 end, "two more workers")
    go()
    for i = 1, 50 do
      assert.equal("USD 5000.25\n", select(2, server:finish(peers[i])))
    end
    all(10, "/usd", 200, "USD 5000.25\n")
    wait_until(function() return #server:workers() == 2 end, "the old ones are gone")
    assert.not_equal(old, table.concat(server:workers(), " "))
    assert.same({}, complaints(server:log()))
  end)

  it("ends in time at a reload, whatever hangs", function()
    start { main = "worker_shutdown_timeout 1s;" }
    local old = server:workers()[1]
    hold()
    local peers = {}
    for i = 1, 10 do peers[i] = server:begin "/usd" end
    sandbox.until_arrived(10)
    server:signal "HUP"
    wait_until(function()
      local workers = server:workers()
      return #workers == 1 and workers[1] ~= old
    end, "the old worker has gone, though nothing was answered")
    for i = 1, 10 do assert.is_nil((server:finish(peers[i]))) end
    go()
    all(10, "/usd", 200, "USD 5000.25\n")
    local log = server:log()
    assert.is_nil(log:find("exited on signal", 1, true), log)
    assert.is_truthy(log:find("worker process " .. old .. " exited with code 0", 1, true),
      log)
  end)

  it("keeps its connections between requests", function()
    start()
    for _ = 1, 20 do assert.equal("USD 5000.25\n", select(2, server:get "/usd")) end
    local connections = {}
    for _, request in ipairs(sandbox.requests()) do
      connections[#connections + 1] = request.connection
    end
    assert.equal(20, #connections)
    for i = 2, 20 do assert.equal(connections[1], connections[i]) end
    assert.matches(" connections 1 ", select(2, server:get "/state"))
  end)

  it("can have connections before the first request", function()
    start { http = [[
      init_worker_by_lua_block {
        ngx.timer.at(0, function() shared.warm = client:balance "USD" end)
      }
    ]] }
    wait_until(function()
      return select(2, server:get "/state"):find "succeeded 1 "
    end, "the worker has asked")
    assert.equal("USD 5000.25\n", select(2, server:get "/usd"))
    assert.matches(" connections 1 ", select(2, server:get "/state"))
    assert.same({}, complaints(server:log()))
  end)

  describe("runs the example as it stands:", function()
    local cjson = require "cjson"
    local top = driver.output "pwd":match "[^\n]+"

    -- changes: other texts in place of patterns of the configuration.
    local function start_example(changes)
      local file = assert(io.open "examples/nginx.conf")
      local text = file:read "*a"
      file:close()
      server = nginx.start {
        wrap = driver.command("env", "UQPAY_BASE_URL=" .. sandbox.url, "UQPAY_CLIENT_ID="
          .. sandbox.client_id, "UQPAY_API_KEY=" .. sandbox.api_key, "UQPAY_CA_FILE="
          .. sandbox.ca_file) .. " ",
        conf = function(port)
          local function replace(list)
            for place, ours in pairs(list) do
              local count
              text, count = text:gsub(place, (ours:gsub("%%", "%%%%")))
              assert.is_true(count > 0, place)
            end
          end
          replace(changes or {})
          replace {
            ["\nload_module[^\n]*"] = "", ["127.0.0.1:8080"] = "127.0.0.1:" .. port,
            ["listen 127.0.0.1:8081"] = "listen unix:@dir@/internal.sock",
            ["error_log stderr"] = "daemon on; error_log error.log",
            ["worker_processes auto"] = "worker_processes 2",
            ["lua_package_path [^\n]*"] = nginx.package_paths(top
              .. "/examples/nginx/?.lua"),
          }
          return nginx.load_modules() .. text
        end,
      }
    end

    -- The body and the headers of an answer to a request of curl's.
    local function request(expected, ...)
      local text = driver.output(driver.command("curl", "-q", "-s", "-i", "--noproxy",
        "*", "-m", "60", ...))
      local head, body = text:match "^(.-\r\n)\r\n(.*)$"
      assert.equal(expected, tonumber(head:match "^%S+ (%d+)"), text)
      return body, head
    end

    -- The body, decoded, and the headers.
    local function ask(path, expected, ...)
      local body, head = request(expected, ("http://127.0.0.1:%d%s"):format(server.port,
        path), ...)
      return cjson.decode(body), head
    end

    local function ask_inside(path, expected)
      return (request(expected, "--unix-socket", server.dir .. "/internal.sock",
        "http://localhost" .. path))
    end

    -- Another question each time.
    local function account(n)
      return ("?account=00000000-0000-4000-8000-%012d"):format(n)
    end

    it("balances, shared by its workers, and mistakes", function()
      start_example()
      local balance, head = ask("/balance/USD", 200)
      assert.equal("5000.25", balance.available_balance)
      assert.equal("number", type(balance.cached_at))
      assert.matches("\nContent%-Type: application/json\r", head)
      balance = ask("/balance/USD?account=" .. sandbox.sub_account, 200)
      assert.equal("111.11", balance.available_balance)
      assert.same({ kind = "invalid_request", message = "bad option 'currency' to "
        .. '\'balance\' (an upper-case currency code such as "USD" expected)' },
        ask("/balance/USDOLLAR", 400))
      assert.equal("invalid_request", ask("/balance/ZZZ", 400).kind)
      assert.equal("invalid_request", ask("/balance/USD?account=x", 400).kind)
      assert.equal(1, #sandbox.mints())
      assert.is_nil(server:log():find("[error]", 1, true))
    end)

    it("the status of each kind of error", function()
      start_example()
      ask("/balance/SGD", 200)
      for n, case in ipairs {
        { 404, 404, "not_found" }, { 409, 502, "conflict" }, { 403, 502, "permission" },
        { 408, 504, "timeout" }, { 500, 502, "api" },
      } do
        sandbox.fault { kind = "status", status = case[1], times = 9, store = false }
        local answer, head = ask("/balance/USD" .. account(n), case[2])
        assert.equal(case[3], answer.kind)
        assert.is_nil(head:find("Retry-After", 1, true))
        sandbox.reset()
      end
      sandbox.fault { kind = "status", status = 429, times = 9, store = false,
        headers = { ["Retry-After"] = "30" } }
      local answer, head = ask("/balance/USD" .. account(6), 503)
      assert.equal("rate_limit", answer.kind)
      assert.equal("30", head:match "\nRetry%-After: (%d+)\r")
      assert.is_nil(server:log():find("[error]", 1, true))
      assert.is_nil(server:log():find(sandbox.api_key, 1, true))
    end)

    it("502 for a login that is refused, and not what the end user did wrong", function()
      -- the fault comes first: workers log in as soon as they are there
      local function refuse(status, expected, kind)
        sandbox.fault { kind = "status", status = status, times = 99, endpoint = "token",
          store = false }
        start_example()
        local answer = ask("/balance/USD", expected)
        assert.equal(kind, answer.kind)
        sandbox.reset()
        ask("/balance/SGD", 200)
        stop()
        sandbox.reset()
      end
      for _, status in ipairs { 400, 401, 403, 404, 409, 415, 422 } do
        refuse(status, 502, "auth")
      end
      refuse(429, 503, "rate_limit")
      refuse(500, 502, "api")
      refuse(408, 504, "timeout")
    end)

    it("GET and HEAD, and no other method", function()
      start_example()
      local body, head = request(200, "-I", ("http://127.0.0.1:%d/balance/USD"):format(
        server.port))
      assert.equal("", body)
      assert.matches("\nContent%-Type: application/json\r", head)
      local before = #sandbox.requests()
      for _, method in ipairs { "POST", "PUT", "DELETE", "OPTIONS" } do
        body, head = ask("/balance/SGD", 405, "-X", method)
        assert.same({ kind = "method_not_allowed" }, body)
        assert.matches("\nAllow: GET, HEAD\r", head)
      end
      assert.equal(before, #sandbox.requests())
    end)

    it("429 for too many requests of a client", function()
      start_example { ["rate=50r/s"] = "rate=1r/m" } -- else some continue for each second
      ask("/balance/USD", 200)
      local peers, good, refused = {}, 0, 0
      for i = 1, 150 do peers[i] = server:begin "/balance/USD" end
      for i = 1, 150 do
        local text = peers[i]:receive "*a"
        peers[i]:close()
        local status = tonumber(text:match "^HTTP/1%.%d (%d+)")
        if status == 200 then
          good = good + 1
        else
          assert.equal(429, status, text)
          assert.matches("\nRetry%-After: 1\r", text)
          assert.same({ kind = "too_many_requests" },
            cjson.decode(text:match "\r\n\r\n(.*)$"))
          refused = refused + 1
        end
      end
      assert.equal(100, good) -- the burst, and one that the first has used
      assert.equal(50, refused)
      assert.is_nil(server:log():find("[error]", 1, true))
      ask_inside("/health", 200)
    end)

    it("TLS and HTTP/2, if they are wanted", function()
      start_example {
        ["# (listen) 443( ssl http2;)"] = "listen unix:@dir@/tls.sock ssl http2;",
        ["# (ssl_certificate )[^\n]*"] = "ssl_certificate "
          .. sandbox.certificate "server.pem" .. ";",
        ["# (ssl_certificate_key )[^\n]*"] = "ssl_certificate_key "
          .. sandbox.certificate "server.key" .. ";",
      }
      for option, version in pairs { ["--http2"] = "2", ["--http1.1"] = "1.1" } do
        local _, head = request(200, "-k", option, "--unix-socket", server.dir
          .. "/tls.sock", "https://localhost/balance/USD")
        assert.equal("HTTP/" .. version, head:match "^%S+")
      end
    end)

    it("a health check and metrics, inside only", function()
      start_example()
      for _, path in ipairs { "/health", "/metrics" } do
        assert.equal(404, (server:get(path)))
        ask_inside(path, 200)
      end
    end)

    it("a health check that needs a token", function()
      sandbox.fault { kind = "status", status = 403, times = 99,
        match = { [":path"] = "/api/v1/connect/token" } }
      start_example()
      assert.same({ status = "down", kind = "auth" },
        cjson.decode(ask_inside("/health", 503)))
      sandbox.reset()
      assert.same({ status = "up" }, cjson.decode(ask_inside("/health", 200)))
    end)

    it("counters of all workers, and a histogram of how long UQPAY takes", function()
      start_example()
      sandbox.fault { kind = "delay", seconds = 0.3, endpoint = "balance" }
      ask("/balance/USD", 200)
      for _ = 1, 8 do ask("/balance/SGD", 200) end -- one from UQPAY, then from the cache
      ask("/balance/USD?account=" .. sandbox.sub_account, 200)
      local text, arrived
      wait_until(function()
        arrived = sandbox.counts().endpoints
        text = ask_inside("/metrics", 200)
        return text:find 'uqpay_calls_total{worker="0"} %d+\n'
          and text:find 'uqpay_calls_total{worker="1"} %d+\n'
          and text:find('_count{endpoint="balance"} ' .. arrived.balance .. "\n", 1, true)
      end, "both workers have told their counts, and all requests are counted")
      local counters, histograms = text:match
        "^(.-)(# TYPE uqpay_attempt_duration_seconds histogram\n.*)$"
      local lines, types = 0, 0
      for line in counters:gmatch "[^\n]+" do
        local name = line:match "^# TYPE (uqpay_[%l_]+_total) counter$"
        if name then
          types = types + 1
          assert.is_truthy(text:find(name .. "{", 1, true), name)
        else
          lines = lines + 1
          assert.matches('^uqpay_[%l_]+_total{worker="[01]"} %d+$', line)
        end
      end
      assert.is_true(types >= 8, text)
      assert.equal(2 * types, lines)
      local _, others = histograms:gsub("\n", "")
      for endpoint, requests in pairs(arrived) do
        local name, labels = "uqpay_attempt_duration_seconds", '{endpoint="' .. endpoint
        local ends, counts = {}, {}
        for le, count in histograms:gmatch(name .. "_bucket" .. labels
          .. '",le="([^"]+)"} (%d+)\n') do
          ends[#ends + 1], counts[#counts + 1] = le, tonumber(count)
        end
        assert.equal("0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf", table.concat(ends, " "))
        for n = 2, #counts do assert.is_true(counts[n - 1] <= counts[n], histograms) end
        assert.equal(requests, counts[#counts])
        assert.equal(requests, tonumber(histograms:match(name .. "_count" .. labels
          .. '"} (%d+)\n')))
        local sum = tonumber(histograms:match(name .. "_sum" .. labels
          .. '"} (%d+%.%d+)\n'))
        assert.is_true(sum > (endpoint == "balance" and 0.3 or 0), histograms)
        if endpoint == "balance" then
          assert.is_true(counts[3] < requests, "one took longer than 0.25 s")
        end
        others = others - #counts - 2
      end
      assert.equal(1, others) -- the line with the type
    end)
  end)

  -- One process without a master, Lua in a timer of init_worker: so the command `resty`
  -- runs a file.
  it("works as a program on the command line", function()
    local dir = driver.directory "command"
    local file = assert(io.open(dir .. "/nginx.conf", "w"))
    file:write(nginx.load_modules(), ([[
      daemon off; master_process off; pid nginx.pid; error_log stderr warn;
      events { worker_connections 64; }
      http {
        access_log off; client_body_temp_path tmp_body; proxy_temp_path tmp_proxy;
        fastcgi_temp_path tmp_fcgi; uwsgi_temp_path tmp_uwsgi; scgi_temp_path tmp_scgi;
        lua_shared_dict uqpay 1m;
        %s
        init_worker_by_lua_block {
          ngx.timer.at(0, function()
            local function say(text) io.stdout:write(text, "\n") end
            local ok, message = pcall(function()
              local client = require("resty.uqpay").from_env { shared = "uqpay",
                cache = { ttl = 2 } }
              for _ = 1, 2 do say(assert(client:balance "USD").available_balance) end
              for query, balance in client:batch { "SGD" } do
                say(query .. " " .. balance.available_balance)
              end
              say(client:stats().calls)
            end)
            if not ok then say(message) end
            os.exit(ok and 0 or 1)
          end)
        }
      }
    ]]):format(nginx.package_paths()))
    file:write(("env %s;"):rep(3):format("UQPAY_BASE_URL", "UQPAY_CA_FILE",
      "UQPAY_TOKEN"))
    file:close()
    local environment = driver.command("env", "-u", "LUA_PATH", "-u", "LUA_CPATH",
      "ASAN_OPTIONS=detect_leaks=0", "UQPAY_BASE_URL=" .. sandbox.url,
      "UQPAY_CA_FILE=" .. sandbox.ca_file, "UQPAY_TOKEN=" .. sandbox.token)
    local output = driver.output(("timeout 60 %s %s %s 2>&1; echo exit $?"):format(
      environment, os.getenv "UQPAY_WRAP" or "",
      driver.command("nginx", "-p", dir, "-e", "stderr", "-c", "nginx.conf")))
    driver.output(driver.command("rm", "-rf", dir))
    assert.equal("5000.25\n5000.25\nSGD 10000\n2\nexit 0\n", output)
  end)

  it("sees a proxy of the environment that nginx.conf names, and no other", function()
    local function kind(main)
      server = nginx.start {
        wrap = "env https_proxy=http://127.0.0.1:1 ", main = main,
        ["/usd"] = [[
          local _, _, err = uqpay.new(options { max_retries = 0 }):balance "USD"
          ngx.say(err and err.kind)
        ]],
      }
      local body = select(2, server:get "/usd")
      stop()
      return body
    end
    assert.equal("nil\n", kind(""))
    assert.equal("connect\n", kind "env https_proxy;")
  end)

  it("is there again when a worker was killed", function()
    start { workers = 2 }
    local before = server:workers()
    hold()
    local peers = {}
    for i = 1, 20 do peers[i] = server:begin "/usd" end
    sandbox.until_arrived(20)
    for _, pid in ipairs(before) do server:signal("KILL", pid) end
    for i = 1, 20 do assert.is_nil((server:finish(peers[i]))) end
    go()
    wait_until(function() return #server:workers() == 2 end, "there are new workers")
    all(20, "/query?n=3", 200, "right\n")
  end)

  it("is refused elsewhere", function()
    local ok, message = pcall(dofile, "src/resty/uqpay.lua")
    assert.is_false(ok)
    assert.matches("runs within nginx", message)
    assert.is_table(fixture)
  end)
end)
