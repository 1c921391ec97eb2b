-- A call with a key of the caller's was sent although another one, made by its own
-- on_request, had sent that key already.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("a key that a hook's call has sent", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, reuse in ipairs { false, true } do
    it(reuse and "is sent again if that is asked for" or "is not sent again", function()
      local options = { idempotency_key = uqpay.uuid(), allow_key_reuse = reuse }
      local client, other
      client = fixture.client { on_request = function()
        if other then return end
        other = true
        other = client:start_balance("USD", options)
      end }
      local call = client:start_balance("USD", options)
      for _, started in ipairs { call, other } do
        while not started:step() do client:step(1) end
      end
      fixture.succeeded(other:result())
      if reuse then
        fixture.succeeded(call:result())
      else
        local err = fixture.failed("idempotency", call:result())
        assert.equal(0, err.attempts)
      end
      assert.equal(reuse and 2 or 1, #sandbox.requests())
      client:close()
    end)
  end
end)
