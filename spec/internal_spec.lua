-- What the Lua files of uqpay get from the C module: kept answers.

local fixture = require "spec.support.fixture"
local internal = require "uqpay.internal"
local sandbox = require "spec.support.sandbox"

describe("the text of an answer", function()
  local client
  fixture.with_client(function(made) client = made end)

  local function asked(options)
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
    assert.matches("available_balance", internal.text(asked()), 1, true)
    sandbox.fault { kind = "status", status = 503, store = false }
    local call = asked { currency = "USD", max_retries = 0 }
    fixture.failed("api", call:result())
    assert.is_nil(internal.text(call))
    assert.is_nil(internal.text(asked { currency = "usd" }))
    call = client:start_balance "USD"
    internal.keep_text(call)
    call:cancel()
    assert.is_nil(internal.text(call))
    client:close()
    assert.is_nil(internal.text(call))
  end)

  it("gives the same balance again", function()
    local bodies = {
      fixture.body "0.1", fixture.body "12345678.01234567890", fixture.body '"7.50"',
      (fixture.body "3":gsub("{", '{"more":{"a":[1,true,null,"\\u0041"]},"n":null,', 1)),
    }
    for _, body in ipairs(bodies) do
      for _, amounts in ipairs { "number", "string", "exact" } do
        sandbox.fault { kind = "answer", body = body }
        local call = asked { currency = "USD", amounts = amounts }
        local first = fixture.succeeded(call:result())
        local currency, _, number = internal.question(client, "USD", { amounts = amounts })
        local again = internal.read(client, currency, number, internal.text(call))
        assert.same(first, again)
        assert.equal(tostring(first.available_balance), tostring(again.available_balance))
      end
    end
  end)

  it("gives what a call would not take back with the reason", function()
    local function refused(text, currency)
      local balance, message, more = internal.read(client, currency or "USD", 0, text)
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
    assert.has_error(function() internal.read(client, "USD", 0, fixture.body "1") end,
      "attempt to use a closed uqpay client")
  end)
end)

describe("a question", function()
  it("has the timeout and retries that its call would have", function()
    sandbox.start()
    local client = fixture.client { timeout = 7, max_retries = 4 }
    assert.same({ 7, 4 }, { internal.budget(client) })
    assert.same({ "USD", "", 0, 7, false, 4 }, { internal.question(client, "USD") })
    assert.same({ "SGD", sandbox.sub_account, 2, 1.5, true, 0 },
      { internal.question(client, "SGD", { on_behalf_of = sandbox.sub_account,
        amounts = "exact", timeout = 1.5, max_retries = 0,
        idempotency_key = "b5f4a6c2-3f0e-4d52-9a53-0c8a3f2b7d11" }) })
    client:close()
  end)
end)
