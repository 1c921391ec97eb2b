-- A token is renewed beside a call that has a good one, and nobody waited for that. The
-- next call, minutes later, took the renewal's timeout for its own failure; an answer
-- that had come in time was thrown away.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"

describe("a login that was left alone", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, case in ipairs {
    { "and answered", [[sandbox.settings { hold = "" }
      until_so(function() return sandbox.counts().mints == 2 end)]], 2 },
    { "and never answered", [[sandbox.fault { kind = "hang", endpoint = "token" }
      sandbox.settings { hold = "" }
      until_so(function() return #sandbox.faults() == 0 end)]], 3 },
  } do
    it(case[1] .. " fails no later call", function()
      child.run([[
        local c = uqpay.new(options())
        assert(c:balance "USD")
        shift.monotonic(1600)
        sandbox.settings { hold = "token" }
        assert(c:balance "USD")
        until_so(function() return count "token" == 2 end)
        ]] .. case[2] .. [[
        shift.monotonic(3600)
        assert(c:balance "USD")
        same("1 1 2", tokens())
        same(]] .. case[3] .. [[, count "token")
      ]], "shift")
    end)
  end
end)
