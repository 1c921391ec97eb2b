-- The key of every request: one that is never used for two calls, or the answer would be
-- another call's, up to a day old. The sandbox stores answers as the API does.

local fixture = require "spec.support.fixture"
local uqpay = require "uqpay"
local sandbox = fixture.any_sandbox()

local failed, succeeded = fixture.failed, fixture.succeeded

local function keys() return sandbox.headers "x-idempotency-key" end

-- Sets the balance of the API.
local function show(amount)
  sandbox.balance { currency = "USD", available_balance = amount }
end

local function is_fresh_form(key)
  return type(key) == "string" and #key == 36 and key:find
    "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$" ~= nil
    and key == key:lower()
end

-- The faults of one attempt, by what the client knows of it afterwards.
local lost = {
  drop_before = { kind = "drop_before" },
  drop_after = { kind = "drop_after" },
  truncate = { kind = "truncate" },
  ["a head cut short"] = { kind = "garbage", body = "HTTP/1.1 200 OK\r\nContent-Le" },
}
local definite = {
  ["500"] = { kind = "status", status = 500 },
  ["503"] = { kind = "status", status = 503 },
  ["502 page"] = { kind = "html" },
  ["408"] = { kind = "status", status = 408 },
  ["429"] = { kind = "status", status = 429 },
  ["rate limit"] = { kind = "rate_limit" },
  ["in progress"] = { kind = "processing" },
  ["200 with code 500"] = { kind = "status", status = 200, shape = "G", code = 500 },
}

