-- After a hook had dropped the token (client:invalidate_token) the request was sent
-- without one, and the answer was a 401 about something else.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("a request", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for name, changes in pairs {
    ["a login"] = function()
      return { token = false, client_id = sandbox.client_id, api_key = sandbox.api_key }
    end,
    ["a token function"] = function()
      return { token = function() return sandbox.token, os.time() + 1000 end }
    end,
  } do
    it("is never sent without a token: " .. name, function()
      local client
      local options = fixture.options(changes())
      options.on_request = function(info)
        if info.endpoint == "balance" then client:invalidate_token() end
      end
      client = uqpay.new(options)
      fixture.failed("auth", client:balance "USD")
      assert.equal(0, #sandbox.requests "balance")
    end)
  end
end)
