-- A token is renewed beside a call that has a valid one, and no call waited for that. The
-- next call, minutes later, took the renewal's timeout for its own failure; an answer
-- that had come in time was dropped.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"

describe("an abandoned login", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, case in ipairs {
    { "and answered", [[sandbox.settings { hold = "" }
      wait_until(function() return sandbox.counts().mints == 2 end)]], 2 },
    { "and never answered", [[sandbox.fault { kind = "hang", endpoint = "token" }
      sandbox.settings { hold = "" }
      wait_until(function() return #sandbox.faults() == 0 end)]], 3 },
  } do
    it(case[1] .. " fails no later call", function()
      child.run([[
        local c = uqpay.new(options())
        assert(c:balance "USD")
        shift.monotonic(1600)
        sandbox.settings { hold = "token" }
        assert(c:balance "USD")
        wait_until(function() return count "token" == 2 end)
        ]] .. case[2] .. [[
        shift.monotonic(3600)
        assert(c:balance "USD")
        same("1 1 2", tokens())
        same(]] .. case[3] .. [[, count "token")
      ]], "shift")
    end)
  end
end)
