-- Call objects: their life from the start to the result, and every way to end before it.
-- How programs wait for them is call_waiting_spec.lua's.

local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local random = require "spec.support.random"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local failed, succeeded = fixture.failed, fixture.succeeded
local with_fault = fixture.with_fault

local unpack = table.unpack or unpack

local function pack(...) return { n = select("#", ...), ... } end

local function raises(message, ...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.equal("string", type(err))
  assert.matches(message, err, 1, true)
end

-- Steps the call to its end and returns its results.
local function await(client, call)
  while not call:step() do client:step(1) end
  return call:result()
end

local function adds_up(client, calls, succeeded_of_them)
  local stats = client:stats()
  assert.equal(stats.calls, stats.succeeded + stats.failed)
  if calls then
    assert.same({ calls, succeeded_of_them }, { stats.calls, stats.succeeded })
  end
end

-- Options of a call that is never answered.
local function silent(options)
  return with_fault({ kind = "hang", seconds = 60 }, options)
end

-- Steps the engine until so many requests have arrived.
local function until_arrived(client, count)
  local give_up = socket.gettime() + 20
  while #sandbox.requests() < count do
    client:step(0.005)
    assert.is_true(socket.gettime() < give_up, "the requests never arrived")
  end
end

local function collect()
  collectgarbage()
  collectgarbage()
end

local closed = "attempt to use a closed uqpay client"
local clients

-- A client that is closed behind the spec.
local function new_client(changes)
  local client = fixture.client(changes)
  clients[#clients + 1] = client
  return client
end

local function common()
  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    clients = {}
  end)
  after_each(function()
    for _, client in ipairs(clients) do client:close() end
  end)
end

describe("a call object", function()
  common()

  it("is there at once, and has no result yet", function()
    local client = new_client()
    local call = client:start_balance("USD", silent())
    assert.equal("userdata", type(call))
    assert.is_false(call:done())
    raises("the call is not finished", call.result, call)
    assert.is_false(call:step())
    until_arrived(client, 1)
    assert.is_false(call:step())
    assert.is_false(call:done())
    raises("the call is not finished", call.result, call)
  end)

  it("gives what balance would have given", function()
    local client = new_client()
    assert.same(succeeded(client:balance "USD"),
      succeeded(await(client, client:start_balance "USD")))
    assert.same(succeeded(client:balance("XUSD", { amounts = "string" })),
      succeeded(await(client, client:start_balance("XUSD", { amounts = "string" }))))
    local err = failed("invalid_request", await(client, client:start_balance "ZZZ"))
    assert.equal(400, err.status)
    assert.equal(1, err.attempts)
  end)

  it("takes the arguments that balance takes", function()
    local client = new_client { currency = "SGD" }
    for _, case in ipairs {
      { "SGD", 10000, {} }, { "USD", 5000.25, "USD" },
      { "USD", 5000.25, { currency = "USD" } },
      { "USD", 111.11, "USD", { on_behalf_of = sandbox.sub_account } },
      { "SGD", 222.2, { on_behalf_of = sandbox.sub_account } },
    } do
      local balance = succeeded(await(client, client:start_balance(case[3], case[4])))
      assert.equal(case[1], balance.currency)
      assert.equal(case[2], balance.available_balance)
    end
    assert.equal("SGD", succeeded(await(client, client:start_balance())).currency)
    raises("bad argument #1 to 'start_balance'", function() client:start_balance(5) end)
    raises("bad option 'timeout' to 'start_balance'", client.start_balance, client,
      "USD", { timeout = 0 })
    raises("unknown option 'nonsense' to 'start_balance'", client.start_balance, client,
      { nonsense = 1 })
    adds_up(client, 6, 6)
  end)

  it("raises the mistakes of a program, not the world's failures", function()
    local client = new_client()
    client:close()
    raises(closed, client.start_balance, client, "USD")
    local refused = fixture.client { base_url = "http://127.0.0.1:1", ca_file = false,
      max_retries = 0 }
    failed("connect", await(refused, refused:start_balance "USD"))
    refused:close()
  end)

  it("gives the same results again and again", function()
    local client = new_client()
    local call = client:start_balance "USD"
    local balance = succeeded(await(client, call))
    balance.mine = true
    for _ = 1, 3 do
      assert.is_true(call:step())
      assert.is_true(call:done())
      assert.equal(balance, succeeded(call:result()))
    end
    call = client:start_balance "ZZZ"
    local err = failed("invalid_request", await(client, call))
    for _ = 1, 3 do assert.equal(err, failed("invalid_request", call:result())) end
    client:close()
    assert.equal(err, failed("invalid_request", call:result()))
    assert.equal(1, #sandbox.requests() - 1)
  end)

  it("may finish in any order, and each has its own answer", function()
    for _, version in ipairs { "1.1", "2" } do
      local client = new_client { http_version = version }
      local stuck = client:start_balance("USD", silent())
      local cases = {
        { 5000.25, "USD", with_fault { kind = "delay", seconds = 0.06 } },
        { 10000, "SGD", with_fault { kind = "delay", seconds = 0.03 } },
        { 111.11, "USD", { on_behalf_of = sandbox.sub_account } },
        { 222.2, "SGD", with_fault({ kind = "status", status = 503, store = false },
          { on_behalf_of = sandbox.sub_account }) },
        { 0, "USD", { on_behalf_of = sandbox.other_sub_account } },
      }
      for _, case in ipairs(cases) do
        case.call = client:start_balance(case[2], case[3])
      end
      for n = #cases, 1, -1 do
        local balance = succeeded(await(client, cases[n].call))
        assert.equal(cases[n][1], balance.available_balance)
        assert.equal(cases[n][2], balance.currency)
      end
      assert.is_false(stuck:step())
      stuck:cancel()
      adds_up(client, 6, 5)
    end
  end)

  it("has a number of its own, and counts its attempts", function()
    local client = new_client { max_retries = 3 }
    local first = client:start_balance("USD",
      with_fault { kind = "status", status = 503, times = 2, store = false })
    local second = client:start_balance "USD"
    assert.equal(first:id() + 1, second:id())
    assert.equal(1, first:attempts())
    succeeded(await(client, first))
    succeeded(await(client, second))
    assert.equal(3, first:attempts())
    assert.equal(1, second:attempts())
    assert.equal(second:id() + 1, client:start_balance "USD":id())
  end)

  it("says in a word where it stands, and no secret", function()
    local client = new_client()
    local call = client:start_balance("USD", silent())
    assert.equal("uqpay.call (balance USD, in flight)", tostring(call))
    call:cancel()
    assert.equal("uqpay.call (balance USD, finished)", tostring(call))
    local waits = client:start_balance("SGD", with_fault({ kind = "status", status = 503,
      store = false }, { retry_delay = 60, retry_delay_max = 60, timeout = 1000 }))
    while waits:timeout() < 20 do      -- the retry's wait
      client:step(1)
      waits:step()
    end
    assert.equal("uqpay.call (balance SGD, waiting)", tostring(waits))
  end)

  it("has these methods, no more", function()
    local call = new_client():start_balance "USD"
    local names = {}
    for name, method in pairs(getmetatable(call).__index) do
      assert.equal("function", type(method))
      names[#names + 1] = name
      raises("uqpay.call expected", method, 5)
      raises("uqpay.call expected", method, io.stdout)
      raises("uqpay.call expected", method, clients[1])
    end
    table.sort(names)
    assert.same({ "attempts", "cancel", "dirty", "done", "events", "getfd", "id",
      "pollfd", "result", "step", "timeout" }, names)
    assert.is_nil(call.client)
    assert.is_false(pcall(function() call.note = 1 end))
  end)

  it("works in and across coroutines", function()
    local client = new_client()
    local call = coroutine.wrap(function() return client:start_balance "USD" end)()
    collect()
    local done
    repeat
      done = coroutine.wrap(function()
        client:step(1)
        return call:step()
      end)()
    until done
    assert.equal(5000.25, succeeded(call:result()).available_balance)
  end)

  it("fails at its timeout, whether it is stepped before or not", function()
    local client = new_client()
    local stepped = client:start_balance("USD", silent { timeout = 0.3 })
    local err = failed("timeout", await(client, stepped))
    assert.is_true(err.elapsed >= 0.3, err.elapsed)
    local left = client:start_balance("USD", silent { timeout = 0.1 })
    socket.sleep(0.25)
    failed("timeout", await(client, left))
  end)
end)

describe("a cancelled call", function()
  common()

  local function is_canceled(call, why)
    assert.is_true(call:done())
    assert.is_true(call:step())
    local err = failed("canceled", call:result())
    assert.equal(why or "canceled", err.retry_stopped)
    assert.is_false(err.retryable)
    assert.equal(call:attempts(), err.attempts)
    return err
  end

  -- When it is cancelled: moment(client, call), and whether the server may have seen it.
  local moments = {
    ["before it is sent"] = function() end,
    ["while the server works"] = function(client)
      until_arrived(client, 2)
      client:step(0)
    end,
    ["when its answer has come, unread"] = function(client, call)
      while #sandbox.requests() < 2 do client:step(0) end
      local give_up = socket.gettime() + 20
      while not sandbox.requests()[2].status do     -- no steps while it is answered
        assert.is_true(socket.gettime() < give_up)
      end
      assert.equal(1, #socket.select({ call }, nil, 10))
    end,
    ["when its answer has been read"] = function(client, call)
      while not call:dirty() do client:step(1) end
    end,
    ["while it waits for a retry"] = function(client, call)
      while not (call:attempts() == 1 and call:timeout() > 15) do
        client:step(1)
        call:step()
      end
    end,
  }

  for _, version in ipairs { "1.1", "2" } do
    for name, moment in pairs(moments) do
      it("ends at once " .. name .. ", and the next one has its own answer, HTTP/"
        .. version, function()
        local client = new_client { http_version = version, max_retries = 0 }
        assert.equal(5000.25, succeeded(client:balance "USD").available_balance)
        local options = { on_behalf_of = sandbox.sub_account, timeout = 1000 }
        if name == "while the server works" or name:find "unread" then
          options = with_fault({ kind = "delay", seconds = 0.1 }, options)
        elseif name == "while it waits for a retry" then
          options = with_fault({ kind = "status", status = 503, store = false }, options)
          options.max_retries, options.retry_delay, options.retry_delay_max = 1, 60, 60
        end
        local call = client:start_balance("USD", options)
        moment(client, call)
        call:cancel()
        is_canceled(call)
        call:cancel()
        local err = is_canceled(call)
        assert.equal(sandbox.sub_account, err.on_behalf_of)
        for _ = 1, 3 do
          local next_call = client:start_balance "SGD"
          assert.equal(10000, succeeded(client:balance "SGD").available_balance)
          assert.equal("SGD", succeeded(await(client, next_call)).currency)
        end
        adds_up(client, 8, 7)
      end)
    end
  end

  it("which is finished stays what it is", function()
    local client = new_client()
    local good, bad = client:start_balance "USD", client:start_balance "ZZZ"
    succeeded(await(client, good))
    failed("invalid_request", await(client, bad))
    good:cancel()
    bad:cancel()
    succeeded(good:result())
    failed("invalid_request", bad:result())
    adds_up(client, 2, 1)
  end)

  it("leaves a connection of HTTP/2 to the others", function()
    local client = new_client { http_version = "2" }
    local other = client:start_balance("SGD",
      with_fault { kind = "delay", seconds = 0.1 })
    local call = client:start_balance("USD", silent())
    until_arrived(client, 2)
    call:cancel()
    assert.equal(10000, succeeded(await(client, other)).available_balance)
    succeeded(await(client, client:start_balance "USD"))
    local log = sandbox.requests()
    assert.equal(3, #log)
    for n = 2, 3 do assert.equal(log[1].connection, log[n].connection) end
    assert.equal(1, client:stats().connections)
  end)

  it("does not reuse a connection of HTTP/1.1; the next call opens its own", function()
    local client = new_client { http_version = "1.1" }
    succeeded(client:balance "USD")
    local call = client:start_balance("USD", silent())
    until_arrived(client, 2)
    call:cancel()
    succeeded(client:balance "USD")
    local log = sandbox.requests()
    assert.equal(log[1].connection, log[2].connection)
    assert.not_equal(log[1].connection, log[3].connection)
  end)

  it("returns its slot under the rate limit", function()
    local client = new_client { rate_limit = 60 }
    succeeded(client:balance "USD")
    for _ = 1, 50 do
      local call = client:start_balance "USD"
      assert.equal(0, call:attempts())
      call:cancel()
      assert.equal(0, is_canceled(call).attempts)
    end
    local last = client:start_balance "USD"
    assert.is_true(last:timeout() < 5, last:timeout())
    last:cancel()
    adds_up(client, 52, 1)
  end)
end)

describe("a client that ends", function()
  common()

  -- Calls in flight, waiting for a retry, answered and unread, finished.
  local function start_all(client)
    local waits = client:start_balance("USD", with_fault({ kind = "status", status = 503,
      store = false }, { retry_delay = 60, retry_delay_max = 60, timeout = 1000 }))
    while waits:timeout() < 15 do
      client:step(1)
      waits:step()
    end
    local finished = client:start_balance "USD"
    succeeded(await(client, finished))
    local stuck, answered = client:start_balance("USD", silent()),
      client:start_balance "SGD"
    while not answered:dirty() do client:step(1) end
    return { stuck, waits, answered, finished }
  end

  local function are_closed(calls)
    for n = 1, 3 do
      assert.is_true(calls[n]:done())
      local err = failed("canceled", calls[n]:result())
      assert.equal("closed", err.retry_stopped)
      assert.matches("the client was closed", err.message, 1, true)
      assert.is_nil(calls[n]:pollfd())
      assert.equal(0, calls[n]:timeout())
      assert.is_true(calls[n]:dirty())
      calls[n]:cancel()
      assert.equal(err, failed("canceled", calls[n]:result()))
    end
    assert.equal(5000.25, succeeded(calls[4]:result()).available_balance)
  end

  it("by close() ends its calls as canceled", function()
    local client = new_client()
    local calls = start_all(client)
    client:close()
    are_closed(calls)
  end)

  if _VERSION >= "Lua 5.4" then
    it("by the end of its block ends its calls as canceled", function()
      local run = load [[
        local client, start_all = ...
        local c <close> = client
        return start_all(c)
      ]]
      are_closed(run(new_client(), start_all))
    end)
  end

  it("is not collected before its calls are", function()
    local client = fixture.client()
    local calls = { client:start_balance "USD", client:start_balance "SGD" }
    client = nil
    collect()
    for n = 2, 1, -1 do
      repeat socket.select({ calls[n] }, nil, 10) until calls[n]:step()
    end
    assert.equal(5000.25, succeeded(calls[1]:result()).available_balance)
    assert.equal("SGD", succeeded(calls[2]:result()).currency)
    assert.is_nil(client)
  end)

  it("has no further methods for its calls", function()
    local client = new_client()
    client:start_balance "USD"
    client:close()
    for _, name in ipairs { "start_balance", "step", "ready", "pollfd", "events",
      "timeout", "stats", "balance", "balances" } do
      raises(closed, client[name], client, "USD")
    end
  end)

  -- What is dropped: the client, its calls, all; with what left to the calls.
  it("may be collected with its calls, in any order", function()
    local watched = new_client()
    for round = 1, 12 do
      local client = fixture.client { http_version = round % 2 == 0 and "2" or "1.1" }
      local calls = start_all(client)
      if round % 3 == 0 then
        for n = 1, 4 do
          calls[n] = nil
          collect()
        end
        local stats = client:stats()
        assert.same({ 4, 1, 3 }, { stats.calls, stats.succeeded, stats.failed })
        client = nil
      elseif round % 3 == 1 then
        client = nil
        collect()
        calls = nil
      else
        client, calls = nil, nil
      end
      collect()
      assert.is_true(not client and (not calls or #calls == 0))
    end
    succeeded(watched:balance "USD")
  end)
end)

describe("a call collected in flight", function()
  common()

  for _, version in ipairs { "1.1", "2" } do
    it("is cancelled, and no other sees its answer, HTTP/" .. version, function()
      local client = new_client { http_version = version }
      succeeded(client:balance "USD")
      for round = 1, 5 do
        local kept = {
          client:start_balance("USD", { on_behalf_of = sandbox.sub_account }),
        }
        until_arrived(client, 3 * round - 1)
        assert.is_truthy(kept[1])
        kept[1] = nil
        collect()
        local stats = client:stats()
        assert.same({ 3 * round - 1, round }, { stats.calls, stats.failed })
        local other = client:start_balance "SGD"
        assert.equal(5000.25, succeeded(client:balance "USD").available_balance)
        assert.equal(10000, succeeded(await(client, other)).available_balance)
      end
    end)
  end

  it("is collected by hundreds, and leaves nothing", function()
    local client = new_client { http_version = "2" }
    for _ = 1, 300 do client:start_balance "USD" end
    client:step(0)
    collect()
    local stats = client:stats()
    assert.same({ 300, 300 }, { stats.calls, stats.failed })
    assert.is_nil(client:ready())
    assert.is_false(client:step(0))
    succeeded(client:balance "USD")
  end)
end)

-- Within the hooks of a call, and the token function, when it runs for one.
describe("a started call's", function()
  common()

  -- Where something is done in the course of a call, and the kind of the error at hand.
  local places = { on_request = "canceled", on_response = "api", on_retry = "api",
    token = "auth" }

  -- A client, and a call of it in flight, in a later step of which act(client, call)
  -- runs, once, at that place. The call's first answer is a 503 or, for the token
  -- function, a 401.
  local function start(place, act)
    local fresh = sandbox.new_token()
    local client, call, ran
    local function run(told)
      if not call or ran then return end
      if place == "token" and told ~= "rejected" then return end
      if place ~= "token" and told.currency ~= "SGD" then return end
      ran = true
      act(client, call)
    end
    local changes = { [place] = run }
    if place == "token" then
      changes.token = function(reason)
        run(reason)
        return reason == "rejected" and fresh or sandbox.token
      end
    end
    client = new_client(changes)
    call = client:start_balance("SGD", with_fault { kind = "answer", body = "{}",
      status = place == "token" and 401 or 503 })
    return client, call, function() return ran end
  end

  local acts = {
    ["leave its call alone, whatever it asks of it"] = function(place)
      local asked
      local client, call, ran = start(place, function(_, own)
        asked = { own:step(), own:done(), pcall(own.result, own) }
        collect()
      end)
      assert.equal(10000, succeeded(await(client, call)).available_balance)
      assert.is_true(ran())
      assert.same({ false, false, false, "the call is not finished" }, asked)
      assert.equal(0, client:stats().hook_errors)
      adds_up(client, 1, 1)
    end,

    ["cancel its own call"] = function(place)
      local client, call, ran = start(place, function(_, own)
        own:cancel()
        assert.is_false(own:done())       -- the result comes with the step
      end)
      local err = failed(places[place], await(client, call))
      assert.is_true(ran())
      assert.equal("canceled", err.retry_stopped)
      assert.equal(0, client:stats().hook_errors)
      adds_up(client, 1, 0)
      succeeded(client:balance "USD")
    end,

    ["close its client"] = function(place)
      local other
      local client, call, ran = start(place, function(its)
        its:close()
        its:close()
      end)
      other = client:start_balance("USD", silent())
      local err = failed(places[place], await(client, call))
      assert.is_true(ran())
      assert.equal("closed", err.retry_stopped)
      assert.equal("closed", failed("canceled", other:result()).retry_stopped)
      raises(closed, client.stats, client)
    end,

    ["cancel another call, and drop a third"] = function(place)
      local others = {}
      local client, call = start(place, function()
        others[1]:cancel()
        others[2] = nil
        collect()
      end)
      for n = 1, 2 do others[n] = client:start_balance("USD", silent()) end
      succeeded(await(client, call))
      assert.equal("canceled", failed("canceled", others[1]:result()).retry_stopped)
      assert.equal(0, client:stats().hook_errors)
      adds_up(client, 3, 1)
    end,

    ["step another call to its end"] = function(place)
      local other
      local client, call = start(place, function(its)
        assert.equal(5000.25, succeeded(await(its, other)).available_balance)
      end)
      other = client:start_balance "USD"
      assert.equal(10000, succeeded(await(client, call)).available_balance)
      assert.is_true(other:done())
      assert.equal(0, client:stats().hook_errors)
      adds_up(client, 2, 2)
    end,

    ["start another call, and block in a third"] = function(place)
      local other, blocking
      local client, call = start(place, function(its)
        other = its:start_balance "USD"
        blocking = pack(its:balance("USD", { on_behalf_of = sandbox.sub_account }))
      end)
      assert.equal(10000, succeeded(await(client, call)).available_balance)
      if place == "token" then
        for _, results in ipairs { pack(await(client, other)), blocking } do
          assert.matches("must not use its own client", failed("auth", unpack(results, 1,
            results.n)).message, 1, true)
        end
        adds_up(client, 3, 1)
      else
        assert.equal(5000.25, succeeded(await(client, other)).available_balance)
        assert.equal(111.11, succeeded(unpack(blocking, 1, 1)).available_balance)
        adds_up(client, 3, 3)
      end
      assert.equal(0, client:stats().hook_errors)
    end,
  }

  for place in pairs(places) do
    for name, act in pairs(acts) do
      it(place .. " may " .. name, function() act(place) end)
    end
  end
end)

-- Tests that end or fork the interpreter run in a child, with the same Lua.
describe("in a process that", function()
  common()

  local prelude = [[
    local uqpay = require "uqpay"
    local settings = { base_url = %q, ca_file = %q, token = %q, timeout = 20,
      retry_delay = 0.01, amounts = "string" }
    local function new_client(changes)
      for name, value in pairs(changes or {}) do settings[name] = value end
      return uqpay.new(settings)
    end
    local silent = { idempotency_key = %q }
    local function say(...)
      print(...)
      io.stdout:flush()
    end
    local function await(client, call)
      while not call:step() do client:step(1) end
      local balance, message, err = call:result()
      return balance and balance.available_balance or err.kind, err and err.retry_stopped
    end
  ]]

  local function run(code)
    local text = driver.output(driver.command("env", "LUA_PATH=" .. package.path,
      "LUA_CPATH=" .. package.cpath, os.getenv "UQPAY_LUA", "-e",
      prelude:format(sandbox.url, sandbox.ca_file, sandbox.token,
      silent().idempotency_key) .. code) .. " 2>&1; echo \"exit $?\"")
    local output, status = text:match "^(.*)exit (%d+)\n$"
    assert.equal("0", status, output)
    return output
  end

  local endings = {
    ["ends with calls in flight leaves nothing behind"] = [[
      Client = new_client { http_version = %q }
      Calls = {}
      for n = 1, 20 do Calls[n] = Client:start_balance("USD", n == 1 and silent or {}) end
      await(Client, Calls[20])
      Calls[19]:cancel()
      say "end" ]],
    ["ends with its clients first to go"] = [[
      local calls = {}
      for n = 1, 5 do
        local client = new_client { http_version = %q }
        calls[n] = client:start_balance "USD"
        calls[-n] = client:start_balance "SGD"
      end
      Calls = calls
      say "end" ]],
    ["ends while a finalizer uses a call still"] = [[
      local client = new_client { http_version = %q }
      local call = client:start_balance("USD", silent)
      local function finalizer()
        client:close()
        assert(call:step() and call:done())
        assert(select(3, call:result()).retry_stopped == "closed")
        assert(not pcall(client.start_balance, client, "USD"))
      end
      if newproxy then
        Kept = newproxy(true)
        getmetatable(Kept).__gc = finalizer
      else
        Kept = setmetatable({}, { __gc = finalizer })
      end
      say "end" ]],
  }
  if _VERSION ~= "Lua 5.1" then
    endings["ends within a hook"] = [[
      local call
      local client = new_client { http_version = %q, on_response = function()
        say "end"
        os.exit(0, true)
      end }
      call = client:start_balance "USD"
      await(client, call) ]]
  end

  for name, code in pairs(endings) do
    for _, version in ipairs { "1.1", "2" } do
      it(name .. ", HTTP/" .. version, function()
        assert.equal("end\n", run(code:format(version)))
      end)
    end
  end

  local children = {
    ["steps them"] = "",
    ["cancels them"] = "for n = 1, 2 do calls[n]:cancel() end",
    ["closes the client"] = "client:close()",
  }
  local told = {
    ["steps them"] = "forked\tnil\nforked\tnil\n",
    ["cancels them"] = "canceled\tcanceled\ncanceled\tcanceled\n",
    ["closes the client"] = "canceled\tclosed\ncanceled\tclosed\n",
  }
  local leavings = { "fork.leave(0)",
    "calls, client = nil, nil collectgarbage() collectgarbage() fork.leave(0)" }
  if _VERSION ~= "Lua 5.1" then leavings[3] = "os.exit(0, true)" end

  for _, version in ipairs { "1.1", "2" } do
    for name, code in pairs(children) do
      it("forks leaves the calls to the parent when the child " .. name .. ", HTTP/"
        .. version, function()
        for n, leaving in ipairs(leavings) do
          sandbox.reset()
          sandbox.fault { kind = "delay", seconds = 0.1, times = 2 }
          local text = run(([[
            local fork = require "fork"
            local client = new_client { http_version = %q }
            local fd = client:pollfd()
            local calls = { client:start_balance "USD", client:start_balance "SGD" }
            client:step(0)
            client:step(0.01)
            local pid = fork.fork()
            if pid == 0 then
              assert(calls[1]:pollfd() == nil and calls[1]:timeout() == 0)
              assert(client:pollfd() == nil)
              %s
              for n = 1, 2 do say(await(client, calls[n])) end
              %s
            end
            assert(fork.wait(pid) == "exit")
            assert(client:pollfd() == fd and calls[1]:pollfd() == fd)
            say(await(client, calls[1]))
            say(await(client, calls[2]))
            local stats = client:stats()
            say(stats.calls, stats.succeeded, stats.connections)
            client:close()
          ]]):format(version, code, leaving))
          local connections = version == "2" and 1 or 2
          assert.equal(told[name] .. "5000.25\tnil\n10000.00\tnil\n2\t2\t"
            .. connections .. "\n", text, leavings[n])
          assert.equal(2, #sandbox.requests())
        end
      end)
    end
  end
end)

-- Hundreds of acts that a seed determines; see spec/support/random.lua.
describe("calls by chance", function()
  common()

  local accounts = {
    { "USD", nil, 5000.25 }, { "SGD", nil, 10000 }, { "USD", "sub_account", 111.11 },
    { "SGD", "sub_account", 222.2 }, { "USD", "other_sub_account", 0 },
    { "XUSD", "other_sub_account", 44444.4 },
  }
  local faults = {
    { kind = "delay", seconds = 0.01 }, { kind = "delay", seconds = 0.05 },
    { kind = "drop_before" }, { kind = "drop_after" }, { kind = "truncate" },
    { kind = "html" }, { kind = "empty" },
    { kind = "status", status = 503, times = 2, store = false },
  }
  local may_fail = { decode = true, canceled = true }

  local function check(entry)
    local balance, message, err = entry.call:result()
    if balance then
      if balance.available_balance ~= entry.amount then
        random.fail("%s instead of %s", balance.available_balance, entry.amount)
      end
    elseif not may_fail[err.kind]
      or (err.kind == "canceled") ~= (entry.gone or false) then
      random.fail("%s", message)
    end
  end

  local function play(version, acts)
    local draw = random.generator()
    local client = new_client { http_version = version, max_retries = 5 }
    local entries = {}

    local function start()
      local account = random.pick(draw, accounts)
      local options = { on_behalf_of = account[2] and sandbox[account[2]] }
      if draw(6) == 1 then
        local fault = {}
        for name, value in pairs(random.pick(draw, faults)) do fault[name] = value end
        with_fault(fault, options)
      end
      entries[#entries + 1] = {
        call = client:start_balance(account[1], options), amount = account[3],
      }
    end

    local function any() return draw(#entries) end

    local all = {
      start, start, start,
      function() entries[any()].call:step() end,
      function() client:step(0) end,
      function() client:step(draw(10) / 1000) end,
      function()
        local entry = entries[any()]
        if entry.call:done() then return end
        entry.call:cancel()
        entry.gone = true
      end,
      function()        -- forget one, finished or not
        table.remove(entries, any())
        if draw(5) == 1 then collectgarbage() end
      end,
      function()
        local account = random.pick(draw, accounts)
        local balance, message = client:balance(account[1], {
          on_behalf_of = account[2] and sandbox[account[2]] })
        if not balance or balance.available_balance ~= account[3] then
          random.fail("%s", message)
        end
      end,
      function()
        if #entries > 0 then socket.select({ entries[any()].call }, nil, 0.005) end
      end,
      function()
        for id in client.ready, client do
          for _, entry in ipairs(entries) do
            if entry.call:id() == id then entry.call:step() end
          end
        end
      end,
      function()
        if draw(10) > 1 then return end
        client:close()
        for _, entry in ipairs(entries) do
          if not entry.call:step() then random.fail "it outlives its client" end
          local _, _, err = entry.call:result()
          if err and err.kind == "canceled" then entry.gone = true end
          check(entry)
        end
        entries = {}
        client = new_client { http_version = version, max_retries = 5 }
      end,
    }
    for _ = 1, acts do
      local act = #entries == 0 and start or #entries > 200 and all[8] or all[draw(#all)]
      act()
    end
    for _, entry in ipairs(entries) do
      await(client, entry.call)
      check(entry)
    end
    entries = nil
    collect()
    adds_up(client)
  end

  for _, version in ipairs { "1.1", "2", "auto" } do
    it("are each what they were asked for, HTTP " .. version, function()
      play(version, 400)
    end)
  end
end)
