-- A login without waiters kept the lock of the token store until the next call, maybe an
-- hour later: other processes waited for it.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("the lock of a token store", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("does not outlast the call that took it", function()
    sandbox.settings { hold = "token" }
    local held, taken = false, 0
    local client = uqpay.new(fixture.options {
      token = false, client_id = sandbox.client_id, api_key = sandbox.api_key,
      token_store = {
        get = function() end, set = function() end,
        lock = function()
          held, taken = true, taken + 1
          return true
        end,
        unlock = function() held = false end,
      },
    })
    fixture.failed("timeout", client:balance("USD", { timeout = 0.1 }))
    assert.is_false(held)
    local call = client:start_balance "USD"
    assert.is_true(held)
    call:cancel()
    assert.is_false(held)
    assert.equal(2, taken)
  end)
end)
