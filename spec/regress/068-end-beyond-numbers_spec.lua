-- A login whose expired_at was beyond the range of doubles failed, and advised to use
-- amounts = "string"; any other nonsense there is taken for no end.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("an expired_at beyond all numbers", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, amounts in ipairs { "number", "string", "exact" } do
    it("fails no login, amounts = " .. amounts, function()
      sandbox.fault { kind = "answer", endpoint = "token",
        body = '{"auth_token":"' .. sandbox.new_token() .. '","expired_at":1e999}' }
      local client = uqpay.new(fixture.options { token = false, amounts = amounts,
        client_id = sandbox.client_id, api_key = sandbox.api_key,
        base_url = sandbox.http_url })
      for _ = 1, 2 do assert(client:balance "USD") end
      assert.equal(1, client:stats().logins)
    end)
  end
end)
