-- The rate limiter: never more slots in a minute than the limit, however they are taken;
-- after a 429 the whole client slows down.

local engine = require "engine"
local fixture = require "spec.support.fixture"
local random = require "spec.support.random"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local uqpay = require "uqpay"

local failed, succeeded = fixture.failed, fixture.succeeded

-- The most slots within any minute.
local function busiest(slots)
  local most, first = 0, 1
  for last = 1, #slots do
    while slots[last] - slots[first] >= 60 do first = first + 1 end
    most = math.max(most, last - first + 1)
  end
  return most
end

describe("the rate limiter", function()
  -- Takes slots for ten minutes, as often as some way of asking lets it.
  local function ten_minutes(limiter, next_moment)
    local slots, now = {}, 1000
    while now < 1600 do
      if limiter:take(now) then slots[#slots + 1] = now end
      now = next_moment(now, limiter)
    end
    return slots
  end

  local generator = random.generator()
  local function chance() return generator(1000000) / 1000000 end
  local limits = { 1, 2, 3, 49, 50, 51, 99, 100, 300, 500, 999, 6000 }

  local askers = {
    ["all the time"] = function(now, limiter)
      return math.max(now + 0.001, limiter:next())
    end,
    ["a little late"] = function(now, limiter)
      return math.max(now, limiter:next()) + chance() * 0.05
    end,
    ["in bursts"] = function(now)
      return chance() < 0.02 and now + chance() * 40 or now + chance() * 0.01
    end,
    ["by chance"] = function(now)
      return now + chance() * 0.4
    end,
  }

  for name, next_moment in pairs(askers) do
    it("gives no more slots than the limit in any minute, asked " .. name, function()
      for _, limit in ipairs(limits) do
        local slots = ten_minutes(engine.rate_limiter(limit), next_moment)
        if busiest(slots) > limit then
          random.fail("%d slots in a minute, the limit is %d", busiest(slots), limit)
        end
      end
    end)
  end

  it("gives nearly as many as that", function()
    for _, limit in ipairs { 50, 100, 300, 500, 6000 } do
      local slots = ten_minutes(engine.rate_limiter(limit), askers["all the time"])
      assert.is_true(#slots > 10 * limit * 0.95, #slots .. " of " .. 10 * limit)
    end
    assert.equal(10, #ten_minutes(engine.rate_limiter(1), askers["all the time"]))
  end)

  it("gives a fiftieth at once, and more than that only after a while", function()
    for limit, burst in pairs { [500] = 10, [300] = 6, [100] = 2, [99] = 1, [1] = 1 } do
      local limiter = engine.rate_limiter(limit)
      for _ = 1, burst do assert.is_true(limiter:take(50)) end
      assert.is_false(limiter:take(50))
      assert.is_true(limiter:next() > 50)
      assert.is_false(limiter:take(limiter:next() - 0.001))
      assert.is_true(limiter:take(limiter:next()))
    end
  end)

  it("is none without a limit", function()
    local limiter = engine.rate_limiter(0)
    for _ = 1, 5000 do assert.is_true(limiter:take(7)) end
    assert.is_true(limiter:admit(7))
  end)

  it("admits a queue as fast as slots come, also if some do not take theirs", function()
    local limiter, called, slots, now = engine.rate_limiter(300), 0, {}, 10
    while limiter:take(now) do slots[#slots + 1] = now end
    while now < 310 do
      now = now + 0.01
      while limiter:admit(now) do
        called = called + 1
        if called % 7 ~= 0 and limiter:take(now) then slots[#slots + 1] = now end
      end
    end
    assert.is_true(called > 5 * 285 and called <= 5 * 300 + 6, called)
    assert.is_true(busiest(slots) <= 300)
    assert.is_true(#slots > 5 * 285 * 6 / 7 - 7, #slots)
  end)

  it("knows when a waiter in the queue will be admitted", function()
    local limiter = engine.rate_limiter(100)
    while limiter:take(20) do end
    local tenth = limiter:due(20, 9)
    local n, now = 0, 20
    while n < 10 do
      now = now + 0.001
      if limiter:admit(now) then
        n = n + 1
        assert.is_true(limiter:take(now))
      end
    end
    assert.is_true(math.abs(now - tenth) < 0.05, now - tenth)
  end)

  describe("after a 429", function()
    local function refused(limit, count, over)
      local limiter = engine.rate_limiter(limit)
      for n = 1, count do assert.is_true(limiter:take(100 + over * n / count)) end
      local now = 100 + over + 0.1
      assert.equal(1, limiter:refused(now, now - 0.05))
      limiter:pause(now, 2)
      return limiter, now
    end

    it("gives no slots during the pause, then one", function()
      local limiter, now = refused(0, 20, 1)
      assert.is_false(limiter:take(now + 1.99))
      assert.is_false(limiter:admit(now + 1.99))
      assert.equal(now + 2, limiter:due(now, 0))
      assert.is_true(limiter:admit(now + 2))
      assert.is_true(limiter:take(now + 2))
      assert.is_false(limiter:admit(now + 3.9))
      assert.is_false(limiter:take(now + 3.9))
    end)

    it("gives slots again when the probe is accepted", function()
      local limiter, now = refused(0, 20, 1)
      assert.is_true(limiter:take(now + 2))
      limiter:accepted(now + 2.1, now + 2)
      assert.is_true(limiter:take(now + 2.9))
    end)

    it("gives another probe when the first has no response", function()
      local limiter, now = refused(0, 20, 1)
      limiter:pause(now, 60)
      assert.is_true(limiter:take(now + 60))
      assert.is_false(limiter:take(now + 64.9))
      assert.is_true(limiter:take(now + 65))
    end)

    it("of another process, gives one slot, too", function()
      local limiter = engine.rate_limiter(0)
      for _ = 1, 20 do assert.is_true(limiter:take(100)) end
      limiter:pause_shared(100, 2)
      assert.is_false(limiter:take(101.9))
      limiter:pause_shared(101.9, 0.1) -- the rest of the same
      limiter:accepted(101.95, 99.9)
      assert.is_false(limiter:take(101.99))
      assert.is_true(limiter:take(102))
      assert.is_false(limiter:take(103.9))
      limiter:accepted(103.9, 102)
      assert.is_true(limiter:take(103.9))
      assert.is_false(limiter:take(103.9)) -- slower than before
    end)

    it("ignores responses to requests that were sent before", function()
      local limiter, now = refused(0, 20, 1)
      limiter:accepted(now + 0.1, now - 0.04)
      assert.is_false(limiter:take(now + 1.9))
      assert.equal(1, limiter:refused(now + 0.1, now - 0.03))
      assert.is_true(limiter:take(now + 2))
      assert.equal(2, limiter:refused(now + 2.1, now + 2))
      limiter:accepted(now + 4.2, now + 4.1)
      assert.equal(1, limiter:refused(now + 5, now + 4.9))
    end)

    -- Seconds between slots, `after` seconds later.
    local function spacing(limiter, now, after)
      assert.is_true(limiter:take(now + 2))
      limiter:accepted(now + 2.01, now + 2)
      local slots, moment = {}, now + after
      while #slots < 20 do
        if limiter:take(moment) then slots[#slots + 1] = moment end
        moment = moment + 0.001
      end
      return (slots[20] - slots[10]) / 10
    end

    it("is slower than before", function()
      local limited = spacing(refused(300, 6, 1), 101.1, 3)
      assert.is_true(limited > 1.15 * 61 / 295 and limited < 1.3 * 61 / 295, limited)
      local free = spacing(refused(0, 20, 1), 101.1, 3)
      assert.is_true(free > 0.29 and free < 0.32, free)
    end)

    it("estimates the rate from what the server accepted within a minute", function()
      local gap = spacing(refused(0, 600, 3), 103.1, 3)
      assert.is_true(gap > 1.15 * 60 / 600 and gap < 1.3 * 60 / 600, gap)
    end)

    it("estimates nothing from a few requests", function()
      local limiter, now = refused(0, 3, 1)
      assert.is_true(limiter:take(now + 2))
      limiter:accepted(now + 2.1, now + 2)
      for _ = 1, 100 do assert.is_true(limiter:take(now + 2.2)) end
    end)

    it("is back to the limit within five minutes", function()
      local gap = spacing(refused(0, 20, 1), 101.1, 152)
      assert.is_true(gap > 0.12 and gap < 0.17, gap)
      local limiter, now = refused(0, 20, 1)
      assert.is_true(limiter:take(now + 2))
      limiter:accepted(now + 2.1, now + 2)
      for _ = 1, 100 do assert.is_true(limiter:take(now + 301)) end
    end)

    it("is worth waiting for during two minutes of 429s", function()
      local limiter, now = refused(0, 20, 1)
      assert.is_true(limiter:worth_waiting(now + 119))
      limiter:refused(now + 119, now + 118)
      assert.is_false(limiter:worth_waiting(now + 121))
      limiter:accepted(now + 130, now + 129)
      limiter:refused(now + 140, now + 139)
      assert.is_true(limiter:worth_waiting(now + 200))
    end)

    it("never gives more slots than the limit, whatever is answered 429", function()
      for _, limit in ipairs { 1, 60, 300, 500 } do
        local limiter, slots, now = engine.rate_limiter(limit), {}, 1000
        while now < 1600 do
          if limiter:take(now) then
            slots[#slots + 1] = now
            if chance() < 0.05 then
              limiter:refused(now + 0.01, now)
              limiter:pause(now + 0.01, chance() * 5)
            else
              limiter:accepted(now + 0.01, now)
            end
          end
          now = now + 0.02 + chance() * 0.02
        end
        assert.is_true(busiest(slots) <= limit)
        assert.is_true(#slots >= 5 * math.min(limit, 10), #slots)
      end
    end)
  end)
end)

describe("a client", function()
  local client
  local sent -- when each request was

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    sent = {}
  end)
  after_each(function()
    if client then client:close() end
    client = nil
  end)

  local function watched(options)
    local all = { on_request = function() sent[#sent + 1] = socket.gettime() end }
    for name, value in pairs(options or {}) do all[name] = value end
    return fixture.client(all)
  end

  -- Seconds between two requests.
  local function between(first, last)
    return sent[last] - sent[first]
  end

  local function finish(calls)
    local deadline = socket.gettime() + 30
    for _, call in ipairs(calls) do
      while not call:step() do
        assert.is_true(socket.gettime() < deadline)
        client:step(0.05)
      end
    end
  end

  describe("with a rate_limit", function()
    it("spreads its calls", function()
      client = watched { rate_limit = 300 }
      local n = 0
      for _, balance in client:batch(function()
        n = n + 1
        return n <= 9 and "USD" or nil
      end) do
        assert.is_truthy(balance)
      end
      assert.is_true(between(1, 9) >= 3 * 61 / 295 - 0.05, between(1, 9))
    end)

    it("spreads blocking calls, and retries as well", function()
      client = watched { rate_limit = 100 }
      sandbox.fault { kind = "status", status = 503 }
      succeeded(client:balance "USD")
      succeeded(client:balance "USD")
      assert.is_true(between(1, 3) >= 61 / 99 - 0.05, between(1, 3))
    end)

    it("steps the calls in flight while others wait", function()
      client = watched { rate_limit = 20 }
      local first, second = client:start_balance "USD", client:start_balance "USD"
      assert.equal(1, first:attempts())
      assert.equal(0, second:attempts())
      finish { first }
      assert.is_false(second:done())
      assert.equal(0, second:attempts())
      assert.equal(1, #sandbox.requests())
    end)

    it("fails a call at once that gets no slot within its timeout", function()
      client = watched { rate_limit = 6 }
      succeeded(client:balance "USD")
      local start = socket.gettime()
      local err = failed("rate_limit", client:balance("USD", { timeout = 5 }))
      assert.is_true(socket.gettime() - start < 4)
      assert.equal(0, err.attempts)
      assert.equal("deadline", err.retry_stopped)
      assert.is_true(err.retryable)
      assert.is_true(err.retry_after > 5 and err.retry_after < 10.2, err.retry_after)
      assert.matches("rate_limit", err.message)
      assert.equal(1, #sandbox.requests())
    end)

    it("counts the whole queue for that", function()
      client = watched { rate_limit = 6, timeout = 15 }
      succeeded(client:balance "USD")
      local waits = client:start_balance "USD"
      assert.is_false(waits:done())
      failed("rate_limit", client:start_balance("USD"):result())
      waits:cancel()
      assert.is_false(client:start_balance("USD"):done())
    end)

    it("does not count the wait of a call that is queued", function()
      client = watched { rate_limit = 99 }
      succeeded(client:balance "USD")
      local balance = succeeded(client:balance("USD", { timeout = 0.4, queued = true }))
      assert.equal("USD", balance.currency)
      for _, another, message in client:batch({ "USD" }, { timeout = 0.4 }) do
        assert.is_truthy(another, message)
      end
      assert.is_true(between(1, 3) >= 2 * 61 / 99 - 0.05)
    end)

    it("gives the slots of cancelled calls to the next ones", function()
      client = watched { rate_limit = 60, timeout = 60 }
      local calls = {}
      for n = 1, 40 do calls[n] = client:start_balance "USD" end
      local start = socket.gettime()
      for n = 2, 39 do calls[n]:cancel() end
      finish { calls[1], calls[40] }
      assert.is_true(socket.gettime() - start < 20)
      assert.is_true(between(1, 2) >= 0.95)
      assert.equal(2, #sandbox.requests())
    end)

    it("does not double its rate for calls that come late to their slots", function()
      client = watched { rate_limit = 99, timeout = 60 }
      local calls = {}
      for n = 1, 3 do calls[n] = client:start_balance "USD" end
      local late = socket.gettime() + 1.4
      repeat client:step(0.1) until socket.gettime() > late
      finish(calls)
      assert.equal(3, #sandbox.requests())
      assert.is_true(between(2, 3) >= 61 / 99 - 0.05, between(2, 3))
    end)
  end)

  it("has the limit of its environment, or none", function()
    -- How many of 20 calls go at once, to a proxy that is not there.
    local function at_once(options)
      local all = { token = "t", proxy = "http://127.0.0.1:9", max_retries = 0 }
      for name, value in pairs(options) do all[name] = value end
      client = uqpay.new(all)
      local n = 0
      for _ = 1, 20 do
        if client:start_balance("USD"):attempts() > 0 then n = n + 1 end
      end
      client:close()
      return n
    end
    local sandboxes = at_once {}
    assert.is_true(sandboxes >= 10 and sandboxes < 20, sandboxes)
    local production = at_once { environment = "production" }
    assert.is_true(production >= 6 and production < 10, production)
    assert.equal(1, at_once { rate_limit = 10 })
    assert.equal(20, at_once { rate_limit = 0 })
    assert.equal(20, at_once { environment = "production", rate_limit = 0 })
    assert.equal(20, at_once { base_url = "https://api.uqpay.example/api" })
  end)

  describe("after a 429", function()
    it("slows down all calls, whichever received it", function()
      client = watched()
      sandbox.fault { kind = "rate_limit", retry_after = "1" }
      local calls = { client:start_balance("USD", { max_retries = 0 }) }
      finish(calls)
      failed("rate_limit", calls[1]:result())
      for n = 1, 5 do calls[n] = client:start_balance "USD" end
      succeeded(client:balance "USD")
      finish(calls)
      for _, call in ipairs(calls) do succeeded(call:result()) end
      assert.is_true(between(1, 2) >= 1, between(1, 2))
      assert.equal(7, #sandbox.requests())
    end)

    it("sends one call, and the others when that has its response", function()
      client = watched()
      sandbox.fault { kind = "rate_limit" }
      sandbox.fault { kind = "delay", seconds = 0.5 }
      failed("rate_limit", client:balance("USD", { max_retries = 0, retry_delay = 0.6,
        retry_delay_max = 0.6 }))
      local calls = {}
      for n = 1, 5 do calls[n] = client:start_balance "USD" end
      finish(calls)
      assert.is_true(between(1, 2) >= 0.3, between(1, 2))
      assert.is_true(between(2, 3) >= 0.5, between(2, 3))
    end)

    it("pauses the other calls for a minute at most", function()
      client = watched()
      sandbox.fault { kind = "rate_limit", retry_after = "3600" }
      local err = failed("rate_limit", client:balance "USD")
      assert.equal(3600, err.retry_after)
      assert.equal("deadline", err.retry_stopped)
      err = failed("rate_limit", client:balance "USD")
      assert.equal(0, err.attempts)
      assert.is_true(err.retry_after > 30 and err.retry_after <= 60, err.retry_after)
      assert.matches("429", err.message, 1, true)
      assert.equal(1, #sandbox.requests())
    end)

    it("retries a queued call as often as need be", function()
      client = watched { max_retries = 0 }
      sandbox.fault { kind = "rate_limit", times = 6 }
      succeeded(client:balance("USD", { queued = true, timeout = 2 }))
      sandbox.fault { kind = "rate_limit" }
      failed("rate_limit", client:balance "USD")
    end)
  end)

  describe("under a server's limit", function()
    -- The queries of a batch that fail, and the 429s that there were.
    local function run(count, concurrency)
      local n, bad = 0, 0
      for _, balance in client:batch(function()
        n = n + 1
        return n <= count and "USD" or nil
      end, { concurrency = concurrency, timeout = 20 }) do
        if not balance then bad = bad + 1 end
      end
      local refusals = 0
      for _, request in ipairs(sandbox.requests()) do
        if request.status == 429 then refusals = refusals + 1 end
      end
      return bad, refusals
    end

    it("completes a batch with hardly a 429 if its own limit fits", function()
      sandbox.settings { rate_limit = 110, rate_window = 1 }
      client = watched { rate_limit = 3000 }
      local bad, refusals = run(150, 32)
      assert.equal(0, bad)
      assert.is_true(refusals < 40, refusals)
    end)

    it("completes a batch without a limit of its own", function()
      sandbox.settings { rate_limit = 12, rate_window = 1 }
      client = watched { retry_delay = 0.2, retry_delay_max = 0.4 }
      local bad, refusals = run(18, 8)
      assert.equal(0, bad)
      assert.is_true(refusals > 0 and refusals < 20, refusals)
    end)
  end)
end)
