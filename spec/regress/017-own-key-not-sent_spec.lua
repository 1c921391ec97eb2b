-- A caller's own key counted as used when the token function had failed, though nothing
-- was ever sent with it: the next try was refused.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("an own key that was never sent", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("may be used after the token function has failed", function()
    local down = true
    local client = fixture.client { token = function()
      if down then error "the vault is down" end
      return sandbox.token
    end }
    local own = { idempotency_key = uqpay.uuid() }
    for _ = 1, 2 do
      local err = fixture.failed("auth", client:balance("USD", own))
      assert.equal(0, err.attempts)
    end
    assert.equal(0, #sandbox.requests())
    down = false
    fixture.succeeded(client:balance("USD", own))
    assert.equal(own.idempotency_key, sandbox.requests()[1].headers["x-idempotency-key"])
    -- and now it counts
    fixture.failed("idempotency", client:balance("USD", own))
    assert.equal(1, #sandbox.requests())
  end)
end)
