-- Which failures are retried, how long the waits are, and where it all ends:
-- over the real wire, with the server's log as the witness.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local uqpay = require "uqpay"

local failed, succeeded = fixture.failed, fixture.succeeded

local days = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local months = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
  "Nov", "Dec" }

-- An HTTP date, whatever the locale.
local function http_date(time)
  local t = os.date("!*t", time)
  return ("%s, %02d %s %04d %02d:%02d:%02d GMT"):format(days[t.wday], t.day,
    months[t.month], t.year, t.hour, t.min, t.sec)
end

local function arrived() return #sandbox.requests() end

local function fault(order, times)
  local copy = { times = times }
  for name, value in pairs(order) do copy[name] = value end
  sandbox.fault(copy)
end

-- A client that records the arguments of on_retry.
local function noting(changes)
  local notes = {}
  local options = fixture.options(changes)
  options.on_retry = function(info) notes[#notes + 1] = info end
  return uqpay.new(options), notes
end

-- The argument of on_retry for the first failure; there is no wait, since the client
-- is closed. Returns the error as well.
local function announced(kind, changes)
  local client, told
  local options = fixture.options(changes)
  options.on_retry = function(info)
    told = info
    client:close()
  end
  client = uqpay.new(options)
  local err = failed(kind, client:balance "USD")
  assert.equal("closed", err.retry_stopped)
  return told, err
end

-- Failures that another try may mend, by the kind that stays if none does.
local mended = {
  { "connect", "drop before the answer", { kind = "drop_before" } },
  { "connect", "drop after the work", { kind = "drop_after" } },
  { "connect", "truncated answer", { kind = "truncate" } },
  { "connect", "truncated head", { kind = "garbage",
    body = "HTTP/1.1 200 OK\r\nContent-Le" } },
  { "timeout", "HTTP 408", { kind = "status", status = 408 } },
  { "rate_limit", "HTTP 429", { kind = "status", status = 429 } },
  { "rate_limit", "rate limit", { kind = "rate_limit" } },
  { "conflict", "request in progress", { kind = "processing" } },
  { "api", "HTTP 500", { kind = "status", status = 500 } },
  { "api", "HTTP 500, shape B", { kind = "status", status = 500, shape = "B" } },
  { "api", "HTTP 502 page", { kind = "html" } },
  { "api", "HTTP 503, empty", { kind = "empty", status = 503 } },
  { "api", "HTTP 504", { kind = "status", status = 504 } },
  { "api", "HTTP 599", { kind = "status", status = 599 } },
  { "api", "200 with code 500", { kind = "status", status = 200, shape = "G",
    code = 500 } },
  { "rate_limit", "200 with code 429", { kind = "status", status = 200, shape = "G",
    code = 429 } },
  { "timeout", "200 with code 408", { kind = "status", status = 200, shape = "G",
    code = 408 } },
}

-- Failures that stay.
local final = {
  { "invalid_request", "HTTP 400", { kind = "status", status = 400 } },
  { "auth", "HTTP 401", { kind = "status", status = 401 } },
  { "permission", "HTTP 403", { kind = "status", status = 403 } },
  { "not_found", "HTTP 404", { kind = "status", status = 404 } },
  { "invalid_request", "HTTP 405", { kind = "status", status = 405, shape = "B" } },
  { "conflict", "HTTP 409", { kind = "status", status = 409 } },
  { "invalid_request", "HTTP 422", { kind = "status", status = 422 } },
  { "idempotency", "idempotency error", { kind = "answer", status = 400,
    body = '{"type":"idempotency_error","code":"x","message":"mismatch"}' } },
  { "invalid_request", "200 with code 400", { kind = "status", status = 200,
    shape = "G" } },
  { "api", "200 with an error of no code", { kind = "answer",
    body = '{"error":"no"}' } },
  { "protocol", "HTTP 202", { kind = "answer", status = 202, body = "{}" } },
  { "protocol", "HTTP 204", { kind = "empty", status = 204 } },
  { "protocol", "HTTP 307", { kind = "redirect" } },
  { "protocol", "HTTP 600", { kind = "answer", status = 600, body = "{}" } },
  { "protocol", "HTTP 999", { kind = "answer", status = 999, body = "{}" } },
  { "protocol", "no HTTP", { kind = "garbage" } },
  { "decode", "empty body", { kind = "empty" } },
  { "decode", "no JSON", { kind = "answer", body = "balance: 5" } },
  { "schema", "missing fields", { kind = "answer", body = "{}" } },
  { "too_large", "huge body", { kind = "huge", bytes = 1100000 } },
  { "too_large", "huge headers", { kind = "huge_headers", bytes = 100000 } },
}

describe("a failed attempt", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, case in ipairs(mended) do
    local kind, name, order = case[1], case[2], case[3]

    it("is made again: " .. name, function()
      local client, notes = noting { max_retries = 2 }
      fault(order, 1)
      assert.equal(5000.25, succeeded(client:balance "USD").available_balance)
      assert.equal(2, arrived())
      assert.equal(1, #notes)
      assert.equal(kind, notes[1].kind)
      local stats = client:stats()
      assert.equal(2, stats.attempts)
      assert.equal(1, stats.retries)
    end)

    it("is made again max_retries times, no more: " .. name, function()
      local client = fixture.client { max_retries = 1 }
      fault(order, 9)
      local err = failed(kind, client:balance "USD")
      assert.equal(2, arrived())
      assert.equal(2, err.attempts)
      assert.equal("max_retries", err.retry_stopped)
      assert.is_true(err.retryable)
    end)
  end

  for _, case in ipairs(final) do
    local kind, name, order = case[1], case[2], case[3]

    it("is not made again: " .. name, function()
      local client, notes = noting { max_retries = 5 }
      fault(order, 9)
      local err = failed(kind, client:balance "USD")
      assert.equal(1, arrived())
      assert.equal(1, err.attempts)
      assert.equal("not_retryable", err.retry_stopped)
      assert.is_false(err.retryable)
      assert.equal(0, #notes)
      assert.equal(0, client:stats().retries)
    end)
  end

  it("is made again when no server listens, or the name has no address", function()
    -- A label of 64 bytes fails inside the resolver: no query leaves the machine.
    local nowhere = "https://" .. ("a"):rep(64) .. ".invalid/api"
    for kind, url in pairs { connect = "https://127.0.0.1:1/api", dns = nowhere } do
      local client, notes = noting { base_url = url, max_retries = 2 }
      local err = failed(kind, client:balance "USD")
      assert.equal(3, err.attempts)
      assert.equal("max_retries", err.retry_stopped)
      assert.is_true(err.retryable)
      assert.is_nil(err.status)
      assert.equal(2, #notes)
    end
  end)

  it("is judged by itself: a retry may end in another kind", function()
    sandbox.fault { { kind = "drop_before" }, { kind = "html" },
      { kind = "status", status = 403 } }
    local client, notes = noting { max_retries = 5 }
    local err = failed("permission", client:balance "USD")
    assert.equal(3, err.attempts)
    assert.equal(403, err.status)
    assert.equal("not_retryable", err.retry_stopped)
    assert.equal("connect", notes[1].kind)
    assert.is_nil(notes[1].status)
    assert.equal("api", notes[2].kind)
    assert.equal(502, notes[2].status)
  end)
end)

describe("max_retries", function()
  before_each(function()
    sandbox.reset()
    sandbox.fault { kind = "html", times = 1000 }
  end)

  local function count(of_client, of_call)
    local before = arrived()
    local client = fixture.client { max_retries = of_client, retry_delay = 0 }
    local err = failed("api", client:balance("USD", { max_retries = of_call }))
    assert.equal(err.attempts, arrived() - before)
    return err.attempts
  end

  it("is the number of attempts after the first", function()
    assert.equal(1, count(0))
    assert.equal(2, count(1))
    assert.equal(101, count(100))
  end)

  it("is 2 when not given", function()
    assert.equal(3, count(false))
  end)

  it("can be given with a call, for this call only", function()
    assert.equal(1, count(5, 0))
    assert.equal(4, count(0, 3))
    local client = fixture.client { max_retries = 1 }
    client:balance("USD", { max_retries = 4 })
    assert.equal(2, failed("api", client:balance "USD").attempts)
  end)
end)

describe("the wait before a retry", function()
  before_each(function() sandbox.reset() end)

  it("doubles from retry_delay to retry_delay_max, half of it by chance", function()
    local client, notes = noting {
      max_retries = 6, retry_delay = 0.004, retry_delay_max = 0.02,
    }
    sandbox.fault { kind = "html", times = 9 }
    failed("api", client:balance "USD")
    assert.equal(6, #notes)
    for n, step in ipairs { 0.004, 0.008, 0.016, 0.02, 0.02, 0.02 } do
      local wait = notes[n].wait
      assert.is_true(wait >= step / 2 and wait <= step, wait .. " at " .. n)
      assert.equal(n, notes[n].attempt)
    end
  end)

  it("differs from one retry to the next", function()
    local client, notes = noting {
      max_retries = 100, retry_delay = 0.001, retry_delay_max = 0.001,
    }
    sandbox.fault { kind = "html", times = 101 }
    failed("api", client:balance "USD")
    local low, high = 1, 0
    for _, note in ipairs(notes) do
      low, high = math.min(low, note.wait), math.max(high, note.wait)
    end
    -- all hundred in one half: once in 2^99 runs
    assert.is_true(low < 0.00075 and high > 0.00075, low .. " " .. high)
  end)

  it("is waited, as announced", function()
    local client, notes = noting { retry_delay = 0.05, retry_delay_max = 0.1 }
    sandbox.fault { kind = "html", times = 2 }
    local start = socket.gettime()
    succeeded(client:balance "USD")
    local sum = notes[1].wait + notes[2].wait
    assert.is_true(socket.gettime() - start >= sum)
    local log = sandbox.requests()
    assert.is_true(log[3].time - log[1].time > sum - 0.02)    -- its clock ticks in ms
  end)

  it("is 0 with retry_delay = 0", function()
    local client, notes = noting { retry_delay = 0, retry_delay_max = 0 }
    sandbox.fault { kind = "html", times = 2 }
    succeeded(client:balance "USD")
    assert.equal(0, notes[1].wait)
    assert.equal(0, notes[2].wait)
  end)

  it("can be given with a call", function()
    local client, notes = noting { retry_delay = 5, retry_delay_max = 5 }
    sandbox.fault { kind = "html" }
    succeeded(client:balance("USD", { retry_delay = 0.001, retry_delay_max = 0.001 }))
    assert.is_true(notes[1].wait <= 0.001)
  end)
end)

describe("Retry-After", function()
  before_each(function() sandbox.reset() end)

  local function limit(value)
    sandbox.fault { kind = "rate_limit", retry_after = value }
  end

  -- The header as it stands, byte by byte.
  local function limit_raw(value)
    sandbox.fault { kind = "garbage", body = "HTTP/1.1 429 Slow\r\nRetry-After:" .. value
      .. "\r\nContent-Length: 0\r\n\r\n" }
  end

  for _, value in ipairs { "1", " 2", " 007 ", " 3600", "\t60\t" } do
    it("'" .. value:gsub("\t", "TAB") .. "' is honoured", function()
      limit_raw(value)
      local note, err = announced("rate_limit", { timeout = 86400 })
      assert.equal(tonumber(value), note.wait)
      assert.equal(tonumber(value), err.retry_after)
    end)
  end

  local function falls_back(name, value)
    it(name .. " falls back to the schedule", function()
      limit_raw(" " .. value)
      local note, err = announced("rate_limit",
        { retry_delay = 4, retry_delay_max = 4, timeout = 100 })
      assert.is_true(note.wait >= 2 and note.wait <= 4, note.wait)
      assert.is_nil(err.retry_after)
    end)
  end

  for _, value in ipairs {
    "0", "00", "-5", "-0", "99999", "3601", "99999999999999999999999999", "soon", "",
    "2s", "1.5", "0x10", "1e1", "2, 3", "2 3", "+2", "nan", "inf",
    "Thu, 01 Jan 1970 00:00:00 GMT", "Sun, 99 Foo 2099 25:61:61 GMT", "Sun, 06 Nov 1994",
  } do
    falls_back(("%q"):format(value), value)
  end
  falls_back("a date of a minute ago", http_date(os.time() - 60))
  falls_back("a date more than an hour ahead", http_date(os.time() + 7200))

  it("of a date is honoured as the time until then", function()
    for _, seconds in ipairs { 60, 300, 3500 } do
      limit(http_date(os.time() + seconds))
      local wait = announced("rate_limit", { timeout = 86400 }).wait
      assert.is_true(wait > seconds - 30 and wait <= seconds, wait)
    end
  end)

  it("is honoured with every status that is retried", function()
    for kind, order in pairs {
      timeout = { kind = "status", status = 408, store = false },
      api = { kind = "status", status = 503, store = false },
      conflict = { kind = "processing" },
    } do
      order.headers = { ["Retry-After"] = "77" }
      sandbox.fault(order)
      assert.equal(77, announced(kind, { timeout = 1000 }).wait)
    end
  end)

  it("makes nothing be retried that is not", function()
    sandbox.fault { kind = "status", status = 400, headers = { ["retry-after"] = "1" } }
    local err = failed("invalid_request", fixture.client():balance "USD")
    assert.equal(1, err.attempts)
    assert.equal("not_retryable", err.retry_stopped)
  end)

  it("never shortens the schedule", function()
    limit "1"
    local note = announced("rate_limit",
      { retry_delay = 9, retry_delay_max = 9, timeout = 100 })
    assert.is_true(note.wait >= 4.5, note.wait)
  end)

  it("is really waited for", function()
    local date = math.ceil(socket.gettime() + 0.1)    -- the next second that is not near
    limit(http_date(date))
    succeeded(fixture.client():balance "USD")
    assert.is_true(sandbox.requests()[2].time > date - 0.01)
  end)

  it("stops the call at once when the deadline comes first", function()
    limit "60"
    local client, notes = noting { timeout = 50 }
    local start = socket.gettime()
    local err = failed("rate_limit", client:balance "USD")
    assert.is_true(socket.gettime() - start < 25)
    assert.equal("deadline", err.retry_stopped)
    assert.equal(60, err.retry_after)
    assert.equal(1, err.attempts)
    assert.is_true(err.retryable)
    assert.equal(0, #notes)
  end)

  it("is of one answer, and not of the next call's", function()
    local client = fixture.client { timeout = 30 }
    -- a 503: a 429 would hold the client's next calls back
    sandbox.fault { kind = "status", status = 503, headers = { ["retry-after"] = "50" } }
    assert.equal(50, failed("api", client:balance "USD").retry_after)
    sandbox.fault { kind = "drop_before", times = 9 }
    assert.is_nil(failed("connect", client:balance "USD").retry_after)
    sandbox.reset()
    sandbox.fault { kind = "html", times = 9 }
    assert.is_nil(failed("api", client:balance "USD").retry_after)
  end)

  it("of an informational answer or a trailer is not meant", function()
    local body = '{"code":503}'
    sandbox.fault { kind = "garbage", body = "HTTP/1.1 103 Early Hints\r\n"
      .. "Retry-After: 7\r\n\r\nHTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. ("%x\r\n%s\r\n0\r\nRetry-After: 8\r\n\r\n"):format(#body, body) }
    local note, err = announced("api", { timeout = 100 })
    assert.is_true(note.wait < 1, note.wait)
    assert.is_nil(err.retry_after)
  end)
end)

describe("the timeout", function()
  before_each(function() sandbox.reset() end)

  -- Runs a call that must end about when its timeout does, in this way or that.
  local function timed(kind, client, options, other_kind)
    local start = socket.gettime()
    local _, message, err = client:balance("USD", options)
    local took = socket.gettime() - start
    failed(err and err.kind == other_kind and other_kind or kind, nil, message, err)
    assert.is_true(took < (options.timeout or 0) + 20, took)
    assert.is_true(err.elapsed <= took and err.elapsed >= 0)
    return err, took
  end

  it("ends an attempt that gets no answer", function()
    sandbox.fault { kind = "hang" }
    local err, took = timed("timeout", fixture.client(), { timeout = 0.1 })
    assert.is_true(took >= 0.1)
    assert.is_true(err.elapsed >= 0.1)
    assert.equal(1, err.attempts)
    assert.equal("deadline", err.retry_stopped)
    assert.is_true(err.retryable)
  end)

  it("spans all attempts and waits", function()
    sandbox.fault { kind = "html", times = 1000 }
    local client = fixture.client { max_retries = 100 }
    fixture.given_time(function(seconds)
      local before = arrived()
      -- the last attempt may begin in time and not end in time
      local err = timed("api", client, { timeout = seconds, retry_delay = seconds / 5,
        retry_delay_max = seconds / 5 }, "timeout")
      assert.equal("deadline", err.retry_stopped)
      assert.is_true(err.attempts <= 11, err.attempts)
      assert.is_true(err.attempts - (arrived() - before) <= 1)
      return err.attempts >= 2
    end)
  end)

  it("leaves a later attempt only what is left", function()
    sandbox.fault { { kind = "hang", seconds = 0.04 }, { kind = "hang" } }
    local err, took = timed("timeout", fixture.client(), { timeout = 0.6 })
    assert.is_true(err.attempts <= 2, err.attempts)
    assert.is_true(took >= 0.6)
  end)

  it("begins no wait that would reach it", function()
    sandbox.fault { kind = "html" }
    local client = fixture.client { retry_delay = 200, retry_delay_max = 200 }
    local err = timed("api", client, { timeout = 50 })
    assert.is_true(err.elapsed < 25)
    assert.equal("deadline", err.retry_stopped)
    assert.equal(1, err.attempts)
  end)

  it("is each call's own", function()
    local client = fixture.client { timeout = 0.06 }
    for _ = 1, 2 do
      sandbox.fault { kind = "hang" }
      local _, took = timed("timeout", client, {})
      assert.is_true(took >= 0.06)
    end
    sandbox.reset()
    succeeded(client:balance("USD", { timeout = 30 }))
  end)
end)

describe("an error", function()
  before_each(function() sandbox.reset() end)

  it("has the number of attempts and the time", function()
    sandbox.fault { kind = "html", times = 9 }
    local client, notes = noting { retry_delay = 0.05, retry_delay_max = 0.05 }
    local start = socket.gettime()
    local err = failed("api", client:balance "USD")
    local took = socket.gettime() - start
    assert.equal(3, err.attempts)
    assert.matches("3 attempts", err.message, 1, true)
    assert.is_true(err.elapsed >= notes[1].wait + notes[2].wait)
    assert.is_true(err.elapsed <= took)
  end)

  it("of a client that on_retry closes is the last one, and no retry follows", function()
    sandbox.fault { kind = "html" }
    local note, err = announced "api"
    assert.equal(1, note.attempt)
    assert.equal(1, err.attempts)
    assert.equal(502, err.status)
    assert.equal(1, arrived())
  end)
end)
