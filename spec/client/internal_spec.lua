-- uqpay.internal, functions in C for the Lua files: the text of an answer, the options of
-- a query, and the time in which nothing is expected to happen.

local fixture = require "spec.support.fixture"
local internal = require "uqpay.internal"
local sandbox = require "spec.sandbox.sandbox"

local clock = internal.clock

describe("the text of an answer", function()
  local client
  fixture.with_client(function(made) client = made end)

  local function finished_call(options)
    local call = client:start_balance(options or { currency = "USD" })
    internal.keep_text(call)
    fixture.finish(client, { call })
    return call
  end

  it("is kept as it came for a call that is marked, and for no other", function()
    local body = fixture.body "0.10000000000000000555" .. " "
    sandbox.fault { kind = "answer", body = body, times = 2 }
    local call = client:start_balance "USD"
    internal.keep_text(call)
    assert.is_nil(internal.text(call))
    fixture.finish(client, { call })
    assert.equal(body, internal.text(call))
    assert.equal(body, internal.text(call))
    local plain = client:start_balance "USD"
    fixture.finish(client, { plain })
    assert.is_nil(internal.text(plain))
  end)

  it("is that of the attempt that succeeds; a failure has none", function()
    sandbox.fault { kind = "status", status = 503, store = false }
    assert.matches("available_balance", internal.text(finished_call()), 1, true)
    sandbox.fault { kind = "status", status = 503, store = false }
    local call = finished_call { currency = "USD", max_retries = 0 }
    fixture.failed("api", call:result())
    assert.is_nil(internal.text(call))
    assert.is_nil(internal.text(finished_call { currency = "usd" }))
    call = client:start_balance "USD"
    internal.keep_text(call)
    call:cancel()
    assert.is_nil(internal.text(call))
    client:close()
    assert.is_nil(internal.text(call))
  end)

  it("is decoded to the same balance again", function()
    local bodies = {
      fixture.body "0.1", fixture.body "12345678.01234567890", fixture.body '"7.50"',
      (fixture.body "3":gsub("{", '{"more":{"a":[1,true,null,"\\u0041"]},"n":null,', 1)),
    }
    for _, body in ipairs(bodies) do
      for _, amounts in ipairs { "number", "string", "exact" } do
        sandbox.fault { kind = "answer", body = body }
        local call = finished_call { currency = "USD", amounts = amounts }
        local first = fixture.succeeded(call:result())
        local number = select(3,
          internal.parse_query(client, "balance", "USD", { amounts = amounts }))
        local again = internal.decode(client, "USD", number, internal.text(call))
        assert.same(first, again)
        assert.equal(tostring(first.available_balance), tostring(again.available_balance))
      end
    end
  end)

  it("is rejected with a message if a call would fail on it", function()
    local function refused(text, currency)
      local balance, message, more = internal.decode(client, currency or "USD", 0, text)
      assert.is_nil(balance)
      assert.is_nil(more)
      return message
    end
    assert.equal("the answer's currency: asked for SGD, got USD",
      refused(fixture.body "1", "SGD"))
    assert.matches("no JSON", refused "{", 1, true)
    assert.matches("empty body", refused "", 1, true)
    assert.matches("no balance_id", refused '{"currency":"USD"}', 1, true)
    assert.matches("available_balance", refused(fixture.body '"much"'), 1, true)
    assert.matches("two members", refused('{"a":{"b":1,"b":2},'
      .. fixture.body "1":sub(2)), 1, true)
    client:close()
    assert.has_error(function() internal.decode(client, "USD", 0, fixture.body "1") end,
      "attempt to use a closed uqpay client")
  end)
end)

describe("a query", function()
  it("has the timeout and retries that its call would have", function()
    sandbox.start()
    local client = fixture.client { timeout = 7, max_retries = 4 }
    assert.same({ 7, 4 }, { internal.budget(client) })
    assert.same({ "USD", "", 0, 7, false, 4 },
      { internal.parse_query(client, "balance", "USD") })
    assert.same({ "SGD", sandbox.sub_account, 2, 1.5, true, 0 },
      { internal.parse_query(client, "balance", "SGD", {
        on_behalf_of = sandbox.sub_account, amounts = "exact", timeout = 1.5,
        max_retries = 0,
        idempotency_key = "b5f4a6c2-3f0e-4d52-9a53-0c8a3f2b7d11" }) })
    client:close()
  end)
end)

