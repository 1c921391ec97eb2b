-- A token without an end that replaced a refused one was asked for once more before it
-- was ever sent: "new rejected new".

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("after a 401", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for name, kept in pairs { ["was kept"] = 3600, ["was for one call"] = false } do
    it("the function is asked once when the token " .. name, function()
      local first, second = sandbox.new_token(), sandbox.new_token()
      local reasons = {}
      local client = fixture.client { token = function(reason)
        reasons[#reasons + 1] = reason
        if reason == "rejected" then return second end
        return first, kept and os.time() + kept or nil
      end }
      if kept then fixture.succeeded(client:balance "USD") end
      sandbox.expire(first)
      fixture.succeeded(client:balance "USD")
      assert.same({ "new", "rejected" }, reasons)
      local log = sandbox.requests()
      assert.equal(kept and 3 or 2, #log)
      assert.equal("Bearer " .. second, log[#log].headers["x-auth-token"])
    end)
  end
end)
