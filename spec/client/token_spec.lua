-- The token: how it is given, when the function is asked for it, and that a bad one never
-- does more harm than a failed call.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local uqpay = require "uqpay"

local failed, succeeded = fixture.failed, fixture.succeeded

local function tokens() return sandbox.headers "x-auth-token" end

local function bearer(...)
  local list = { ... }
  for n, token in ipairs(list) do list[n] = "Bearer " .. token end
  return list
end

-- A client whose token function answers from a list: each item a function, or a list of
-- results; the last one repeats. Returns the reasons it was asked for as well.
local function asking(answers, changes)
  local reasons = {}
  local options = fixture.options(changes)
  options.token = function(...)
    assert(select("#", ...) == 1)
    reasons[#reasons + 1] = (...)
    local answer = answers[math.min(#reasons, #answers)]
    if type(answer) == "function" then return answer(...) end
    return answer[1], answer[2]
  end
  return uqpay.new(options), reasons
end

local function soon(seconds) return os.time() + seconds end

describe("a token string", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for name, before in pairs { bare = "", Bearer = "Bearer ", bearer = "bearer " } do
    it("is sent as Bearer and token, given so: " .. name, function()
      local client = fixture.client { token = before .. sandbox.token }
      succeeded(client:balance "USD")
      assert.same(bearer(sandbox.token), tokens())
    end)
  end

  it("may have 8192 bytes", function()
    local long = sandbox.new_token { token = ("t"):rep(8192) }
    for _, version in ipairs { "1.1", "2" } do
      succeeded(fixture.client { token = long, http_version = version }:balance "USD")
    end
    assert.same(bearer(long, long), tokens())
  end)

  it("may be one byte long, and of any visible byte", function()
    for _, text in ipairs { "t", "!\"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~" } do
      sandbox.new_token { token = text }
      succeeded(fixture.client { token = text }:balance "USD")
    end
  end)

  for name, value in pairs {
    empty = "", blank = " ", ["Bearer alone"] = "Bearer ", ["two blanks"] = "Bearer  t",
    ["a blank inside"] = "secret secret", ["a blank behind"] = "secret ",
    ["a blank before"] = " secret", ["CR LF"] = "secret\r\n", ["a header"] =
    "secret\r\nx-evil: 1", LF = "sec\nret", NUL = "sec\0ret", TAB = "sec\tret",
    DEL = "sec\127ret", ["no ASCII"] = "secr\195\169t", ["8193 bytes"] = ("s"):rep(8193),
    ["a number"] = 5, ["true"] = true, ["a table"] = {},
  } do
    it("is refused without being quoted: " .. name, function()
      local options = fixture.options()
      options.token = value
      local ok, err = pcall(uqpay.new, options)
      assert.is_false(ok)
      assert.matches("token", err, 1, true)
      assert.is_nil(err:find("sec", 1, true))
      assert.is_nil(err:find("sss", 1, true))
    end)
  end

  it("that is refused is not tried again", function()
    for _, token in ipairs { sandbox.expired_token, "nonsense" } do
      local err = failed("auth", fixture.client { token = token }:balance "USD")
      assert.equal(401, err.status)
      assert.equal(1, err.attempts)
      assert.equal("not_retryable", err.retry_stopped)
    end
    assert.equal(2, #tokens())
  end)

  it("of each client is its own", function()
    local one = fixture.client { amounts = "string" }
    local other = fixture.client { amounts = "string", token = sandbox.other_token }
    for _ = 1, 3 do
      assert.equal("5000.25", succeeded(one:balance "USD").available_balance)
      assert.equal("66666.60", succeeded(other:balance "USD").available_balance)
    end
  end)

  it("is nowhere but in its header", function()
    succeeded(fixture.client():balance "USD")
    local request = sandbox.requests()[1]
    local _, count = request.raw_headers:gsub(sandbox.token:sub(1, 40), "")
    assert.equal(1, count)
    assert.is_nil(request.headers.authorization)
    assert.is_nil(request.headers["x-api-key"])
    assert.equal('{"currency":"USD"}', request.body)
    assert.is_nil(request.query)
  end)
end)

describe("a token function", function()
  before_each(function() sandbox.reset() end)

  it("is not asked before the first call", function()
    local client, reasons = asking { { sandbox.token } }
    assert.same({}, reasons)
    tostring(client)
    client:stats()
    assert.same({}, reasons)
  end)

  it("is called once a call when it returns no expiry", function()
    local client, reasons = asking { { sandbox.token } }
    for _ = 1, 3 do succeeded(client:balance "USD") end
    assert.same({ "new", "new", "new" }, reasons)
    assert.same(bearer(sandbox.token, sandbox.token, sandbox.token), tokens())
  end)

  it("is called once a call, for any number of attempts", function()
    local client, reasons = asking { { sandbox.token } }
    sandbox.fault { { kind = "drop_before" }, { kind = "html" } }
    succeeded(client:balance "USD")
    assert.equal(3, #tokens())
    assert.same({ "new" }, reasons)
  end)

  for name, before in pairs { bare = "", Bearer = "Bearer ", bearer = "bearer " } do
    it("may give the token so: " .. name, function()
      local client = asking { { before .. sandbox.token } }
      succeeded(client:balance "USD")
      assert.same(bearer(sandbox.token), tokens())
    end)
  end

  it("may give 8192 bytes", function()
    local long = sandbox.new_token { token = ("t"):rep(8192) }
    succeeded((asking { { long } }):balance "USD")
  end)

  it("is obeyed at once when it gives another token", function()
    local second = sandbox.new_token { merchant = "other" }
    local client = asking({ { sandbox.token }, { second } }, { amounts = "string" })
    assert.equal("5000.25", succeeded(client:balance "USD").available_balance)
    assert.equal("66666.60", succeeded(client:balance "USD").available_balance)
    assert.same(bearer(sandbox.token, second), tokens())
  end)

  it("may give a time: the token is kept until a minute before it", function()
    local client, reasons = asking { { sandbox.token, soon(1800) } }
    for _ = 1, 3 do succeeded(client:balance "USD") end
    assert.same({ "new" }, reasons)
    client, reasons = asking { { sandbox.token, soon(90) } }
    for _ = 1, 3 do succeeded(client:balance "USD") end
    assert.same({ "new" }, reasons)
    client, reasons = asking { { sandbox.token, soon(59) } }
    for _ = 1, 3 do succeeded(client:balance "USD") end
    assert.same({ "new", "expired", "expired" }, reasons)
  end)

  it("may give that time in milliseconds, or with a fraction", function()
    local client, reasons = asking { { sandbox.token, soon(1800) * 1000 } }
    for _ = 1, 2 do succeeded(client:balance "USD") end
    assert.same({ "new" }, reasons)
    client, reasons = asking { { sandbox.token, soon(30) * 1000 }, { sandbox.token } }
    for _ = 1, 2 do succeeded(client:balance "USD") end
    assert.same({ "new", "expired" }, reasons)
    client, reasons = asking { { sandbox.token, soon(1800) + 0.5 } }
    for _ = 1, 2 do succeeded(client:balance "USD") end
    assert.same({ "new" }, reasons)
  end)

  it("is asked once a call when the time is past already", function()
    local client, reasons = asking { { sandbox.token, soon(-100) } }
    for _ = 1, 2 do succeeded(client:balance "USD") end
    assert.same({ "new", "expired" }, reasons)
  end)

  it("returns no expiry with 0, less, or a value that is not a number", function()
    for _, time in ipairs { 0, -5, 0 / 0 } do
      local client, reasons = asking { { sandbox.token, time } }
      for _ = 1, 2 do succeeded(client:balance "USD") end
      assert.same({ "new", "new" }, reasons)
    end
  end)

  it("is called again when a kept token expires", function()
    local first, second = sandbox.new_token(), sandbox.new_token()
    -- a minute before the first one's end is a moment ahead
    local client, reasons = asking { { first, socket.gettime() + 60.15 },
      { second, soon(900) } }
    succeeded(client:balance "USD")
    local deadline = socket.gettime() + 60
    repeat succeeded(client:balance "USD")
    until #reasons > 1 or socket.gettime() > deadline
    assert.same({ "new", "expired" }, reasons)
    local list = tokens()
    assert.equal("Bearer " .. second, list[#list])
    assert.equal("Bearer " .. first, list[#list - 1])
  end)
end)

describe("a token that the API refuses", function()
  before_each(function() sandbox.reset() end)

  it("is replaced once, and the call made again", function()
    local client, reasons = asking { { sandbox.expired_token }, { sandbox.token } }
    succeeded(client:balance "USD")
    assert.same({ "new", "rejected" }, reasons)
    assert.same(bearer(sandbox.expired_token, sandbox.token), tokens())
    local stats = client:stats()
    assert.equal(2, stats.attempts)
    assert.equal(1, stats.succeeded)
  end)

  it("is replaced though max_retries is 0", function()
    local client = asking({ { sandbox.expired_token }, { sandbox.token } },
      { max_retries = 0 })
    succeeded(client:balance "USD")
    assert.equal(2, #tokens())
  end)

  it("takes nothing from max_retries", function()
    local good = "Bearer " .. sandbox.token
    sandbox.fault { { kind = "drop_before" },
      { kind = "html", match = { ["x-auth-token"] = good } } }
    local client = asking({ { sandbox.expired_token }, { sandbox.token } },
      { max_retries = 2 })
    succeeded(client:balance "USD")     -- lost, 401, 502, good
    assert.equal(4, #tokens())
  end)

  it("is replaced with a fresh key, for the 401 was a definite answer", function()
    local client = asking { { sandbox.expired_token }, { sandbox.token } }
    succeeded(client:balance "USD")
    local log = sandbox.requests()
    assert.not_equal(log[1].headers["x-idempotency-key"],
      log[2].headers["x-idempotency-key"])
  end)

  it("is replaced, a caller's own key is not", function()
    local own = uqpay.uuid()
    local client = asking { { sandbox.expired_token }, { sandbox.token } }
    succeeded(client:balance("USD", { idempotency_key = own }))
    for _, request in ipairs(sandbox.requests()) do
      assert.equal(own, request.headers["x-idempotency-key"])
    end
  end)

  it("is replaced while it is kept, and the new one is kept instead", function()
    local first, second = sandbox.new_token(), sandbox.new_token()
    local client, reasons = asking { { first, soon(1800) }, { second, soon(1800) } }
    succeeded(client:balance "USD")
    sandbox.expire(first)
    for _ = 1, 3 do succeeded(client:balance "USD") end
    assert.same({ "new", "rejected" }, reasons)
    assert.same(bearer(first, first, second, second, second), tokens())
  end)

  it("twice ends the call", function()
    local client, reasons = asking { { sandbox.expired_token }, { "nonsense" },
      { sandbox.token } }
    local err = failed("auth", client:balance "USD")
    assert.same({ "new", "rejected" }, reasons)
    assert.same(bearer(sandbox.expired_token, "nonsense"), tokens())
    assert.equal(2, err.attempts)
    assert.equal(401, err.status)
    assert.equal("not_retryable", err.retry_stopped)
    succeeded(client:balance "USD")
  end)

  it("and given again is not tried again", function()
    local client, reasons = asking { { sandbox.expired_token } }
    local err = failed("auth", client:balance "USD")
    assert.same({ "new", "rejected" }, reasons)
    assert.equal(1, err.attempts)
    assert.equal(1, #tokens())
  end)

  it("and given again as Bearer is not tried again", function()
    local client = asking { { sandbox.expired_token },
      { "Bearer " .. sandbox.expired_token } }
    assert.equal(1, failed("auth", client:balance "USD").attempts)
  end)

  for name, text in pairs {
    format = '{"error":"invalid auth token format"}',
    ["address, shape A"] = '{"type":"unauthorized_error","code":"unauthorized_error",'
      .. '"message":"IP not allowed"}',
    ["address, shape C"] = '{"error":"ip not allowed: 10.0.0.1"}',
  } do
    it("for another reason is not replaced: " .. name, function()
      sandbox.fault { kind = "answer", status = 401, body = text }
      local client, reasons = asking { { sandbox.token }, { "other" } }
      local err = failed("auth", client:balance "USD")
      assert.same({ "new" }, reasons)
      assert.equal(1, err.attempts)
    end)
  end

  for name, text in pairs {
    expired = '{"error":"token has expired"}', login = '{"message":"Login expired"}',
    ["all causes at once"] = '{"type":"unauthorized_error","code":"unauthorized_error",'
      .. '"message":"Token expired, IP not allowed, or access token dependencies '
      .. 'unavailable"}',
    empty = "", page = "<html>401</html>", object = "{}",
  } do
    it("with these words is replaced: " .. name, function()
      sandbox.fault { kind = "answer", status = 401, body = text }
      local client, reasons = asking { { "first" }, { sandbox.token } }
      succeeded(client:balance "USD")
      assert.same({ "new", "rejected" }, reasons)
    end)
  end

  it("by a status of 403 is not replaced", function()
    local client, reasons = asking { { sandbox.forbidden_token }, { sandbox.token } }
    assert.equal(403, failed("permission", client:balance "USD").status)
    assert.same({ "new" }, reasons)
  end)

  -- The inner call, made by a hook of the outer one, has the 401 first.
  it("is not fetched again when another call has replaced it", function()
    local first, second = sandbox.new_token(), sandbox.new_token()
    local client, nested
    local reasons = {}
    client = fixture.client {
      token = function(reason)
        reasons[#reasons + 1] = reason
        return reason == "rejected" and second or first, soon(1800)
      end,
      on_response = function(info)
        if info.status == 401 and not nested then
          nested = true
          succeeded(client:balance "SGD")
        end
      end,
    }
    succeeded(client:balance "XUSD")
    sandbox.expire(first)
    sandbox.reset()           -- which forgets both
    sandbox.new_token { token = second }
    succeeded(client:balance "USD")
    assert.is_true(nested)
    assert.same({ "new", "rejected" }, reasons)
    assert.equal(0, client:stats().hook_errors)
    -- outer, inner, inner again, outer again
    assert.same(bearer(first, first, second, second), tokens())
  end)
end)

describe("a token function that fails", function()
  before_each(function() sandbox.reset() end)

  -- The call fails before anything is sent; the next one, with a good token, succeeds.
  local function fails(answer, ...)
    sandbox.reset()
    local client, reasons = asking { answer, { sandbox.token } }
    local err = failed("auth", client:balance "USD")
    for _, text in ipairs { ... } do assert.matches(text, err.message, 1, true) end
    assert.equal(0, err.attempts)
    assert.is_nil(err.status)
    assert.is_false(err.retryable)
    assert.equal(0, #sandbox.requests())
    succeeded(client:balance "USD")
    assert.same({ "new", "new" }, reasons)
  end

  it("by raising ends the call with its words", function()
    fails(function() error("vault is sealed", 0) end, "token function", "vault is sealed")
    fails(function() error { reason = "x" } end, "token function", "table")
    fails(function() error() end, "token function", -- 5.5 has a text for it
      _VERSION == "Lua 5.5" and "no error object" or "nil")
    fails(function() error(12) end, "token function", "12")
  end)

  it("by nil and words ends the call with them", function()
    fails(function() return nil, "no login today" end, "token function", "nil",
      "no login today")
    fails(function() return nil end, "token function", "nil")
    fails(function() end, "token function", "nil")
    fails(function() return false, "why not" end, "token function", "why not")
  end)

  for name, value in pairs {
    empty = "", blank = " ", ["a line end"] = "secret\r\nx: y", ["a NUL"] = "sec\0ret",
    ["no ASCII"] = "s\195\169cret", ["8193 bytes"] = ("secret"):rep(1366):sub(1, 8193),
    ["a MiB"] = ("secretary"):rep(116509):sub(1, 1048576),
  } do
    it("by what is no token ends the call, quoting nothing: " .. name, function()
      local client = asking { { value } }
      local err = failed("auth", client:balance "USD")
      assert.matches("token", err.message, 1, true)
      assert.is_nil(err.message:find("secret", 1, true))
      assert.equal(0, #sandbox.requests())
    end)
  end

  it("by a value of another type ends the call", function()
    for name, value in pairs { number = 12345, boolean = true, table = { "t" },
      ["function"] = print } do
      fails({ value }, "token function", name)
    end
  end)

  it("by a time that is no number ends the call", function()
    for name, time in pairs { string = "1757449854", table = {}, boolean = false } do
      fails({ sandbox.token, time }, "Unix seconds", name)
    end
  end)

  it("when a refused token is to be replaced says so, with the 401", function()
    local client, reasons = asking { { sandbox.expired_token },
      function() error("vault is sealed", 0) end, { sandbox.token } }
    local err = failed("auth", client:balance "USD")
    assert.matches("vault is sealed", err.message, 1, true)
    assert.equal(401, err.status)
    assert.equal(1, err.attempts)
    assert.equal(1, #tokens())
    succeeded(client:balance "USD")
    assert.same({ "new", "rejected", "new" }, reasons)
  end)

  it("keeps no token that is there already", function()
    local client, reasons = asking { { sandbox.token, soon(30) },
      function() return nil, "off" end }
    succeeded(client:balance "USD")
    failed("auth", client:balance "USD")
    failed("auth", client:balance "USD")
    assert.same({ "new", "expired", "expired" }, reasons)
    assert.equal(1, #tokens())
  end)

  it("or is slow does not stretch the timeout", function()
    local client = asking { function()
      socket.sleep(0.03)
      return sandbox.token
    end }
    local err = failed("timeout", client:balance("USD", { timeout = 0.02 }))
    assert.equal(0, err.attempts)
    assert.equal("deadline", err.retry_stopped)
    assert.equal(0, #sandbox.requests())
  end)

  it("by yielding ends the call, not the coroutine", function()
    local client = asking { function() return coroutine.yield() end }
    local thread = coroutine.create(function() return client:balance "USD" end)
    local ok, value, message = coroutine.resume(thread)
    assert.is_true(ok)
    assert.equal("dead", coroutine.status(thread))
    assert.is_nil(value)
    assert.matches("token function raised", message, 1, true)
  end)
end)

describe("a token function that uses its own client", function()
  before_each(function() sandbox.reset() end)

  it("gets an error; the call continues if it returns a token all the same", function()
    local client, inner
    client = fixture.client { token = function()
      inner = failed("auth", client:balance "USD")
      return sandbox.token
    end }
    succeeded(client:balance "USD")
    assert.matches("must not use its own client", inner.message, 1, true)
    assert.equal(0, inner.attempts)
    assert.equal(1, #tokens())
  end)

  it("when a token was rejected gets an error, too", function()
    local client, inner
    client = fixture.client { token = function(reason)
      if reason == "rejected" then
        inner = failed("auth", client:balance "SGD")
        return sandbox.token, soon(1800)
      end
      return sandbox.expired_token, soon(1800)
    end }
    succeeded(client:balance "USD")
    assert.matches("must not use its own client", inner.message, 1, true)
  end)

  it("may use another client", function()
    local login = fixture.client { amounts = "string" }
    local client = asking { function()
      assert(login:balance "USD".available_balance == "5000.25")
      return sandbox.token
    end }
    succeeded(client:balance "SGD")
    assert.equal(2, #tokens())
  end)

  for name, last in pairs {
    ["a token"] = function() return sandbox.token end,
    ["an error"] = function() error "closing time" end,
    ["nothing"] = function() end,
    ["no token at all"] = function() return {} end,
  } do
    it("to close it ends the call as canceled, with " .. name, function()
      local client
      client = fixture.client { token = function()
        client:close()
        collectgarbage()
        return last()
      end }
      local err = failed("canceled", client:balance "USD")
      assert.equal(0, err.attempts)
      assert.equal(0, #sandbox.requests())
      assert.equal("uqpay.client (closed)", tostring(client))
    end)
  end

  it("to close it after a 401 ends the call", function()
    local client
    client = fixture.client { token = function(reason)
      if reason == "rejected" then client:close() end
      return reason == "rejected" and sandbox.token or sandbox.expired_token
    end }
    local err = failed("auth", client:balance "USD")
    assert.equal("closed", err.retry_stopped)
    assert.equal(1, #tokens())
  end)

  it("may make garbage of everything else", function()
    local client = asking { function()
      for _ = 1, 20 do uqpay.new(fixture.options()) end
      collectgarbage()
      collectgarbage()
      return sandbox.token .. "", soon(30)
    end }
    for _ = 1, 3 do succeeded(client:balance "USD") end
  end)
end)
