-- How programs wait for call objects: client:step and client:ready, the descriptor and
-- the timeouts, LuaSocket's select.

local engine = require "engine"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local failed, succeeded = fixture.failed, fixture.succeeded
local with_fault = fixture.with_fault

local function raises(message, ...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.matches(message, err, 1, true)
end

local client

local function common()
  fixture.with_client(function(made) client = made end)
end

-- Options of a call that is never answered.
local function silent()
  return with_fault { kind = "hang", seconds = 60 }
end

-- Options of a call whose first answer is a failure.
local function failing(options)
  return with_fault({ kind = "status", status = 503, store = false }, options)
end

-- A call that waits for a retry, for a minute.
local function start_waiting()
  local call = client:start_balance("USD",
    failing { retry_delay = 120, retry_delay_max = 120, timeout = 1000 })
  while call:timeout() < 15 do
    client:step(1)
    call:step()
  end
  return call
end

-- True if the descriptor is readable for a program that only knows its number.
local function readable(fd, seconds)
  return engine.readable(fd, math.ceil((seconds or 0) * 1000))
end

-- Steps the engine until so many requests have arrived, and nothing is to be done
-- soon.
local function settle(count)
  local give_up = socket.gettime() + 20
  while #sandbox.requests() < count or (client:timeout() or 10) < 3
    or readable(client:pollfd()) do
    client:step(0.01)
    assert.is_true(socket.gettime() < give_up, "it is never quiet")
  end
end

describe("client:step", function()
  common()

  it("waits until a call can be stepped, and says so", function()
    local stuck = client:start_balance("USD", silent())
    local call = client:start_balance("SGD", with_fault { kind = "delay", seconds = 0.1 })
    assert.is_true(client:step(20))
    assert.is_true(call:dirty())
    assert.is_false(stuck:dirty())
    local start = socket.gettime()
    for _ = 1, 40 do assert.is_true(client:step(20)) end -- at once, as long as it can
    assert.is_true(socket.gettime() - start < 8)
    assert.is_true(call:step())
    assert.is_false(client:step())
    succeeded(call:result())
  end)

  it("waits no longer than its argument, by default not at all", function()
    client:start_balance("USD", silent())
    settle(1)
    local start = socket.gettime()
    assert.is_false(client:step(0.3))
    assert.is_true(socket.gettime() - start >= 0.299)
    start = socket.gettime()
    for _ = 1, 20 do assert.is_false(client:step()) end
    for _ = 1, 20 do assert.is_false(client:step(0)) end
    assert.is_true(socket.gettime() - start < 5)
  end)

  it("waits for retries and for the rate limit as well", function()
    local call = client:start_balance("USD", failing { retry_delay = 0.1 })
    while call:attempts() == 1 do
      assert.is_true(client:step(20))
      assert.is_false(call:step())
    end
    while not call:step() do assert.is_true(client:step(20)) end
    succeeded(call:result())
    local paced = fixture.client { rate_limit = 600 }
    local calls = {}
    for n = 1, 15 do calls[n] = paced:start_balance "USD" end
    assert.equal(0, calls[15]:attempts())
    for n = 15, 1, -1 do
      while not calls[n]:step() do assert.is_true(paced:step(20)) end
      succeeded(calls[n]:result())
    end
    paced:close()
  end)

  it("takes seconds that make sense", function()
    for _, bad in ipairs { -1, -0.001, 0 / 0, math.huge, 86401, "soon", {}, true } do
      raises("bad argument #1 to 'step'", function() client:step(bad) end)
    end
    for _, good in ipairs { 0, "0", 0.001 } do client:step(good) end
    assert.is_false(client:step(nil))
  end)
end)

describe("client:ready", function()
  common()

  it("gives each call that can be stepped", function()
    local calls, left = {}, 20
    for _ = 1, left do
      local call = client:start_balance("USD", failing())
      calls[call:id()] = call
    end
    local named = 0
    while left > 0 do
      assert.is_true(client:step(20))
      local before = named
      for call in client.ready, client do
        named = named + 1
        assert.is_true(call:dirty())
        assert.equal(call, calls[call:id()])
        if call:step() then
          succeeded(call:result())
          calls[call:id()] = nil
          left = left - 1
        end
      end
      assert.is_true(named > before)
    end
    assert.is_nil(client:ready())
    assert.is_nil(next(calls))
    assert.is_true(named >= 40)       -- each was stepped for its retry, too
  end)

  it("returns it once, unless it is due again", function()
    local first = client:start_balance("USD", failing())
    local second = client:start_balance "USD"
    while not (first:dirty() and second:dirty()) do client:step(20) end
    local named = { [client:ready()] = true, [client:ready()] = true }
    assert.same({ [first] = true, [second] = true }, named)
    assert.is_nil(client:ready())
    assert.is_false(client:step(0))
    assert.is_true(second:step())
    for _ = 1, 2 do       -- after the wait for its retry, and with the answer to that
      assert.is_false(first:step())
      assert.is_true(client:step(20))
      assert.equal(first, client:ready())
    end
    assert.is_true(first:step())
  end)

  it("returns no call that was cancelled, collected or stepped before", function()
    local calls = {}
    for n = 1, 4 do calls[n] = client:start_balance "USD" end
    for n = 1, 4 do
      while not calls[n]:dirty() do client:step(1) end
    end
    calls[1]:cancel()
    assert.is_true(calls[2]:step())
    calls[3] = nil
    collectgarbage()
    collectgarbage()
    assert.equal(calls[4], client:ready())
    assert.is_nil(client:ready())
    assert.is_true(calls[4]:step())     -- named, and to be stepped all the same
  end)

  it("is nil and not nothing without a call, like pollfd and timeout", function()
    assert.equal(1, select("#", client:ready()))
    assert.equal(1, select("#", client:timeout()))
    assert.is_nil(client:ready())
    assert.is_nil(client:timeout())
  end)
end)

describe("the descriptor", function()
  common()

  local function descriptors()
    local count = 0
    for n = 0, 255 do
      local file = io.open("/proc/self/fdinfo/" .. n)
      if file then
        file:close()
        count = count + 1
      end
    end
    return count
  end

  it("is not there before the first use", function()
    collectgarbage()
    collectgarbage()
    local before = descriptors()
    local fresh = fixture.client()
    assert.is_nil(fresh:timeout())
    assert.equal("r", fresh:events())
    assert.is_nil(fresh:ready())
    assert.is_false(fresh:step(0))
    assert.equal(before, descriptors())
    assert.equal("number", type(fresh:pollfd()))
    assert.is_true(descriptors() > before)
    fresh:close()
    assert.equal(before, descriptors())
  end)

  it("is one for all calls of a client, and another one's is another", function()
    local fd = client:pollfd()
    local calls = {}
    for n = 1, 30 do
      calls[n] = client:start_balance("USD", n % 10 == 0 and failing() or nil)
      assert.equal(fd, calls[n]:pollfd())
      assert.equal(fd, calls[n]:getfd())
      assert.equal("r", calls[n]:events())
    end
    for n = 1, 30 do
      while not calls[n]:step() do
        assert.equal(fd, calls[n]:pollfd())
        client:step(1)
      end
    end
    assert.equal(fd, client:pollfd())
    assert.equal("r", client:events())
    assert.is_nil(calls[1]:pollfd())
    local other = fixture.client()
    assert.not_equal(fd, other:pollfd())
    other:close()
  end)

  it("is quiet while there is nothing to do", function()
    local stuck = client:start_balance("USD", silent())
    local fd = client:pollfd()
    settle(1)
    assert.is_false(readable(fd, 0.05))
    assert.is_false(stuck:dirty())
    assert.is_true(stuck:timeout() > 0)
  end)

  it("becomes readable for an answer, and is quiet when all was done", function()
    local call = client:start_balance("USD", with_fault { kind = "delay", seconds = 0.1 })
    local fd = client:pollfd()
    repeat assert.is_true(readable(fd, 20)) until call:step()
    succeeded(call:result())
    settle(1)
    assert.is_false(readable(fd, 0.05))
    assert.is_nil(client:timeout())
  end)

  it("stays readable while a call is to be stepped, whoever waits", function()
    local fd = client:pollfd()
    local call = client:start_balance "USD"
    local other = client:start_balance("SGD", silent())
    while not call:dirty() do
      assert.is_true(readable(fd, 20))
      other:step()
    end
    for _ = 1, 3 do
      assert.is_true(readable(fd, 20))
      assert.is_false(other:step())
      assert.equal(0, client:timeout())
    end
    assert.is_true(call:step())
    settle(2)
    assert.is_false(readable(fd))
  end)

  it("becomes readable for a retry without another call of pollfd", function()
    local fd = client:pollfd()
    local call = client:start_balance("USD", failing { retry_delay = 0.2 })
    local waits = 0
    repeat
      assert.is_true(readable(fd, 20))
      waits = waits + 1
    until call:step()
    succeeded(call:result())
    assert.is_true(waits < 200, waits)      -- it waits and does not spin
  end)

  it("becomes readable for a call that is over within another's hook", function()
    local one, call
    one = fixture.client { on_request = function(info)
      while info.currency == "SGD" and not call:dirty() do one:step(1) end
    end }
    local fd = one:pollfd()
    call = one:start_balance "USD"
    succeeded(one:balance "SGD")
    assert.equal(0, one:stats().hook_errors)
    assert.is_true(readable(fd, 20))
    assert.is_true(call:step())
    one:close()
  end)
end)

describe("timeout", function()
  common()

  it("is never below 0, and 0 for what can be stepped", function()
    local calls = {}
    for n = 1, 10 do
      calls[n] = client:start_balance("USD", n % 3 == 0 and failing() or nil)
    end
    local left = 10
    local give_up = socket.gettime() + 30
    while left > 0 do
      assert.is_true(socket.gettime() < give_up)
      for n = 1, 10 do
        local call = calls[n]
        assert.is_true(call:timeout() >= 0)
        assert.is_true(call:timeout() <= 10.5)
        if call:dirty() then assert.equal(0, call:timeout()) end
        assert.is_true((client:timeout() or 0) >= 0)
        if not call:done() and call:step() then left = left - 1 end
      end
      client:step(0.01)
    end
    for n = 1, 10 do assert.equal(0, calls[n]:timeout()) end
    settle(13)
    assert.is_nil(client:timeout())
  end)

  it("is that of a retry", function()
    local call = start_waiting()
    local left = call:timeout()
    assert.is_true(left > 15 and left <= 120, left)
    assert.is_false(call:dirty())
    settle(1)
    local clients = client:timeout()
    assert.is_true(clients <= call:timeout() + 0.001 and clients > 0)
  end)

  it("is enough to go by: each step when it says so, and not before", function()
    local calls = {
      client:start_balance("USD", failing { retry_delay = 0.1 }),
      client:start_balance("SGD", with_fault { kind = "hang", seconds = 60 }),
    }
    calls[3] = client:start_balance("USD", with_fault(
      { kind = "hang", seconds = 60, times = 2 }, { timeout = 0.3, max_retries = 0 }))
    local fd = client:pollfd()
    local give_up = socket.gettime() + 20
    while not (calls[1]:done() and calls[3]:done()) do
      assert.is_true(socket.gettime() < give_up)
      readable(fd, client:timeout())
      for n = 1, 3 do calls[n]:step() end
    end
    succeeded(calls[1]:result())
    failed("timeout", calls[3]:result())
    sandbox.reset() -- it may have been sent again after silence, or not
  end)
end)

describe("LuaSocket's select", function()
  common()

  -- Drives calls by select only, to their end. Returns how often it polled.
  local function drive(calls)
    local left, rounds = {}, 0
    for n, call in ipairs(calls) do left[n] = call end
    while #left > 0 do
      local ready = socket.select(left, nil, 20)
      assert.is_true(#ready > 0, "select sees nothing")
      for _, call in ipairs(ready) do call:step() end
      for n = #left, 1, -1 do
        if left[n]:done() then table.remove(left, n) end
      end
      rounds = rounds + 1
    end
    return rounds
  end

  for _, version in ipairs { "1.1", "2" } do
    it("is enough to finish calls, including retries, HTTP/" .. version, function()
      local one = fixture.client { http_version = version }
      local calls = {}
      for n = 1, 40 do
        calls[n] = one:start_balance("USD", n % 4 == 0 and failing { retry_delay = 0.05 }
          or n % 4 == 1 and with_fault { kind = "delay", seconds = 0.05 } or nil)
      end
      calls[41] = one:start_balance "ZZZ"
      drive(calls)
      for n = 1, 40 do
        assert.equal(5000.25, succeeded(calls[n]:result()).available_balance)
      end
      failed("invalid_request", calls[41]:result())
      local stats = one:stats()
      assert.same({ 41, 40, 1, 10 },
        { stats.calls, stats.succeeded, stats.failed, stats.retries })
      one:close()
    end)
  end

  it("is enough to drive calls through waits for the rate limit, asleep", function()
    local one = fixture.client { rate_limit = 600 }
    local calls = {}
    for n = 1, 16 do calls[n] = one:start_balance("USD", { queued = n % 2 == 0 }) end
    assert.equal(0, calls[16]:attempts())
    local rounds = drive(calls)
    for n = 1, 16 do succeeded(calls[n]:result()) end
    assert.is_true(rounds < 1000, rounds)
    one:close()
  end)

  it("is enough to end calls at their timeout", function()
    local calls = {}
    for n = 1, 3 do
      calls[n] = client:start_balance("USD", with_fault({ kind = "hang", seconds = 60 },
        { timeout = 0.1 * n, max_retries = 0 }))
    end
    drive(calls)
    for n = 1, 3 do failed("timeout", calls[n]:result()) end
  end)

  it("takes calls of several clients, and other sockets", function()
    local two = fixture.client { http_version = "2" }
    local calls = { client:start_balance "USD", two:start_balance "SGD" }
    local server = assert(socket.bind("127.0.0.1", 0))
    local host, port = server:getsockname()
    local peer = assert(socket.connect(host, port))
    local left, seen = { calls[1], server, calls[2] }, {}
    while #left > 0 do
      local ready = socket.select(left, nil, 20)
      assert.is_true(#ready > 0)
      for _, waiter in ipairs(ready) do
        if waiter == server or waiter:step() then seen[waiter] = true end
      end
      for n = #left, 1, -1 do
        if seen[left[n]] then table.remove(left, n) end
      end
    end
    assert.equal("USD", succeeded(calls[1]:result()).currency)
    assert.equal("SGD", succeeded(calls[2]:result()).currency)
    peer:close()
    server:close()
    two:close()
  end)

  it("sees what came about while another call blocked", function()
    local calls = {
      client:start_balance "USD", client:start_balance("SGD", failing()),
    }
    local account = { on_behalf_of = sandbox.sub_account }
    sandbox.fault { kind = "delay", seconds = 0.1,
      match = { ["x-on-behalf-of"] = sandbox.sub_account } }
    assert.equal(111.11, succeeded(client:balance("USD", account)).available_balance)
    drive(calls)
    assert.equal("USD", succeeded(calls[1]:result()).currency)
    assert.equal("SGD", succeeded(calls[2]:result()).currency)
  end)
end)

describe("a blocking call", function()
  common()

  it("drives started ones, and they drive it", function()
    local calls = {}
    for n = 1, 10 do
      calls[n] = client:start_balance(n % 2 == 0 and "USD" or "SGD",
        n % 3 == 0 and with_fault { kind = "delay", seconds = 0.02 } or nil)
      if n % 2 == 0 then
        assert.equal("XUSD", succeeded(client:balance "XUSD").currency)
      end
    end
    for n = 1, 10 do
      while not calls[n]:step() do client:step(20) end
      assert.equal(n % 2 == 0 and "USD" or "SGD", succeeded(calls[n]:result()).currency)
    end
    local stats = client:stats()
    assert.same({ 15, 15 }, { stats.calls, stats.succeeded })
    assert.is_nil(client:ready())
  end)

  it("is not named to be stepped", function()
    local named
    local one
    one = fixture.client { on_response = function() named = one:ready() end }
    succeeded(one:balance "USD")
    assert.is_nil(named)
    assert.is_nil(one:ready())
    one:close()
  end)
end)
