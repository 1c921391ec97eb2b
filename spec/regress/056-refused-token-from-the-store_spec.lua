-- A rejected token was recognized in the store only if it was stored without the word
-- Bearer; with it, it was used again and again.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("a refused token", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, before in ipairs { "", "Bearer ", "bearer " } do
    it("is not taken from the store again: " .. before, function()
      local token = before .. sandbox.expired_token
      local client = uqpay.new(fixture.options { token = false,
        client_id = sandbox.client_id, api_key = sandbox.api_key, token_store = {
          get = function() return token, os.time() + 1000 end, set = function() end,
        } })
      for _ = 1, 2 do fixture.succeeded(client:balance "USD") end
      assert.equal(1, #sandbox.mints())
    end)
  end
end)
