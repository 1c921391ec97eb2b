-- The login: a token by client_id and api_key, minted at the first need, one for all
-- calls, and again when the API refuses it. In every style: calls that block, call
-- objects, an event loop. See ahead_spec.lua for what time does to tokens, and
-- token_store_spec.lua for tokens that processes share.

local faulty = require "spec.support.faulty_driver"
local finalizers = require "spec.support.finalizers"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local styles = require "spec.support.styles"
local uqpay = require "uqpay"

local failed, succeeded = fixture.failed, fixture.succeeded
local unpack = table.unpack or unpack

-- Options of a client that logs in. Without TLS, which has specs of its own: these are
-- many.
local function options(changes)
  local all = { token = false, client_id = sandbox.client_id, api_key = sandbox.api_key,
    base_url = sandbox.http_url }
  for name, value in pairs(changes or {}) do all[name] = value end
  return fixture.options(all)
end

local function client(changes)
  return uqpay.new(options(changes))
end

local function times(n, call)
  local list = {}
  for i = 1, n do list[i] = call or { "balance", "USD" } end
  return list
end

local function good(results)
  for _, result in ipairs(results) do succeeded(unpack(result, 1, result.n)) end
end

-- Is no part of a secret in the values of these tables? Minted tokens are what the
-- sandbox remembers.
local function check_secrets(...)
  local parts = {}
  local function add(secret)
    for at = 1, math.min(#secret, 2048) - 15, 16 do
      parts[#parts + 1] = secret:sub(at, at + 15)
    end
  end
  add(sandbox.api_key)
  for _, request in ipairs(sandbox.mints()) do add(request.minted) end
  for _, texts in ipairs { ... } do
    for _, value in pairs(texts) do
      local text = tostring(value)
      for _, part in ipairs(parts) do
        if text:find(part, 1, true) then error("secret in: " .. text) end
      end
    end
  end
end

-- Results that must be those of a login that failed in this way.
local function login_failed(kind, results)
  local errors = {}
  for n, result in ipairs(results) do
    errors[n] = failed(kind, unpack(result, 1, result.n))
    assert.matches("^login failed: ", errors[n].message)
  end
  check_secrets(unpack(errors))
  return errors[1]
end

-- Faults for requests for a token only.
local function fault(order)
  order.endpoint = "token"
  sandbox.fault(order)
end

local function count(endpoint)
  return sandbox.counts().endpoints[endpoint] or 0
end

local function mints()
  return sandbox.counts().mints
end

-- Waits until something is so, for a minute at most.
local function wait_until(condition, step)
  local ends = socket.gettime() + 60
  while not condition() do
    assert.is_true(socket.gettime() < ends, "timed out")
    if step then step() else socket.sleep(0.005) end
  end
end

describe("a login", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("is made at the first need only", function()
    local c = client()
    assert.matches("^uqpay.client", tostring(c))
    assert.equal(0, c:stats().logins)
    assert.equal(0, #sandbox.requests())
    succeeded(c:balance "USD")
    assert.equal(1, c:stats().logins)
    for _ = 1, 3 do succeeded(c:balance "SGD") end
    assert.equal(1, c:stats().logins)
    assert.same({ 1, 1, 1, 1 }, sandbox.mint_numbers())
    assert.equal(1, count "token")
  end)

  it("is not made for a token that is given", function()
    local c = fixture.client()
    succeeded(c:balance "USD")
    assert.equal(sandbox.token, (c:token()))
    assert.equal(0, count "token")
    assert.equal(0, c:stats().logins)
  end)

  it("wants both of its credentials, and no token", function()
    for message, changes in pairs {
      ["'client_id' to 'new' (expected together with api_key, got nil)"] =
        { client_id = false },
      ["'api_key' to 'new' (expected together with client_id, got nil)"] =
        { api_key = false },
      ["'token' to 'new' (not together with client_id and api_key)"] = { token = "t" },
      ["'token' to 'new' (not together"] = { token = function() return "t" end },
      ["'client_id' to 'new' (1 to 512 visible ASCII bytes"] = { client_id = "" },
      ["'api_key' to 'new' (1 to 512 visible ASCII bytes"] = { api_key = "a\r\nb: c" },
    } do
      local ok, got = pcall(client, changes)
      assert.is_false(ok)
      assert.matches("bad option " .. message, got, 1, true)
    end
  end)

  it("keeps to a limit of its own", function()
    local c = uqpay.new { client_id = "c", api_key = "k", timeout = 0.3, max_retries = 0,
      proxy = "http://127.0.0.1:1" } -- no server listens: the sandbox is unreachable
    local kinds = {}
    for _ = 1, 5 do kinds[select(3, c:balance "USD").kind] = true end
    assert.same({ connect = true, rate_limit = true }, kinds)
  end)

  it("sends the credentials to the token endpoint, and nothing else", function()
    local c = client { on_behalf_of = sandbox.sub_account, currency = "USD" }
    succeeded(c:balance())
    local request = sandbox.requests "token"[1]
    assert.equal("POST", request.method)
    assert.equal("/api/v1/connect/token", request.path)
    assert.equal(sandbox.client_id, request.headers["x-client-id"])
    assert.equal(sandbox.api_key, request.headers["x-api-key"])
    for _, name in ipairs { "x-auth-token", "x-idempotency-key", "x-on-behalf-of" } do
      assert.is_nil(request.headers[name])
    end
    assert.equal("0", request.headers["content-length"])
    assert.same({ token = 1 }, sandbox.sent "x-api-key")
    assert.same({ token = 1 }, sandbox.sent "x-client-id")
    assert.same({ ["token x-api-key"] = 1 }, sandbox.seen(sandbox.api_key))
    assert.same({ ["token x-client-id"] = 1 }, sandbox.seen(sandbox.client_id))
    assert.same({ balance = 1 }, sandbox.sent "x-auth-token")
  end)

  it("of each client is its own", function()
    local one = client { amounts = "string" }
    local other = client { amounts = "string", client_id = sandbox.other_client_id,
      api_key = sandbox.other_api_key }
    for _ = 1, 2 do
      assert.equal("5000.25", succeeded(one:balance "USD").available_balance)
      assert.equal("66666.60", succeeded(other:balance "USD").available_balance)
    end
    assert.equal(2, mints())
  end)

  it("is no attempt, call or retry of the calls", function()
    fault { kind = "html" }
    local c = client()
    succeeded(c:balance "USD")
    local stats = c:stats()
    assert.same({ 1, 1, 0, 1, 0, 1 }, { stats.calls, stats.succeeded, stats.failed,
      stats.attempts, stats.retries, stats.logins })
  end)

  it("shares the connection with the calls", function()
    local c = client { base_url = sandbox.url, http_version = "1.1" }
    for _ = 1, 3 do succeeded(c:balance "USD") end
    assert.equal(1, c:stats().connections)
  end)

  it("leaves blocking calls to HTTP/1.1", function()
    local c = client { base_url = sandbox.url }
    for _ = 1, 2 do succeeded(c:balance "USD") end
    for _, request in ipairs(sandbox.requests()) do assert.equal("1.1", request.http) end
  end)
end)

for _, style in ipairs(styles) do
  describe("a login, " .. style.name .. ",", function()
    before_each(function() sandbox.reset() end)

    it("is one for any number of calls", function()
      for n, url in ipairs { sandbox.url, sandbox.http_url } do
        local c = style.new(options { base_url = url })
        good(style.all(c, times(20)))
        assert.equal(n, count "token")
        good(style.all(c, times(5)))
        assert.equal(n, count "token")
        assert.equal(25 * n, count "balance")
        assert.equal(1, c:stats().logins)
      end
    end)

    it("is one for a batch, too", function()
      local c = style.new(options())
      local n = 0
      local function batch()
        local next_one = c:batch(times(30, "USD"))
        while true do -- on Lua 5.1 a `for` cannot yield
          local query, balance, message = next_one()
          if not query then return end
          assert(balance, message)
          n = n + 1
        end
      end
      if style.name == "a loop" then
        local queue = require "cqueues".new()
        queue:wrap(batch)
        assert(queue:loop(60))
      else
        batch()
      end
      assert.equal(30, n)
      assert.equal(1, count "token")
    end)

    it("is made once more when the API rejects the token", function()
      local c = style.new(options())
      good(style.all(c, times(3)))
      sandbox.expire_minted()
      good(style.all(c, times(10)))
      assert.equal(2, count "token")
      assert.is_true(count "balance" <= 3 + 20)
      assert.equal(2, c:stats().logins)
    end)

    -- Tokens that the API never accepts, n times.
    local function bad_tokens(n)
      fault { kind = "answer", times = n, body = '{"auth_token":"t","expired_at":0}' }
    end

    it("is made again while its tokens are refused", function()
      local c = style.new(options { max_retries = 3 })
      bad_tokens(3)
      good(style.all(c, times(5)))
      assert.equal(4, count "token")
      bad_tokens(2)
      sandbox.expire_minted()
      good(style.all(c, times(5)))
      assert.equal(7, count "token")
    end)

    for stage, warm in pairs { ["of a new client"] = false, ["of a warm one"] = true } do
      it("ends the calls when max_retries tokens were refused, " .. stage, function()
        local c = style.new(options { max_retries = 2 })
        if warm then
          good(style.all(c, times(1)))
          sandbox.expire_minted()
        end
        local before, balances = count "token", count "balance"
        bad_tokens(100)
        local calls = style.name == "blocking" and 2 or 10
        for _, result in ipairs(style.all(c, times(calls))) do
          local err = failed("auth", unpack(result, 1, result.n))
          assert.equal(401, err.status)
          assert.equal("balance", err.endpoint)
          assert.equal(3, err.attempts)
          assert.is_true(err.retryable)
          assert.equal("max_retries", err.retry_stopped)
          assert.matches("token_store", err.message, 1, true)
        end
        assert.equal(balances + 3 * calls, count "balance")
        -- one login for all that are refused at once
        local most = (style.name == "blocking" and calls or 2) * 3
        assert.is_true(count "token" - before <= most, count "token")
        good(style.all(style.new(options { token = sandbox.token, client_id = false,
          api_key = false }), times(1)))
      end)
    end

    it("is made once more for a call without retries", function()
      local c = style.new(options { max_retries = 0 })
      bad_tokens(1)
      good(style.all(c, times(1)))
      assert.equal(2, count "token")
    end)

    it("gives the token itself", function()
      local c = style.new(options())
      local results = style.all(c, { { "token" }, { "token" }, { "balance", "USD" },
        { "token", { timeout = 5 } } })
      succeeded(results[3][1])
      local minted = sandbox.mints()
      assert.equal(1, #minted)
      for _, n in ipairs { 1, 2, 4 } do
        assert.equal(2, results[n].n)
        assert.equal(minted[1].minted, results[n][1])
        assert.is_true(math.abs(results[n][2] - (minted[1].time + 1800)) < 30)
        if math.type then assert.equal("integer", math.type(results[n][2])) end
      end
    end)

    it("that fails is made again by later calls", function()
      local c = style.new(options { max_retries = 0 })
      for n, case in ipairs {
        { "html", "api" }, { "truncate", "connect" }, { "empty", "decode" },
      } do
        fault { kind = case[1] }
        login_failed(case[2], style.all(c, times(1)))
        assert.equal(n, count "token")
      end
      good(style.all(c, times(3)))
      assert.equal(4, count "token")
      assert.equal(4, c:stats().logins)
    end)

    it("is taken up again when a token was invalidated", function()
      local c = style.new(options())
      good(style.all(c, times(1)))
      c:invalidate_token()
      c:invalidate_token()
      good(style.all(c, times(3)))
      assert.same({ 1, 2, 2, 2 }, sandbox.mint_numbers())
    end)
  end)
end

-- Vector 9, and whatever else a token endpoint may answer.
local odd_answers = {
  { "a number of seconds as text", { expired_at = "string" } },
  { "milliseconds", { expired_at = "milliseconds" } },
  { "a date", { expired_at = "date" } },
  { "0", { expired_at = "zero" } },
  { "a time that is past", { expired_at = "past" } },
  { "null", { expired_at = "null" } },
  { "nothing", { expired_at = "missing" } },
  { "a long life", { token_life = 1e9 } },
}

for _, style in ipairs(styles) do
  describe("a token, " .. style.name .. ",", function()
    before_each(function() sandbox.reset() end)

    for _, case in ipairs(odd_answers) do
      it("is kept when its end is " .. case[1], function()
        sandbox.settings(case[2])
        local c = style.new(options())
        for _ = 1, 2 do good(style.all(c, times(3))) end
        assert.equal(1, count "token")
        local ends = style.all(c, { { "token" } })[1][2]
        local life = case[2].token_life and 1e8 or 1800
        assert.is_true(math.abs(ends - os.time() - life) < 60, ends)
      end)
    end

    it("has its end whatever amounts are", function()
      sandbox.settings { token_life = 100 }
      for _, amounts in ipairs { "number", "string", "exact" } do
        local c = style.new(options { amounts = amounts })
        local ends = style.all(c, { { "token" } })[1][2]
        assert.is_true(math.abs(ends - os.time() - 100) < 60, ends)
      end
    end)

    it("is taken as it is: opaque, or of 8192 bytes", function()
      for _, settings in ipairs {
        { token_form = "opaque" }, { token_bytes = 8192 }, { token_bytes = 1 },
      } do
        sandbox.reset()
        sandbox.settings(settings)
        good(style.all(style.new(options()), times(2)))
        assert.same({ 1, 1 }, sandbox.mint_numbers())
      end
    end)

    it("may have Bearer in front", function()
      sandbox.settings { token_form = "bearer" }
      local c = style.new(options())
      good(style.all(c, times(2)))
      assert.same({ 1, 1 }, sandbox.mint_numbers())
      assert.equal(sandbox.mints()[1].minted, style.all(c, { { "token" } })[1][1])
    end)

    for name, case in pairs {
      ["is missing"] = { token_form = "missing" },
      ["is null"] = { token_form = "null" },
      ["is empty"] = { token_form = "empty" },
      ["has a line end"] = { token_form = "crlf" },
      ["has 8193 bytes"] = { token_bytes = 8193 },
    } do
      it("is refused when it " .. name, function()
        sandbox.settings(case)
        local c = style.new(options())
        local err = login_failed("schema", style.all(c, times(3)))
        assert.is_false(err.retryable)
        assert.equal(0, err.attempts)
        assert.is_nil(err.body)
        assert.equal(0, count "balance")
        assert.equal(style.name == "blocking" and 3 or 1, count "token")
        sandbox.settings { token_form = "jwt", token_bytes = 0 }
        good(style.all(c, times(1)))
      end)
    end

    it("is refused when it has half a MiB, or a whole one", function()
      local c = style.new(options { max_retries = 0 })
      for bytes, kind in pairs { [524288] = "schema", [1048576] = "too_large" } do
        sandbox.settings { token_bytes = bytes }
        login_failed(kind, style.all(c, times(1)))
        sandbox.reset()
      end
      good(style.all(c, times(1)))
    end)
  end)
end

describe("an error of a login", function()
  before_each(function() sandbox.reset() end)

  local function fails(kind, order, changes)
    sandbox.reset()
    if order then
      order.times = 9
      fault(order)
    end
    return login_failed(kind, styles[1].all(client(changes), times(1)))
  end

  it("has the status, the request and the words of the login", function()
    local err = fails("auth", nil, { api_key = "wrong" })
    assert.equal(401, err.status)
    assert.equal(0, err.attempts)
    assert.equal("not_retryable", err.retry_stopped)
    assert.is_false(err.retryable)
    assert.equal(1, count "token")
    assert.equal("login failed: HTTP 401: invalid api key; client_id and api_key must be "
      .. "those of this environment [" .. sandbox.http_url:match "//([^/]+)"
      .. ", 1 attempt, request " .. err.request_id .. "]", err.message)
    assert.is_nil(err.idempotency_key)
  end)

  it("is of the kind that its status stands for", function()
    for status, kind in pairs {
      [400] = "auth", [401] = "auth", [403] = "auth", [404] = "auth", [408] = "timeout",
      [409] = "auth", [415] = "auth", [418] = "auth", [422] = "auth",
      [429] = "rate_limit", [500] = "api", [503] = "api", [302] = "protocol",
    } do
      local err = fails(kind, { kind = "status", status = status, shape = "A",
        message = "so it is" })
      assert.equal(status, err.status)
      assert.equal("token", err.endpoint)
      local again = status == 408 or status == 429 or status >= 500
      assert.equal(again, err.retryable)
      assert.equal(again and "max_retries" or "not_retryable", err.retry_stopped)
      assert.equal(again and 3 or 1, count "token")
      if status >= 400 then assert.matches("so it is", err.message, 1, true) end
    end
  end)

  it("names the environment or the address when these are wrong", function()
    local err = fails("auth", nil, { client_id = sandbox.production_client_id,
      api_key = sandbox.production_api_key })
    assert.matches("forbidden from UAT; client_id and api_key", err.message, 1, true)
    err = fails("auth", nil, { client_id = sandbox.blocked_client_id,
      api_key = sandbox.blocked_api_key })
    assert.matches("address allowed", err.message, 1, true)
    err = fails("auth", nil, { client_id = "nobody" })
    assert.matches("Invalid client id; client_id and api_key", err.message, 1, true)
    err = fails("auth", nil, { base_url = sandbox.http_url .. "/v1" })
    assert.matches("base_url", err.message, 1, true)
  end)

  it("keeps to Retry-After, or says it", function()
    fault { kind = "rate_limit", retry_after = "7200" } -- nonsense: tried again
    succeeded(client():balance "USD")
    fault { kind = "rate_limit", retry_after = "60" }
    local c = client { timeout = 30 }
    local err = login_failed("rate_limit", styles[1].all(c, times(1)))
    assert.equal(60, err.retry_after)
    assert.is_true(err.retryable)
    assert.equal("deadline", err.retry_stopped)
    -- the next call finds the client waiting for the server
    local before = count "token"
    err = login_failed("rate_limit", styles[1].all(c, times(1)))
    assert.matches("the server has told the client to slow down (429)", err.message, 1,
      true)
    assert.equal("token", err.endpoint)
    assert.is_true(err.retry_after > 30 and err.retry_after <= 60)
    assert.equal(before, count "token")
  end)

  it("of the transport has what libcurl says", function()
    local err = fails("connect", { kind = "drop_before" }, { max_retries = 0 })
    assert.is_true(err.retryable)
    assert.equal("string", type(err.curl_name))
    err = fails("connect", nil, { base_url = "https://127.0.0.1:1/api", max_retries = 1 })
    assert.equal("CURLE_COULDNT_CONNECT", err.curl_name)
    assert.matches("2 attempts%]$", err.message)
    err = fails("tls", nil, { base_url = sandbox.expired_url })
    assert.matches("ca_file", err.message, 1, true)
    assert.is_false(err.retryable)
    fails("tls", nil, { base_url = sandbox.wrong_host_url })
    assert.equal(0, #sandbox.requests "balance")
  end)

  it("is a decode, schema or too_large one like any other answer's", function()
    fails("decode", { kind = "answer", body = "nonsense" })
    fails("decode", { kind = "answer", body = "" })
    fails("decode", { kind = "answer", body = '{"auth_token":"t","auth_token":"u"}' })
    fails("schema", { kind = "answer", body = '"t"' })
    fails("schema", { kind = "answer", body = '{"auth_token":5}' })
    fails("schema", { kind = "answer", body = '{"auth_token":["t"]}' })
    fails("schema", { kind = "answer", body = "[]" })
    fails("too_large", { kind = "huge", bytes = 4e6 })
    fails("too_large", { kind = "huge", bytes = 4e6, content_length = false })
    fails("too_large", { kind = "huge_headers" })
    fails("api", { kind = "answer", body = '{"code":500,"message":"no"}' }) -- of a 200
  end)

  it("quotes no token, wherever one stands", function()
    local token = ("secret-of-the-answer-"):rep(20)
    for kind, body in pairs {
      decode = '{"auth_token":"' .. token .. '",}',
      schema = '{"auth_token":{"a":"' .. token .. '"},"expired_at":1}',
    } do
      local err = fails(kind, { kind = "answer", body = body })
      for _, value in pairs(err) do
        assert.is_nil(tostring(value):find("secret-of-the", 1, true))
      end
    end
  end)

  it("shows no api_key that the server sends back", function()
    local key = sandbox.api_key
    for _, status in ipairs { 400, 401, 403 } do
      local err = fails("auth", { kind = "answer", status = status,
        body = '{"code":"' .. key .. '","type":"' .. key .. '","message":"key ' .. key
        .. ' is none","missing_fields":["' .. key .. '"]}' })
      assert.matches("key [redacted] is none", err.message, 1, true)
      assert.is_nil(err.missing_fields[1]:find(key, 1, true))
    end
  end)

  it("of a redirect sends nothing to the other host", function()
    for _, status in ipairs { 301, 302, 307, 308 } do
      fails("protocol", { kind = "redirect", status = status })
      assert.same({}, sandbox.other().requests)
      assert.same({ token = 1 }, sandbox.sent "x-api-key")
    end
  end)

  it("is each call's own table", function()
    fault { kind = "html", times = 9 }
    local c = client { max_retries = 0 }
    local results = styles[2].all(c, times(2))
    local one, two = results[1][3], results[2][3]
    assert.equal(1, count "token")
    assert.not_equal(one, two)
    one.kind = "changed"
    assert.equal("api", two.kind)
  end)
end)

-- Faults at a step of the login, and the outcomes of calls then: an error of this
-- kind if it never goes right.
local faults = {
  { "drop_before", "connect" }, { "drop_after", "connect" }, { "truncate", "connect" },
  { "status", "api", status = 500 }, { "html", "api" },
  { "rate_limit", "rate_limit" }, { "status", "timeout", status = 408 },
  { "empty", "decode", final = true },
  { "answer", "decode", final = true, body = "<html>" },
  { "answer", "schema", final = true, body = '{"token":"t"}' },
  { "status", "auth", final = true, status = 401 },
  { "status", "auth", final = true, status = 403 },
  { "delay", seconds = 0.03 },
}

local function order_of(case, uses)
  local order = { kind = case[1], times = uses }
  for _, name in ipairs { "status", "body", "seconds" } do order[name] = case[name] end
  return order
end

for _, style in ipairs(styles) do
  describe("a fault in a login, " .. style.name .. ",", function()
    before_each(function() sandbox.reset() end)

    -- Calls before there is a token, and when the one that they went with is refused.
    local function prepare(refused)
      local c = style.new(options())
      if refused then
        good(style.all(c, times(1)))
        sandbox.expire_minted()
      end
      return c, count "token", count "balance"
    end

    for _, refused in ipairs { false, true } do
      local stage = refused and "after a 401: " or "at first: "
      for _, case in ipairs(faults) do
        local name = stage .. case[1] .. " " .. (case.status or case.body or "")

        if not case.final then
          it("is survived, " .. name, function()
            local c, before = prepare(refused)
            fault(order_of(case, 1))
            good(style.all(c, times(5)))
            local more = count "token" - before
            assert.is_true(more >= 1 and more <= 2, more)
            assert.same({}, sandbox.faults())
          end)
        end

        if case[2] then
          it("ends all calls in its kind, " .. name, function()
            local c, before, balances = prepare(refused)
            fault(order_of(case, 1e6))
            local calls = style.name == "blocking" and 2 or 5
            local err = login_failed(case[2], style.all(c, times(calls)))
            assert.equal(not case.final, err.retryable)
            -- A login for all that wait for it; refusals may come after one has failed.
            local logins = c:stats().logins - (refused and 1 or 0)
            local one = style.name ~= "blocking" and not refused
            assert.is_true(logins >= 1 and logins <= (one and 1 or calls), logins)
            -- Requests that kept connections lose, libcurl sends over the next one.
            local sends = case[1]:find "^drop" and 1 + calls or 1
            -- Each call sees three attempts fail; those refused later join later.
            local joined = refused and calls or logins
            local most = joined * (case.final and 1 or 3) * sends
            assert.is_true(count "token" - before <= most, count "token")
            -- A blocking call that fails in its login leaves no token for the next one.
            local sent = refused and (style.name == "blocking" and 1 or calls) or 0
            assert.equal(balances + sent, count "balance")
            assert.equal(case.final and "not_retryable" or "max_retries",
              err.retry_stopped)
          end)
        end
      end

      it("is waited for no longer than each call's timeout, " .. stage, function()
        local c, before = prepare(refused)
        fault { kind = "hang", times = 1e6 }
        local err = login_failed("timeout", style.all(c, { { "balance", "USD",
          { timeout = 0.1 } } }))
        assert.is_true(err.retryable)
        assert.equal("deadline", err.retry_stopped)
        assert.matches("no token within the timeout of 0.1 s", err.message, 1, true)
        assert.equal(before + 1, count "token")
      end)
    end
  end)
end

for _, style in ipairs { styles[2], styles[3] } do
  describe("calls that wait for a login, " .. style.name .. ",", function()
    before_each(function() sandbox.reset() end)

    local function held(changes, list)
      sandbox.settings { hold = "token" }
      local c = style.new(options(changes))
      local run = style.start(c, list)
      wait_until(function() return count "token" == 1 end, run.step)
      return run, c
    end

    it("keep a deadline each", function()
      local run = held({ timeout = 60 }, {
        { "balance", "USD", { timeout = 0.05 } },
        { "balance", "USD", { timeout = 0.1 } },
        { "balance", "USD", { timeout = 60 } }, { "token", { timeout = 60 } },
      })
      local ends = socket.gettime() + 0.2
      wait_until(function() return socket.gettime() > ends end, run.step)
      sandbox.settings { hold = "" }
      local results = run:finish()
      login_failed("timeout", { results[1], results[2] })
      succeeded(unpack(results[3], 1, results[3].n))
      assert.equal(sandbox.mints()[1].minted, results[4][1])
      assert.equal(1, count "token") -- though it took longer than theirs
    end)

    it("keep retries each", function()
      fault { kind = "html", times = 2 }
      local c = style.new(options { max_retries = 5, retry_delay = 0.05,
        retry_delay_max = 0.1 })
      local results = style.all(c, {
        { "balance", "USD", { max_retries = 0 } },
        { "balance", "USD", { max_retries = 1 } },
        { "balance", "USD", { max_retries = 2 } }, { "balance", "USD" },
      })
      for n = 1, 2 do
        local err = login_failed("api", { results[n] })
        assert.equal("max_retries", err.retry_stopped)
        assert.equal(502, err.status)
      end
      good { results[3], results[4] }
      assert.equal(3, count "token")
    end)

    it("continue when the client has no retries", function()
      fault { kind = "html", times = 2 }
      local c = style.new(options { max_retries = 0, retry_delay = 0.05,
        retry_delay_max = 0.1 })
      local results = style.all(c, {
        { "balance", "USD" }, { "balance", "USD", { max_retries = 2 } },
      })
      login_failed("api", { results[1] })
      good { results[2] }
    end)

    it("see it through a client that is closed", function()
      local run, c = held(nil, times(3))
      c:close()
      for _, result in ipairs(run:finish()) do
        failed("canceled", unpack(result, 1, result.n))
      end
    end)
  end)
end

describe("a call object that waits for a login", function()
  local objects = styles[2]

  before_each(function() sandbox.reset() end)

  local function held(changes, n)
    sandbox.settings { hold = "token" }
    local c = client(changes)
    local calls = {}
    for i = 1, n do calls[i] = c:start_balance "USD" end
    wait_until(function() return count "token" == 1 end, function() c:step(0.01) end)
    return c, calls
  end

  local function finish(calls)
    for _, call in ipairs(calls) do
      wait_until(function() return call:step() end)
      succeeded(call:result())
    end
  end

  it("leaves it to the others when it is canceled", function()
    local _, calls = held(nil, 3)
    calls[1]:cancel() -- which began it
    failed("canceled", calls[1]:result())
    sandbox.settings { hold = "" }
    finish { calls[2], calls[3] }
    assert.equal(1, count "token")
  end)

  it("leaves it to the next call if no other waits", function()
    local c, calls = held(nil, 1)
    calls[1]:cancel()
    sandbox.settings { hold = "" }
    succeeded(c:balance "USD")
    assert.equal(1, count "token")
  end)

  it("leaves it to the others when it is collected", function()
    local _, calls = held(nil, 3)
    calls[1] = calls[3]
    calls[3] = nil
    collectgarbage()
    collectgarbage()
    sandbox.settings { hold = "" }
    finish(calls)
    assert.equal(1, count "token")
  end)

  it("drives it by any call that is stepped", function()
    local c, calls = held(nil, 3)
    sandbox.settings { hold = "" }
    finish { calls[3] }
    assert.is_false(calls[1]:done())
    succeeded(c:balance "SGD") -- blocks
    finish { calls[1], calls[2] }
    assert.equal(1, count "token")
    assert.equal(4, count "balance")
  end)

  it("ends with its client", function()
    local c, calls = held(nil, 2)
    c:close()
    for _, call in ipairs(calls) do
      assert.is_true(call:step())
      failed("canceled", call:result())
    end
  end)

  it("joins one that a finalizer has begun", function()
    sandbox.settings { hold = "token" }
    assert.equal("true\n", finalizers.run(([[
      local uqpay = require "uqpay"
      local within = false
      for number = 1, 200 do
        local logins, other = 0, nil
        local c = uqpay.new { client_id = %q, api_key = %q, base_url = %q,
          on_request = function() logins = logins + 1 end }
        arm(number, function(n)
          if n == number then
            within = within or logins == 0
            other = c:start_balance "SGD"
          end
        end)
        local call = c:start_balance "USD"
        local last = disarm()
        assert(logins == 1 and not call:done() and not (other and other:done()))
        c:close()
        if last < number then return print(within and number > 2) end
      end
    ]]):format(sandbox.client_id, sandbox.api_key, sandbox.http_url)))
  end)

  it("goes with its client when both are forgotten", function()
    local c, calls = held(nil, 2)
    local gone = setmetatable({ c, calls[1], calls[2] }, { __mode = "v" })
    c, calls = nil, nil
    assert.is_nil(c or calls)
    for _ = 1, 4 do collectgarbage() end
    assert.is_nil(next(gone))
  end)

  it("lets no other call come from ready()", function()
    fault { kind = "html", times = 2 } -- the login waits, too
    local c = client()
    local calls, ids = {}, {}
    for n = 1, 5 do
      calls[n] = c:start_balance "USD"
      ids[calls[n]:id()] = calls[n]
    end
    local done = 0
    wait_until(function() return done == 5 end, function()
      c:step(0.01)
      for call in function() return c:ready() end do
        assert.equal(call, ids[call:id()])
        if call:step() then done = done + 1 end
      end
    end)
    for _, call in ipairs(calls) do succeeded(call:result()) end
  end)

  it("with an old token is not stopped by a late 401", function()
    local c = client()
    succeeded(c:balance "USD")
    sandbox.expire_minted()
    -- one call learns of it late, when another has logged in already
    sandbox.fault { kind = "delay", seconds = 0.3, endpoint = "balance",
      match = { ["x-on-behalf-of"] = sandbox.sub_account } }
    local late = c:start_balance("USD", { on_behalf_of = sandbox.sub_account })
    wait_until(function() return count "balance" == 2 end, function() c:step(0.01) end)
    succeeded(c:balance "USD")
    assert.equal(2, mints())
    finish { late }
    assert.equal(2, mints())
    succeeded(c:balance "USD")
    assert.same({ 1, 1, 1, 2, 2, 2 }, sandbox.mint_numbers())
  end)

  it("whose new token is rejected may use one that another call gets", function()
    local c
    c = client { on_response = function(info)
      if info.endpoint == "token" and mints() == 1 then
        sandbox.expire_minted()
        sandbox.settings { hold = "token" }
      end
    end }
    local function step() c:step(0.01) end
    local late = c:start_balance "USD"
    wait_until(function() return late:step() or late:attempts() == 1 end, step)
    local other = c:start_balance "USD" -- with the same token, refused as well
    wait_until(function() return other:step() or count "token" == 2 end, step)
    wait_until(function() return late:step() or c:stats().retries == 2 end, step)
    sandbox.settings { hold = "" }
    finish { late, other }
    assert.equal(2, mints())
    assert.equal(2, late:attempts())
  end)

  it("survives a token that a new one has killed", function()
    sandbox.settings { single_token = true }
    local one, two = client(), client()
    for _ = 1, 3 do -- each login ends the other's token
      for _, c in ipairs { one, two } do
        c:invalidate_token()
        good(objects.all(c, times(4)))
      end
    end
    assert.equal(6, mints())
    -- in flight while it is killed
    sandbox.fault { kind = "delay", seconds = 0.05, endpoint = "balance", times = 4 }
    local calls = {}
    for n = 1, 4 do calls[n] = two:start_balance "USD" end
    one:invalidate_token()
    succeeded(one:balance "USD")
    finish(calls)
    assert.is_true(mints() <= 8, mints())
    for _, call in ipairs(calls) do assert.is_true(call:attempts() <= 2) end
  end)

  it("of a queue has its time begin with the login", function()
    local c = client { rate_limit = 99, timeout = 0.15 } -- a call each 0.6 seconds
    succeeded(c:balance("USD", { timeout = 30 }))
    local call = c:start_balance("USD", { queued = true })
    local ends = socket.gettime() + 0.2
    wait_until(function() return socket.gettime() > ends end, function() call:step() end)
    assert.is_false(call:done())
    c:invalidate_token()
    finish { call }
    assert.equal(2, mints())
  end)
end)

describe("hooks", function()
  before_each(function() sandbox.reset() end)

  it("are called for logins, and receive no secret", function()
    local seen = {}
    local function note(name)
      return function(info)
        local words = { name, info.endpoint, info.attempt, info.status or "-",
          info.kind or "-" }
        seen[#seen + 1] = table.concat(words, " ")
        check_secrets(info)
        if info.endpoint == "token" then
          assert.equal(sandbox.http_url .. "/v1/connect/token", info.url)
          assert.equal("POST", info.method)
          assert(not info.idempotency_key and not info.on_behalf_of and not info.currency)
        end
      end
    end
    fault { kind = "html" }
    local c = client { on_request = note "request", on_response = note "response",
      on_retry = note "retry", on_behalf_of = sandbox.sub_account }
    succeeded(c:balance "USD")
    assert.equal(0, c:stats().hook_errors)
    assert.same({
      "request token 1 - -", "response token 1 502 api", "retry token 1 502 api",
      "request token 2 - -", "response token 2 200 -",
      "request balance 1 - -", "response balance 1 200 -",
    }, seen)
    check_secrets({ tostring(c), tostring(c:start_token()) }, c:stats())
  end)

  it("of the login that use its client get an error", function()
    local c, inner
    c = client { on_request = function(info)
      if info.endpoint == "token" then inner = failed("auth", c:balance "USD") end
    end }
    succeeded(c:balance "USD")
    assert.matches("^login failed: its hooks", inner.message)
    assert.equal(1, mints())
    assert.equal(0, c:stats().hook_errors)
  end)

  it("of a login for a call with a token may use it", function()
    local c
    local used = 0
    c = client { on_response = function(info)
      if info.endpoint == "balance" and info.status == 401 then
        used = used + 1
        if used == 1 then succeeded(c:balance "SGD") end
      end
    end }
    succeeded(c:balance "USD")
    sandbox.expire_minted()
    succeeded(c:balance "USD")
    assert.equal(2, used)
    assert.equal(2, mints())
  end)

  it("of the login may step the calls that wait for it", function()
    local c
    local calls = {}
    c = client { on_request = function(info)
      if info.endpoint == "token" then
        for _, call in ipairs(calls) do assert(not call:step()) end
      end
    end, on_response = function(info)
      if info.endpoint == "token" then
        for _, call in ipairs(calls) do assert(not call:step() and not call:done()) end
      end
    end }
    for n = 1, 3 do calls[n] = c:start_balance "USD" end
    for _, call in ipairs(calls) do
      wait_until(function() return call:step() end)
      succeeded(call:result())
    end
    assert.equal(0, c:stats().hook_errors)
  end)

  for _, name in ipairs { "on_request", "on_response", "on_retry" } do
    it("of the login may close the client: " .. name, function()
      local c
      fault { kind = "html" }
      c = client { [name] = function(info)
        if info.endpoint == "token" then c:close() end
      end }
      for _, result in ipairs { { c:balance "USD" } } do
        failed("canceled", unpack(result, 1, 3))
      end
      assert.equal(0, count "balance")
    end)

    it("of the login may raise: " .. name, function()
      fault { kind = "html" }
      local c = client { [name] = function() error "no" end }
      succeeded(c:balance "USD")
      assert.is_true(c:stats().hook_errors > 0)
    end)
  end

  it("that drop the token stop the call, which is never sent without", function()
    local c
    c = client { on_request = function(info)
      if info.endpoint == "balance" then c:invalidate_token() end
    end }
    local err = failed("auth", c:balance "USD")
    assert.matches("the token was dropped before it could be sent", err.message, 1, true)
    assert.equal(0, count "balance")
    assert.equal(1, mints())
  end)
end)

describe("client:token", function()
  before_each(function() sandbox.reset() end)

  it("gives a token that was given, and no end", function()
    local c = fixture.client { token = "Bearer " .. sandbox.token }
    assert.equal(1, select("#", c:token()))
    assert.equal(sandbox.token, (c:token()))
    assert.equal(0, #sandbox.requests())
  end)

  it("asks the token function, as a call would", function()
    local reasons = {}
    local c = fixture.client { token = function(reason)
      reasons[#reasons + 1] = reason
      return "t" .. #reasons, #reasons > 1 and os.time() + 1000 or nil
    end }
    assert.same({ "t1" }, { c:token() })
    local token, ends = c:token()
    assert.equal("t2", token)
    assert.is_true(math.abs(ends - os.time() - 1000) <= 2)
    assert.equal("t2", (c:token()))
    c:invalidate_token()
    assert.equal("t3", (c:token()))
    assert.same({ "new", "new", "new" }, reasons)
  end)

  it("fails as the token function does", function()
    local c = fixture.client { token = function() return nil, "sealed" end,
      on_behalf_of = sandbox.sub_account }
    local err = failed("auth", c:token())
    assert.matches("sealed", err.message, 1, true)
    assert.is_nil(err.on_behalf_of)
  end)

  it("fails as the login does", function()
    login_failed("auth", { { n = 3, client { api_key = "wrong" }:token() } })
  end)

  it("takes a call's options, and no others", function()
    local c = client()
    assert(c:token { timeout = 5, max_retries = 0 })
    for _, wrong in ipairs { { currency = "USD" }, { on_behalf_of = sandbox.sub_account },
      { idempotency_key = uqpay.uuid() }, { tiemout = 1 } } do
      assert.has_error(function() c:token(wrong) end)
    end
    assert.has_error(function() c:token "USD" end)
  end)

  it("is no request when there is a token", function()
    local c = client()
    local first = c:token()
    assert.equal(first, (c:token()))
    assert.equal(1, #sandbox.requests())
    assert.equal(2, c:stats().succeeded)
  end)
end)

describe("client:invalidate_token", function()
  before_each(function() sandbox.reset() end)

  it("raises for a token that is fixed, and after close", function()
    local c = fixture.client()
    assert.has_error(function() c:invalidate_token() end,
      "the token of this client is fixed")
    local other = client()
    other:close()
    assert.has_error(function() other:invalidate_token() end)
  end)

  it("calls a token function again", function()
    local n = 0
    local c = fixture.client { token = function()
      n = n + 1
      return sandbox.token, os.time() + 1000
    end }
    for _ = 1, 3 do succeeded(c:balance "USD") end
    assert.equal(1, n)
    c:invalidate_token()
    succeeded(c:balance "USD")
    assert.equal(2, n)
  end)

  it("before the first call, or during a login, costs nothing", function()
    local c = client()
    c:invalidate_token()
    sandbox.settings { hold = "token" }
    local call = c:start_balance "USD"
    wait_until(function() return count "token" == 1 end, function() c:step(0.01) end)
    c:invalidate_token()
    sandbox.settings { hold = "" }
    wait_until(function() return call:step() end)
    succeeded(call:result())
    assert.equal(1, count "token")
  end)
end)

describe("a server below HTTP", function()
  local server
  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  it("may speak nonsense to a login", function()
    for kind, behaviour in pairs {
      protocol = { read = true, send = "\0\1\2 no HTTP\r\n\r\n" },
      connect = { read = true, reset = true },
    } do
      server = faulty.start { behaviour }
      local c = client { base_url = server.url, max_retries = 1 }
      login_failed(kind, styles[2].all(c, times(3)))
      server:stop()
    end
  end)
end)
