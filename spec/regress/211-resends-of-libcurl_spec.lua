-- Requests that libcurl sends again by itself were neither counted nor limited. From
-- libcurl 8.14 on a call with three attempts sent 18 requests at once, past rate_limit,
-- to a server that answered each by GOAWAY ("calm down", too); with every libcurl, to a
-- server that refused each stream. `attempts` said 3.

local engine = require "engine"
local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local frames = require "spec.support.frames"
local libcurl = require "spec.support.libcurl"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local body, http = fixture.body, fixture.http
local failed, succeeded = fixture.failed, fixture.succeeded
local hello, answer = frames.hello, frames.answer

-- libcurl before 7.80 does not tell when a request goes out: what goes out again on a
-- connection that is open already is not seen.
local tells = libcurl.at_least(7, 80)

describe("requests that libcurl sends again", function()
  local server, client
  local closing = fixture.closing()

  setup(function() sandbox.start() end)

  local function serve(...)
    server = closing(faulty.start({ ... }, sandbox.tls "h2"))
  end

  local function connect(changes)
    client = closing(fixture.client(
      { base_url = server.url, http_version = "2", rate_limit = 0 }, changes))
  end

  -- How many requests the server has got.
  local function arrived()
    local count = 0
    for _, text in ipairs(server:requests()) do
      count = count + frames.count_requests(text)
    end
    return count
  end

  local refusals = {
    ["GOAWAY"] = frames.goaway(0),
    ["GOAWAY: calm down"] = frames.goaway(0, 11),
    ["REFUSED_STREAM"] = frames.reset(7),
  }

  for name, refusal in pairs(refusals) do
    it("are counted and limited: " .. name, function()
      serve { read = "h2", send = hello .. refusal, keep = true }
      local last
      connect { max_retries = 2,
        on_response = function(info) last = info.attempt end }
      for n = 1, 3 do
        local before = arrived()
        local err = failed("connect", client:balance "USD")
        assert.equal(arrived() - before, err.attempts)
        assert.is_true(err.attempts >= 3 and err.attempts <= 6, err.attempts)
        assert.equal(err.attempts, last)
        assert.is_true(err.retryable)
        assert.equal("max_retries", err.retry_stopped)
        assert.matches(err.attempts .. " attempts", err.message, 1, true)
        assert.equal(arrived(), client:stats().attempts)
        assert.equal(2 * n, client:stats().retries)
      end
      assert.is_true(#server:requests() <= 18, #server:requests())
    end)

    it("are limited for logins: " .. name, function()
      serve { read = "h2", send = hello .. refusal, keep = true }
      connect { max_retries = 1, token = false, client_id = "x", api_key = "y" }
      local err = failed("connect", client:token())
      assert.equal("token", err.endpoint)
      assert.is_true(arrived() >= 2 and arrived() <= 4, arrived())
    end)

    it("are counted and limited in concurrent calls: " .. name, function()
      if not tells then return pending "this libcurl does not report when it sends" end
      serve { read = "h2", send = hello .. refusal, keep = true }
      connect { max_retries = 1, timeout = 5 }
      local calls, sum = {}, 0
      for n = 1, 8 do calls[n] = client:start_balance "USD" end
      fixture.finish(client, calls)
      for _, call in ipairs(calls) do
        local _, _, err = call:result()
        assert.equal(call:attempts(), err.attempts)
        assert.is_true(err.attempts <= 7, err.attempts) -- and one for silence
        sum = sum + err.attempts
      end
      assert.equal(sum, client:stats().attempts)
      assert.is_true(arrived() <= sum, arrived() .. " of " .. sum)
    end)
  end

  it("are counted for a call that is cancelled, or out of time", function()
    for _, stop in ipairs { "cancel", "timeout" } do
      serve({ read = "h2", send = hello .. frames.reset(7), keep = true },
        { read = "h2", send = hello, keep = true })
      connect()
      local call = client:start_balance("USD", stop == "timeout" and { timeout = 1,
        max_retries = 0 } or nil)
      local ends = socket.gettime() + 20
      repeat
        client:step(0.05)
        assert.is_true(socket.gettime() < ends, "it is not sent again")
      until arrived() == 2 or call:step()
      if stop == "cancel" then
        assert.equal(2, call:attempts())
        call:cancel()
      end
      while not call:step() do client:step(0.1) end
      local _, _, err = call:result()
      assert.equal(2, err.attempts)
      assert.equal(2, client:stats().attempts)
      client:close()
      server:stop()
    end
  end)

  it("are an attempt more, and no retry, where a stream was refused once", function()
    serve({ read = "h2", send = hello .. frames.reset(7), keep = true },
      { read = "h2", send = hello .. answer(body(1)), keep = true })
    connect { max_retries = 0 }
    local call = client:start_balance "USD"
    while not call:step() do client:step(1) end
    succeeded(call:result())
    assert.equal(2, call:attempts())
    assert.equal(0, client:stats().retries)
    assert.equal(2, client:stats().attempts)
  end)

  -- A client whose one kept connection is closed by the server when a second request
  -- comes.
  local function lose_a_kept_connection(changes)
    server = closing(faulty.start {
      { { read = true, send = http(body(1)) }, { read = true } },
      { { read = true, send = http(body(2)) },
        { read = true, send = http(body(3)), keep = true } } })
    connect(changes)
    assert.equal(1, succeeded(client:balance "USD").available_balance)
  end

  it("cost no retry and no delay where a kept connection was closed", function()
    lose_a_kept_connection { max_retries = 0, retry_delay = 30, retry_delay_max = 30,
      http_version = "1.1" }
    local call = client:start_balance "USD"
    while not call:step() do client:step(1) end
    assert.equal(2, succeeded(call:result()).available_balance)
    assert.equal(2, call:attempts())
    local stats = client:stats()
    assert.equal(3, stats.attempts)
    assert.equal(0, stats.retries)
    local requests = server:requests()
    assert.equal(2, #requests)
    -- the same bytes, with the same key
    assert.equal(requests[1]:match "^POST .-(POST .*)$", requests[2])
    assert.matches("x-idempotency-key: ", requests[2]:lower(), 1, true)
  end)

  -- Several are kept, and all are closed: the second one is not tried.
  it("use a fresh connection at once", function()
    if not tells then return pending "this libcurl does not report when it sends" end
    local KEPT = 6
    local lost = { { read = true, hold = true }, { send = http(body(1)) },
      { read = true } }
    local behaviours = {}
    for n = 1, KEPT do behaviours[n] = lost end
    behaviours[KEPT + 1] = { read = true, send = http(body(2)), keep = true }
    server = closing(faulty.start(behaviours))
    connect { max_retries = 0, http_version = "1.1" }
    local calls = {}
    for n = 1, KEPT do calls[n] = client:start_balance "USD" end
    while #server:requests() < KEPT do client:step(0.05) end
    for _ = 1, KEPT do server:go() end
    for _, call in ipairs(calls) do
      while not call:step() do client:step(1) end
      succeeded(call:result())
    end
    local call = client:start_balance "USD"
    while not call:step() do client:step(1) end
    assert.equal(2, succeeded(call:result()).available_balance)
    assert.equal(2, call:attempts())
  end)

  it("count under rate_limit", function()
    local limiter = engine.rate_limiter(100) -- two at once, then one in 0.62 s
    assert.is_true(limiter:take(1000))
    limiter:charge(1000, 2)
    assert.is_false(limiter:take(1001))
    assert.is_true(limiter:take(1001.3))
    assert.is_true(limiter:due(1001.3, 0) > 1001.8)
    for _ = 1, 5 do -- a slow machine is waited for
      local began = socket.gettime()
      lose_a_kept_connection { http_version = "1.1", rate_limit = 100 }
      succeeded(client:balance "USD")
      local took = socket.gettime() - began
      if took < 0.3 then
        local err = failed("rate_limit", client:balance("USD", { timeout = 0.02 }))
        assert.is_true(err.retry_after > 0.7, err.retry_after)
        return
      end
      client:close()
      server:stop()
    end
    pending "this machine is too slow"
  end)
end)
