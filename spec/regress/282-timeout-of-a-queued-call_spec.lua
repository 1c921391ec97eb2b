-- The time for which a queued call waits for its slot is no part of its timeout. A call
-- that had waited for longer than that, and had no token then, timed out at once instead
-- of waiting for the login: one whose old token was dropped while it was renewed, and one
-- that had been answered 429.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"

describe("a queued call", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("whose token is dropped as it is renewed waits for the login", function()
    child.run([[
      local c, armed
      c = uqpay.new(options { rate_limit = 60, on_request = function(info)
        if armed and info.endpoint == "token" then
          armed = false
          c:invalidate_token()
        end
      end })
      good { { n = 1, c:balance "USD" } }
      local call = c:start_balance { currency = "USD", queued = true }
      same(0, call:attempts()) -- it has no slot yet
      shift.monotonic(1600) -- more than its timeout; the token is old
      armed = true
      while not call:step() do c:step(1) end
      local balance, message = call:result()
      same("USD", balance and balance.currency or message)
      same(false, armed)
    ]], "shift")
  end)

  it("whose token is dropped while it is queued again waits for the login", function()
    child.run([[
      local c = uqpay.new(options { rate_limit = 60 })
      c:token()
      sandbox.fault { kind = "status", status = 429, endpoint = "balance" }
      local call = c:start_balance { currency = "USD", queued = true }
      wait_until(function() -- its back-off lasts some milliseconds
        return call:attempts() == 1 and tostring(call):find "waiting"
          and c:timeout() > 0.1
      end, function() if c:step(0.01) then call:step() end end)
      c:invalidate_token()
      shift.monotonic(100) -- more than its timeout
      while not call:step() do c:step(1) end
      local balance, message = call:result()
      same("USD", balance and balance.currency or message)
    ]], "shift")
  end)
end)
