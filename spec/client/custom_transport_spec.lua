-- The options transport and clock: a function of the program in place of libcurl, and the
-- time as it says. No server: a client that asked one would fail.

local fixture = require "spec.support.fixture"
local uqpay = require "uqpay"

local failed, succeeded = fixture.failed, fixture.succeeded

local now, slept -- the clock: seconds, and the list of its sleeps
local clock = {
  now = function() return now end,
  sleep = function(seconds)
    slept[#slept + 1] = seconds
    now = now + seconds
  end,
}

local requests -- all that came

local function ok(amount)
  return { status = 200, body = fixture.body(amount or "1.50") }
end

local function token(life)
  return { status = 200, body = ('{"auth_token":"token-%d-abcdefgh","expired_at":%d}')
    :format(#requests, now + (life or 1800)) }
end

-- A transport that answers with these in turn, the last one for ever: each a table, or a
-- function of the request.
local function answers(...)
  local list, n = { ... }, 0
  return function(request)
    requests[#requests + 1] = request
    n = n < #list and n + 1 or n
    if type(list[n]) == "function" then return list[n](request) end
    return list[n]
  end
end

local function fails(...)
  local kind, message = ...
  return function() return nil, kind, message end
end

local function unavailable(retry_after)
  return { status = 503, body = "", headers = { ["retry-after"] = retry_after } }
end

-- An error object.
local function shown(tostring)
  return setmetatable({}, { __tostring = tostring })
end

local credentials = {
  token = false, client_id = "the-client", api_key = "the-api-key-of-the-client",
}

local function client(transport, changes)
  local options = { token = "token-of-the-program", transport = transport, clock = clock }
  for name, value in pairs(changes or {}) do
    options[name] = value or nil
  end
  return uqpay.new(options)
end

before_each(function()
  now, slept, requests = 1700000000, {}, {}
end)

describe("the option transport", function()
  it("is given all of a request", function()
    local c = client(answers(ok()), { base_url = "https://uqpay.example/api/" })
    succeeded(c:balance("USD", { on_behalf_of = "6a1f3c02-5d0e-4a7b-9c44-0f2be8d17a01",
      idempotency_key = "11111111-1111-4111-8111-111111111111", timeout = 7 }))
    local request = requests[1]
    assert.equal("https://uqpay.example/api/v1/issuing/balances", request.url)
    assert.equal("POST", request.method)
    assert.equal("balance", request.endpoint)
    assert.equal('{"currency":"USD"}', request.body)
    assert.equal(7, request.timeout)
    assert.equal("Bearer token-of-the-program", request.headers["x-auth-token"])
    assert.equal("Bearer token-of-the-program", request.headers["X-Auth-Token"])
    assert.equal("application/json", request.headers["content-type"])
    assert.equal("11111111-1111-4111-8111-111111111111",
      request.headers["x-idempotency-key"])
    assert.equal("6a1f3c02-5d0e-4a7b-9c44-0f2be8d17a01",
      request.headers["x-on-behalf-of"])
    assert.truthy(request.headers["user-agent"]:find "^lua%-uqpay/")
    assert.is_nil(request.headers["x-api-key"])
    assert.is_nil(request.headers[1])
  end)

  it("is given requests of every endpoint, a login's with credentials", function()
    local page = { status = 200, body = '{"total_pages":1,"total_items":0,"data":[]}' }
    local c = client(function(request)
      requests[#requests + 1] = request
      return request.endpoint == "token" and token() or page
    end, credentials)
    assert.same({}, succeeded(c:balances()).data)
    assert.same({}, succeeded(c:transactions { page_size = 20 }).data)
    assert.same({}, succeeded(c:accounts()).data)
    local seen = {}
    for n, request in ipairs(requests) do
      seen[n] = request.method .. " " .. request.endpoint .. " "
        .. request.url:match "/api(/.*)$"
    end
    assert.same({
      "POST token /v1/connect/token",
      "GET balances /v1/issuing/balances?page_size=10&page_number=1",
      "GET transactions /v1/issuing/balances/transactions?page_size=20&page_number=1",
      "GET accounts /v1/accounts?page_size=10&page_number=1",
    }, seen)
    assert.equal("the-client", requests[1].headers["x-client-id"])
    assert.equal("the-api-key-of-the-client", requests[1].headers["x-api-key"])
    assert.equal("", requests[1].body)
    assert.is_nil(requests[1].headers["content-type"])
    assert.is_nil(requests[2].body)
    assert.equal("Bearer token-1-abcdefgh", requests[2].headers["x-auth-token"])
  end)

  it("may be a callable object", function()
    local callable = setmetatable({}, { __call = function(_, request)
      assert(request.endpoint == "balance")
      return ok "7"
    end })
    assert.equal(7, succeeded(client(callable):balance "USD").available_balance)
  end)

  it("gives digits as they are", function()
    local c = client(answers(ok "12345678901234567890.12"), { amounts = "string" })
    assert.equal("12345678901234567890.12", succeeded(c:balance "USD").available_balance)
  end)

  it("gives statuses and headers to judgement as a server would", function()
    local c = client(answers {
      status = 403, body = '{"type":"unauthorized_error","code":"forbidden"}',
      headers = { ["X-Request-Id"] = "the-request" },
    })
    local err = failed("permission", c:balance "USD")
    assert.equal(403, err.status)
    assert.equal("the-request", err.request_id)
    assert.equal("forbidden", err.code)
    assert.equal(1, err.attempts)
  end)

  it("retries what a server or the wire may do better next time", function()
    local c = client(answers(fails("connect", "no route"), { status = 503, body = "" },
      ok "9"), { max_retries = 2 })
    assert.equal(9, succeeded(c:balance "USD").available_balance)
    assert.equal(3, #requests)
    -- after a failure of the wire the outcome is unknown: the same key
    assert.equal(requests[1].headers["x-idempotency-key"],
      requests[2].headers["x-idempotency-key"])
    assert.equal(2, #slept)
    assert.equal(2, c:stats().retries)
    assert.equal(0, c:stats().connections)
  end)

  for kind, attempts in pairs { connect = 3, dns = 3, timeout = 3, tls = 1, protocol = 1,
    too_large = 1, decode = 1, config = 1, memory = 1 } do
    it("reports the kind " .. kind .. " of a failed wire", function()
      local err = failed(kind, client(answers(fails(kind, "as it was"))):balance "USD")
      assert.equal(attempts, err.attempts)
      assert.truthy(err.message:find("as it was", 1, true), err.message)
      assert.is_nil(err.status)
    end)
  end

  it("retries a 429 after the seconds of Retry-After, a number or a date", function()
    local limited = { status = 429, body = '{"message":"slow"}',
      headers = { ["retry-after"] = 7 } }
    succeeded(client(answers(limited, ok())):balance "USD")
    assert.same({ 7 }, slept)
    now = 784111770 -- 7 s before this date
    limited.headers["retry-after"], slept = "Sun, 06 Nov 1994 08:49:37 GMT", {}
    succeeded(client(answers(limited, ok())):balance "USD")
    assert.same({ 7 }, slept)
  end)

  local wrong = {
    { "a number", function() return 5 end, "a table or nil expected, got number" },
    { "nothing", function() end, "nil must be followed by a kind" },
    { "a kind that is none of the wire's", fails "auth", "nil must be followed by a" },
    { "no status", function() return {} end, "status: a whole number from 200 to 999" },
    { "a status of 100", function() return { status = 100 } end, "status: a whole" },
    { "a status of 200.5", function() return { status = 200.5 } end, "status: a whole" },
    { "a body that is a table", function() return { status = 200, body = {} } end,
      "body: a string expected, got table" },
    { "headers that are text", function() return { status = 200, headers = "a: b" } end,
      "headers: a table expected, got string" },
    { "a list of headers", function() return { status = 200, headers = { "a: b" } } end,
      "headers: names expected as keys, got number" },
    { "a header that is a table",
      function() return { status = 200, headers = { a = {} } } end,
      "headers%['a'%]: a string expected, got table" },
    { "a header of two lines",
      function() return { status = 200, headers = { a = "b\r\nx-request-id: c" } } end,
      "headers%['a'%]: one line expected" },
    { "an error", function() error "it broke" end, "it broke" },
    { "an error object",
      function() error(shown(function() return "odd" end)) end,
      "odd" },
    { "an error object whose text raises",
      function() error(shown(function() error "x" end)) end,
      "an error without a text" },
    { "a field that raises",
      function() return setmetatable({}, { __index = function() error "deep" end }) end,
      "deep" },
    { "a yield", function() return coroutine.yield() end, "yield" },
  }
  for _, case in ipairs(wrong) do
    it("refuses " .. case[1] .. ", and does not retry", function()
      local calls = 0
      local c = client(function(request)
        calls = calls + 1
        if calls == 2 then return ok() end
        return case[2](request)
      end)
      local err = failed("config", c:balance "USD")
      assert.truthy(err.message:find("the option transport: ", 1, true), err.message)
      assert.truthy(err.message:find(case[3]), err.message)
      assert.equal(1, calls)
      succeeded(c:balance "USD")
    end)
  end

  it("keeps the limit of a response's size", function()
    local c = client(answers { status = 200, body = (" "):rep(5000) .. ok().body },
      { max_response_bytes = 1024 })
    failed("too_large", c:balance "USD")
  end)

  it("hides the token in what a response quotes", function()
    local c = client(answers { status = 400,
      body = '{"message":"bad token-of-the-program"}' })
    local err = failed("invalid_request", c:balance "USD")
    assert.is_nil(err.message:find("token-of-the-program", 1, true))
    assert.is_nil(err.body:find("token-of-the-program", 1, true))
  end)

  it("runs within batches, iterators and call objects", function()
    local c = client(function(request)
      requests[#requests + 1] = request
      if request.endpoint == "balance" then
        return { status = 200,
          body = fixture.body("3", request.body:match '"currency":"(%u+)"') }
      end
      local page = tonumber(request.url:match "page_number=(%d+)")
      return { status = 200, body = ('{"total_pages":2,"total_items":2,"data":[%s]}')
        :format(fixture.body(page):gsub('"x"', '"x' .. page .. '"')) }
    end)
    local currencies = {}
    for query, balance in c:batch { "USD", "SGD", "EUR" } do
      assert.equal(query, balance.currency)
      currencies[#currencies + 1] = query
    end
    table.sort(currencies)
    assert.same({ "EUR", "SGD", "USD" }, currencies)
    local amounts = {}
    for balance in c:each_balance() do
      amounts[#amounts + 1] = balance.available_balance
    end
    assert.same({ 1, 2 }, amounts)
    local call = c:start_balance "USD"
    fixture.finish(c, { call })
    assert.equal(3, succeeded(call:result()).available_balance)
  end)

  it("calls the hooks as ever", function()
    local seen = {}
    local function note(what)
      return function(info) seen[#seen + 1] = what .. " " .. (info.status or "") end
    end
    local c = client(answers({ status = 500, body = "" }, ok()), {
      on_request = note "request", on_response = note "response", on_retry = note "retry",
    })
    succeeded(c:balance "USD")
    assert.same({ "request ", "response 500", "retry 500", "request ", "response 200" },
      seen)
  end)

  it("may use other clients, and its own for another call", function()
    local other = client(answers(ok "2"))
    local c
    c = client(function(request)
      if request.body:find "USD" then
        assert(c:balance("SGD").available_balance == 4)
        assert(other:balance("USD").available_balance == 2)
        return ok "3"
      end
      return { status = 200, body = fixture.body("4", "SGD") }
    end)
    assert.equal(3, succeeded(c:balance "USD").available_balance)
  end)

  it("may close its client, which ends the call", function()
    local c
    c = client(function()
      c:close()
      return ok()
    end)
    failed("canceled", c:balance "USD")
  end)

  it("may cancel its call object", function()
    local call
    local c = client(answers(fails "connect", function()
      call:cancel()
      return ok()
    end))
    call = c:start_balance "USD" -- its first request fails: it waits for the second
    fixture.finish(c, { call })
    failed("canceled", call:result())
    assert.equal(2, #requests)
  end)

  it("is not called by a closed client, nor for a refused value", function()
    local c = client(answers(ok()))
    failed("invalid_request", c:balance "usd")
    c:close()
    assert.has_error(function() c:balance "USD" end,
      "attempt to use a closed uqpay client")
    assert.same({}, requests)
  end)

  it("is refused if it cannot be called", function()
    assert.has_error(function() client "https" end,
      "bad option 'transport' to 'new' (function expected, got string)")
    assert.has_error(function() client {} end,
      "bad option 'transport' to 'new' (function expected, got table)")
  end)

  it("works without a clock: by the system's", function()
    local c = client(answers({ status = 503, body = "" }, ok()),
      { clock = false, retry_delay = 0.001 })
    succeeded(c:balance "USD")
    assert.equal(2, #requests)
    assert.same({}, slept)
  end)
end)

describe("the option clock", function()
  it("lets the waits of retries take no time", function()
    local c = client(answers { status = 503, body = "" },
      { max_retries = 3, retry_delay = 600, retry_delay_max = 600, timeout = 7200 })
    local err = failed("api", c:balance "USD")
    assert.equal(4, err.attempts)
    assert.equal(3, #slept)
    for _, seconds in ipairs(slept) do assert.is_true(seconds >= 300, seconds) end
    assert.is_true(err.elapsed >= 900)
  end)

  it("ends a call at its deadline", function()
    local c = client(answers(unavailable(60)))
    local err = failed("api", c:balance("USD", { timeout = 30 }))
    assert.equal("deadline", err.retry_stopped)
    assert.same({}, slept)
  end)

  it("makes a timeout of a response that took too long", function()
    local c = client(function()
      clock.sleep(31)
      return ok()
    end)
    local err = failed("timeout", c:balance "USD")
    assert.is_true(err.elapsed >= 31)
    assert.is_true(err.retryable)
  end)

  it("paces calls by rate_limit", function()
    local c = client(answers(ok()), { rate_limit = 60 })
    for _ = 1, 20 do succeeded(c:balance("USD", { timeout = 600 })) end
    local sum = 0
    for _, seconds in ipairs(slept) do sum = sum + seconds end
    assert.is_true(sum > 10 and sum < 21, sum)
  end)

  it("says when a token ends", function()
    local logins = 0
    local c = client(function(request)
      if request.endpoint ~= "token" then return ok() end
      logins = logins + 1
      return token(1800)
    end, credentials)
    for _ = 1, 3 do succeeded(c:balance "USD") end
    assert.equal(1, logins)
    now = now + 1750 -- within 300 s of its end
    succeeded(c:balance "USD")
    assert.equal(2, logins)
    local _, ends = c:token()
    assert.equal(now + 1800, ends)
  end)

  it("moves client:step and client:timeout", function()
    local c = client(answers(unavailable(5), ok()))
    local call = c:start_balance "USD"
    while not call:step() and #requests < 2 do
      if c:timeout() and c:timeout() > 0 then
        assert.equal(5, c:timeout())
        assert.is_false(c:step(2))
        assert.same({ 2 }, slept)
        assert.equal(3, c:timeout())
        assert.is_true(c:step(60))
        assert.same({ 2, 3 }, slept)
      end
    end
    fixture.finish(c, { call })
    succeeded(call:result())
  end)

  it("may be slow, stand still, or be set back", function()
    local times = { 5, 5, 4, 3 }
    local c = client(answers({ status = 503, body = "" }, { status = 503, body = "" },
      ok()), { clock = {
        now = function() return table.remove(times) or 0 end,
        sleep = function(seconds) slept[#slept + 1] = seconds end,
      } })
    succeeded(c:balance "USD")
    assert.equal(2, #slept)
  end)

  it("raises what its functions raise, and loses nothing", function()
    local broken = false
    local c = client(answers({ status = 503, body = "" }, ok()), { clock = {
      now = clock.now,
      sleep = function(seconds)
        if broken then error "no sleep" end
        clock.sleep(seconds)
      end,
    } })
    broken = true
    assert.has_error(function() c:balance "USD" end)
    broken = false
    succeeded(c:balance "USD")
    assert.has_error(function()
      client(answers(ok()), { clock = { now = function() end, sleep = clock.sleep } })
    end, "clock.now: seconds expected, got nil")
    assert.has_error(function()
      client(answers(ok()), { clock = { now = function() return 0 / 0 end,
        sleep = clock.sleep } })
    end, "clock.now: seconds expected, got no finite number")
  end)

  it("fails a call if it raises after the transport, and leaves none behind", function()
    local broken = false
    local c = client(function()
      broken = not broken
      return ok()
    end, { clock = {
      now = function() return broken and error "no time" or now end,
      sleep = clock.sleep,
    } })
    local err = failed("config", c:balance "USD")
    assert.truthy(err.message:find("the option clock: .*no time"), err.message)
    broken = false
    assert.is_nil(c:timeout()) -- no call is left that waits
    assert.equal(1, c:stats().failed)
  end)

  it("is refused without transport, and if it is no clock", function()
    assert.has_error(function() client(nil, { transport = false }) end,
      "bad option 'clock' to 'new' (only together with transport)")
    assert.has_error(function() client(print, { clock = os.time }) end,
      "bad option 'clock' to 'new' (table expected, got function)")
    assert.has_error(function() client(print, { clock = { now = os.time } }) end,
      "bad option 'clock.sleep' to 'new' (function expected, got nil)")
  end)
end)
