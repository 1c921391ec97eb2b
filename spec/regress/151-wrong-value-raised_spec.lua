-- A wrong value that came from outside the program, such as a currency out of a request,
-- raised, and took the program down.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("a wrong value of a call", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  local function failed(endpoint, ...)
    local err = fixture.failed("invalid_request", ...)
    assert.equal(endpoint, err.endpoint)
    assert.equal(0, err.attempts)
    assert.is_false(err.retryable)
  end

  it("is the call's failure, and nothing is sent", function()
    local client = fixture.client()
    failed("balance", client:balance "usd")
    failed("balance", client:balance { currency = "usd" })
    failed("balance", client:balance("USD", { on_behalf_of = "me" }))
    failed("balance", client:balance("USD", { idempotency_key = "1" }))
    failed("transactions", client:transactions { start_time = "yesterday" })
    failed("transactions", client:transactions { currency = "" })
    failed("accounts", client:accounts { page_number = 0 })
    local call = client:start_balances { page_size = 0 / 0 }
    assert.is_true(call:done())
    assert.is_true(call:step())
    assert.equal(0, call:attempts())
    assert.equal(0, call:timeout())
    assert.is_nil(call:pollfd())
    assert.equal("uqpay.call (balances , finished)", tostring(call))
    call:cancel()
    failed("balances", call:result())
    failed("balances", call:result())
    assert.equal(0, #sandbox.requests())
    client:close()
    failed("balances", call:result())
  end)

  it("among the options of a batch fails each query", function()
    local client, failures = fixture.client(), 0
    local queries = { "USD", "SGD", { currency = "USD" } }
    for _, balance, message, err in client:batch(queries, { on_behalf_of = "me" }) do
      failed("balance", balance, message, err)
      failures = failures + 1
    end
    assert.equal(3, failures)
    assert.equal(0, #sandbox.requests())
    client:close()
  end)
end)
