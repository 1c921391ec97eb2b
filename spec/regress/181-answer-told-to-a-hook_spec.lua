-- While an iterator waits, a debug hook or a finalizer may ask the client which calls are
-- ready, or use another iterator: the call of the first iterator was taken from it then,
-- and it waited for an hour.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("a call named to a debug hook", function()
  setup(function() sandbox.start() end)

  for name, use in pairs {
    balances = function(client) return client:batch { "USD" } end,
    each_balance = function(client) return client:each_balance() end,
  } do
    it("is known to " .. name .. " all the same", function()
      sandbox.reset()
      local client = fixture.client { timeout = 3600 }
      local iterator = use(client)
      sandbox.fault { kind = "delay", seconds = 0.6 }
      local taken
      local ends = os.time() + 20
      finally(function()
        debug.sethook()
        client:close()
      end)
      debug.sethook(function()
        if os.time() > ends then
          debug.sethook()
          error("it never ends", 0)
        end
        -- user code that the client runs while it waits
        if taken or debug.getinfo(2, "S").source ~= "return" then return end
        client:step(5)
        client:ready()
        taken = true
      end, "", 1)
      local first, balance = iterator()
      debug.sethook()
      assert.is_truthy(taken)
      assert.is_truthy(first)
      assert.is_truthy(name ~= "balances" or balance)
    end)
  end
end)