describe("the time in which nothing is expected", function()
  local closing = fixture.closing()
  setup(sandbox.start)
  before_each(sandbox.reset)

  -- Steps the client until condition() is true.
  local function step_until(client, condition)
    local ends = clock() + 30
    while not condition() do
      client:step(0.001)
      assert.is_true(clock() < ends, "timed out")
    end
  end

  -- A client that has had some answers after about 0.3 seconds, from the endpoint balance
  -- or token. Later answers of it are held until release(), however slow the machine is.
  local function learned(endpoint, changes)
    sandbox.settings { delay = 0.3 }
    local client = closing(fixture.client(changes))
    for _ = 1, 6 do
      fixture.finish(client, { client:start_balance "USD" })
      if endpoint == "token" then client:invalidate_token() end
    end
    sandbox.settings { delay = 0, hold = endpoint }
    return client
  end

  local function release() sandbox.settings { hold = "" } end

  local function assert_learned(idle)
    assert.is_true(idle > 0.02 and idle < 1, idle)
  end

  it("is nil without calls", function()
    local client = closing(fixture.client())
    assert.is_nil(internal.idle(client))
    client:close()
    assert.is_nil(internal.idle(client))
  end)

  it("is 0 while a connection is made, and without earlier answers", function()
    local client = closing(fixture.client())
    sandbox.settings { hold = "balance" }
    local call = client:start_balance "USD"
    assert.is_true(internal.idle(client) <= 0)
    step_until(client, function() return #sandbox.requests "balance" == 1 end)
    local before = internal.idle(client)
    assert.is_true(before < 0, before)
    step_until(client, function() return internal.idle(client) < before - 0.01 end)
    call:cancel()
  end)

  for version in pairs { ["1.1"] = 1, ["2"] = 1 } do
    it("lasts until an answer may come over HTTP/" .. version, function()
      local client = learned("balance", { http_version = version })
      local call = client:start_balance "USD"
      client:step()
      assert_learned(internal.idle(client))
      step_until(client, function() return internal.idle(client) <= 0 end)
      assert.is_false(call:done())
      local later = client:start_balance "USD" -- a later call does not prolong the time
      client:step()
      assert.is_true(internal.idle(client) <= 0)
      release()
      fixture.finish(client, { call, later })
      assert.is_nil(internal.idle(client))
    end)
  end

  it("lasts until the next attempt, or slot", function()
    sandbox.fault { kind = "status", status = 503, store = false }
    local client = closing(fixture.client { retry_delay = 5, retry_delay_max = 5 })
    local call = client:start_balance "USD"
    step_until(client, function()
      call:step()
      return internal.idle(client) > 1
    end)
    call:cancel()
    client = closing(fixture.client { rate_limit = 6 })
    fixture.finish(client, { client:start_balance "USD" })
    call = client:start_balance "USD"
    local idle = internal.idle(client)
    assert.is_true(idle > 1 and idle < 30, idle)
    call:cancel()
  end)

  it("is 0 when a call is due, whatever the others do", function()
    local client = learned("balance", { http_version = "2" })
    local call = client:start_balance "USD"
    client:step()
    step_until(client, function() return internal.idle(client) <= 0 end)
    local later = client:start_balance "USD"
    client:step()
    release()
    local ends = clock() + 30
    while not client:step(1) do assert.is_true(clock() < ends, "no answer comes") end
    assert.equal(0, internal.idle(client))
    fixture.finish(client, { call, later })
  end)

  it("lasts until the answer to a login may come", function()
    local client = learned("token", { token = false, client_id = sandbox.client_id,
      api_key = sandbox.api_key })
    local call = client:start_balance "USD"
    client:step()
    assert_learned(internal.idle(client))
    release()
    fixture.finish(client, { call })
  end)
end)
