-- An abandoned login, rejected by a server that was down, failed the next call, though
-- that could have logged in.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"

describe("the failure of an abandoned login", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("is not that of the next call", function()
    child.run [[
      sandbox.settings { hold = "token" }
      sandbox.fault { kind = "status", status = 503, endpoint = "token" }
      local c = uqpay.new(options { max_retries = 0 })
      local call = c:start_balance "USD"
      wait_until(function() return count "token" == 1 end, function() c:step(0.01) end)
      call:cancel()
      sandbox.settings { hold = "" }
      wait_until(function() return #sandbox.faults() == 0 end)
      -- its answer is on the way: another client's comes behind it
      assert(uqpay.new(options()):balance "USD")
      assert(c:balance "USD")
      same(3, count "token")
    ]]
  end)
end)