describe("the key of a call", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("is a lower-case random UUID, version 4", function()
    local client = fixture.client()
    local seen = {}
    for _ = 1, 50 do succeeded(client:balance "USD") end
    for _, key in ipairs(keys()) do
      assert.is_true(is_fresh_form(key), key)
      assert.is_nil(seen[key])
      seen[key] = true
    end
    assert.equal(50, #keys())
  end)

  it("is fresh for each client, currency and account", function()
    local seen = {}
    for _ = 1, 3 do
      local client = fixture.client()
      client:balance "USD"
      client:balance "SGD"
      client:balance("USD", { on_behalf_of = sandbox.sub_account })
      client:balance "USD"
    end
    for _, key in ipairs(keys()) do
      assert.is_nil(seen[key])
      seen[key] = true
    end
  end)

  it("is fresh, and so is the answer", function()
    local client = fixture.client { amounts = "string" }
    for n = 1, 5 do
      show(n .. ".50")
      assert.equal(n .. ".50", succeeded(client:balance "USD").available_balance)
    end
  end)

  it("is fresh after a call that failed", function()
    local client = fixture.client { max_retries = 0 }
    for _, order in ipairs { { kind = "drop_after" }, { kind = "status", status = 500 },
      { kind = "status", status = 400 } } do
      sandbox.fault(order)
      assert.is_nil((client:balance "USD"))
      succeeded(client:balance "USD")
      local list = keys()
      assert.not_equal(list[#list - 1], list[#list], order.kind)
    end
  end)

  it("stands in the error of a call that failed", function()
    sandbox.fault { kind = "status", status = 400 }
    local err = failed("invalid_request", fixture.client():balance "USD")
    assert.equal(keys()[1], err.idempotency_key)
  end)

  for name, order in pairs(lost) do
    it("stays when the answer was lost: " .. name, function()
      sandbox.fault { order, order }
      succeeded(fixture.client():balance "USD")
      local list = keys()
      assert.equal(3, #list)
      assert.equal(list[1], list[2])
      assert.equal(list[1], list[3])
    end)
  end

  fixture.on_the_wire("stays when no connection was made", function()
    local told = {}
    local client = fixture.client {
      base_url = "https://127.0.0.1:1/api", max_retries = 2,
      on_request = function(info) told[#told + 1] = info.idempotency_key end,
    }
    failed("connect", client:balance "USD")
    assert.is_true(is_fresh_form(told[1]))
    assert.same({ told[1], told[1], told[1] }, told)
  end)

  it("so gets the very answer that was lost", function()
    sandbox.fault { kind = "drop_after" }
    local client, changed
    client = fixture.client { amounts = "string", on_retry = function()
      changed = true
      show "7.77"
    end }
    -- the first try looked the balance up, the second one is given what it found
    assert.equal("5000.25", succeeded(client:balance "USD").available_balance)
    assert.is_true(changed)
    assert.equal("7.77", succeeded(client:balance "USD").available_balance)
  end)

  for name, order in pairs(definite) do
    it("is another one after a definite answer: " .. name, function()
      sandbox.fault { order, order }
      succeeded(fixture.client():balance "USD")
      local list = keys()
      assert.equal(3, #list)
      assert.not_equal(list[1], list[2])
      assert.not_equal(list[2], list[3])
      assert.not_equal(list[1], list[3])
      for _, key in ipairs(list) do assert.is_true(is_fresh_form(key), key) end
    end)
  end

  it("must be, since the API may store a failure, too, and replay it", function()
    local own = uqpay.uuid()
    local client = fixture.client { max_retries = 2 }
    sandbox.fault { kind = "status", status = 500, store = true }
    local err = failed("api", client:balance("USD", { idempotency_key = own }))
    assert.equal(3, err.attempts)     -- one fault, three failures
    assert.same({ own, own, own }, keys())
    sandbox.fault { kind = "status", status = 500, store = true }
    succeeded(client:balance "USD")
  end)

  it("changes once only in a lost, definite, lost, lost series", function()
    sandbox.fault { { kind = "drop_before" }, { kind = "html" }, { kind = "drop_after" },
      { kind = "truncate" } }
    succeeded(fixture.client { max_retries = 9 }:balance "USD")
    local list = keys()
    assert.equal(list[1], list[2])
    assert.not_equal(list[2], list[3])
    assert.equal(list[3], list[4])
    assert.equal(list[3], list[5])
    assert.equal(5, #list)
  end)
end)

describe("a caller's own key", function()
  before_each(function() sandbox.reset() end)

  local forms = {
    ["lower case, version 4"] = "0b1d6f5e-2c43-4f0a-8d5b-6a1e93c7d210",
    ["upper case"] = "0B1D6F5E-2C43-4F0A-8D5B-6A1E93C7D211",
    ["mixed case"] = "0b1D6f5E-2c43-4F0a-8d5B-6a1E93c7D212",
    ["version 1"] = "c232ab00-9414-11ec-b3c8-9f6bdeced846",
    ["version 7"] = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    ["all zeros"] = "00000000-0000-0000-0000-000000000000",
  }

  for name, key in pairs(forms) do
    it("is sent unchanged: " .. name, function()
      succeeded(fixture.client():balance("USD", { idempotency_key = key }))
      succeeded(fixture.client():balance { currency = "SGD",
        idempotency_key = uqpay.uuid() })
      assert.equal(key, keys()[1])
    end)
  end

  it("is never replaced, whatever fails", function()
    local own = "ABCDEF01-2C43-4F0A-8D5B-6A1E93C7D299"
    sandbox.fault { { kind = "drop_before" }, { kind = "html" }, { kind = "processing" },
      { kind = "rate_limit" }, { kind = "truncate" } }
    local client = fixture.client { max_retries = 9 }
    succeeded(client:balance("USD", { idempotency_key = own }))
    assert.same({ own, own, own, own, own, own }, keys())
  end)

  it("stands in the error", function()
    local own = "ABCDEF01-2C43-4F0A-8D5B-6A1E93C7D29A"
    sandbox.fault { kind = "status", status = 403 }
    local err = failed("permission",
      fixture.client():balance("USD", { idempotency_key = own }))
    assert.equal(own, err.idempotency_key)
  end)

  it("is for its call only", function()
    local own = uqpay.uuid()
    local client = fixture.client()
    client:balance("USD", { idempotency_key = own })
    client:balance "USD"
    assert.not_equal(own, keys()[2])
  end)

  for name, key in pairs {
    ["65 characters"] = ("a"):rep(65), ["a UUID and a line end"] = uqpay.uuid() .. "\r\n",
    ["a UUID with a line end in it"] = uqpay.uuid():sub(1, 34) .. "\r\n",
    ["empty"] = "", ["blank"] = " ", ["no dashes"] = ("a"):rep(32),
    ["a NUL"] = uqpay.uuid():sub(1, 35) .. "\0", ["a wrong digit"] =
      "g" .. uqpay.uuid():sub(2), ["braces"] = "{" .. uqpay.uuid() .. "}",
  } do
    it("is refused before anything is sent: " .. name, function()
      local err = failed("invalid_request",
        fixture.client():balance("USD", { idempotency_key = key }))
      assert.matches("bad option 'idempotency_key' to 'balance'", err.message, 1, true)
      assert.equal(0, err.attempts)
      assert.is_nil(err.idempotency_key)
      assert.same({}, keys())
    end)
  end

  for name, key in pairs {
    ["a number"] = 5, ["a boolean"] = false, ["a table"] = {},
  } do
    it("raises if it is no string: " .. name, function()
      local client = fixture.client()
      local ok, err = pcall(client.balance, client, "USD", { idempotency_key = key })
      assert.is_false(ok)
      assert.matches("idempotency_key", err, 1, true)
      assert.same({}, keys())
    end)
  end
end)

describe("a caller's own key used again", function()
  local client
  before_each(function()
    sandbox.reset()
    client = fixture.client { amounts = "string" }
  end)

  local function ask(key, options)
    options = options or {}
    options.idempotency_key = key
    return client:balance("USD", options)
  end

  -- Refused by us: nothing was sent.
  local function refused(...)
    local before = #keys()
    local err = failed("idempotency", ask(...))
    assert.equal(0, err.attempts)
    assert.is_nil(err.status)
    assert.is_false(err.retryable)
    assert.matches("allow_key_reuse", err.message, 1, true)
    assert.equal(before, #keys())
    return err
  end

  it("is refused, and nothing is sent", function()
    local own = uqpay.uuid()
    succeeded(ask(own))
    assert.equal(own, refused(own).idempotency_key)
    refused(own)
  end)

  it("is refused in another case of letters as well", function()
    local own = uqpay.uuid()
    succeeded(ask(own))
    refused(own:upper())
  end)

  it("is refused for another currency or account as well", function()
    local own = uqpay.uuid()
    succeeded(ask(own))
    failed("idempotency", client:balance { currency = "SGD", idempotency_key = own })
    refused(own, { on_behalf_of = sandbox.sub_account })
  end)

  it("is refused after a call that failed", function()
    for _, order in ipairs { { kind = "status", status = 500, times = 9 },
      { kind = "drop_after", times = 9 }, { kind = "status", status = 400 } } do
      sandbox.reset()
      sandbox.fault(order)
      local own = uqpay.uuid()
      assert.is_nil((ask(own)))
      refused(own)
    end
  end)

  it("is not refused when the first call sent nothing", function()
    local own = uqpay.uuid()
    local token
    client = fixture.client { token = function() return token end }
    failed("auth", ask(own))
    assert.same({}, keys())
    token = sandbox.token
    succeeded(ask(own))
    refused(own)
  end)

  it("is rejected if among the last 32, however long the client lives", function()
    local own = uqpay.uuid()
    succeeded(ask(own))
    for _ = 1, 31 do succeeded(ask(uqpay.uuid())) end
    refused(own)
    for _ = 1, 5 do client:balance "USD" end      -- fresh keys do not count
    refused(own)
    succeeded(ask(uqpay.uuid()))
    succeeded(ask(own))                           -- 32 others are between now
  end)

  it("is each client's own affair", function()
    local own = uqpay.uuid()
    succeeded(ask(own))
    succeeded(fixture.client():balance("USD", { idempotency_key = own }))
  end)

  it("is allowed when asked for: then the old answer comes, unmarked", function()
    local own = uqpay.uuid()
    succeeded(ask(own))
    show "1.23"
    refused(own)
    local balance = succeeded(ask(own, { allow_key_reuse = true }))
    assert.equal("5000.25", balance.available_balance)      -- the danger itself
    assert.equal("1.23", succeeded(client:balance "USD").available_balance)
    assert.same({ own, own }, { keys()[1], keys()[2] })
  end)

  it("is allowed for one call only", function()
    local own = uqpay.uuid()
    succeeded(ask(own))
    succeeded(ask(own, { allow_key_reuse = true }))
    refused(own)
    refused(own, { allow_key_reuse = false })
  end)

  it("is refused though its first use was one that allowed reuse", function()
    local own = uqpay.uuid()
    succeeded(ask(own, { allow_key_reuse = true }))
    refused(own)
  end)

  it("gets the API's own refusal where the request differs", function()
    local own = uqpay.uuid()
    succeeded(ask(own))
    local err = failed("idempotency", client:balance { currency = "SGD",
      idempotency_key = own, allow_key_reuse = true })
    assert.equal(400, err.status)
    assert.equal("idempotency_error", err.type)
    assert.equal(1, err.attempts)
  end)
end)

-- A run of calls under faults, watched from both ends: by on_request, and by the server,
-- which sees more, since libcurl by itself repeats a request whose kept connection died.
describe("over a long run of faults of all kinds", function()
  before_each(function() sandbox.reset() end)

  local kinds = {
    { kind = "drop_before" }, { kind = "drop_after" }, { kind = "truncate" },
    { kind = "html" }, { kind = "rate_limit" }, { kind = "processing" },
    { kind = "status", status = 500 }, { kind = "status", status = 503, store = false },
    { kind = "answer", body = '{"code":504,"message":"a success by status alone"}' },
  }
  local calls = 60

  -- A small generator of our own: the same run on every Lua.
  local function generator(seed)
    return function(n)
      seed = (seed * 16807) % 2147483647
      return seed % n + 1
    end
  end

  -- Makes the calls, each under up to four faults and with a balance of its own, which
  -- must be the answer. Returns which key was told in which call.
  local function run(version, random)
    local owner, call = {}, 0
    local client
    local options = {
      amounts = "string", max_retries = 5, http_version = version, retry_delay = 0,
      retry_delay_max = 0,
      on_request = function(info)
        local key = info.idempotency_key
        assert(is_fresh_form(key) and (owner[key] or call) == call, key)
        owner[key] = call
      end,
    }
    for n = 1, calls do
      call = n
      if n % 3 == 1 then -- one that met many a 429 would slow down
        if client then client:close() end
        client = fixture.client(options)
      end
      for _ = 1, random(5) - 1 do sandbox.fault(kinds[random(#kinds)]) end
      show(n .. ".01")
      assert.equal(n .. ".01", succeeded(client:balance "USD").available_balance)
      assert.equal(0, client:stats().hook_errors)
    end
    client:close()
    return owner
  end

  -- Each request follows from the one before it: the same key if that one's answer was
  -- lost, another one if it was definite, and a new call after a good answer.
  local function check_log(owner)
    local last = {}
    local seen = {}
    for _, entry in ipairs(sandbox.requests()) do
      local key = entry.headers["x-idempotency-key"]
      local resent = lost[last.fault or ""] ~= nil
      assert.truthy(owner[key], "a key nobody was told of")
      assert.equal(resent, key == last.key)
      assert.is_true(resent or not seen[key], "a key comes back")
      if last.key then
        -- a resend after a lost answer may find the good one in the store
        local good = not resent and last.status == 200 and last.fault ~= "answer"
        assert.equal(owner[last.key] + (good and 1 or 0), owner[key])
      end
      seen[key] = true
      last = { key = key, fault = entry.fault, status = entry.status }
    end
    assert.equal(calls, owner[last.key])
    for key in pairs(owner) do assert.is_true(seen[key]) end
  end

  for seed, version in ipairs { "1.1", "2" } do
    it("no key ever serves two calls, over HTTP/" .. version, function()
      check_log(run(version, generator(seed)))
    end)
  end
end)
