-- A call had one login, however long it took: when its token ended between two attempts
-- it failed with kind auth. And one whose login took until its token's end was said to
-- have had that refused.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"

describe("a call that takes long", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("has a token for each attempt", function()
    child.run([[
      sandbox.fault { kind = "status", status = 503, endpoint = "balance", times = 3 }
      local c = uqpay.new(options { timeout = 86400, max_retries = 3,
        on_retry = function() shift.monotonic(1801) end })
      assert(c:balance "USD")
      same("1 2 3 4", tokens())
    ]], "shift")
  end)

  it("uses the token that it has waited for, be it old already", function()
    child.run([[
      local c = uqpay.new(options { timeout = 86400, token_store = {
        get = function() end,
        set = function() shift.monotonic(1801) end,
      } })
      assert(c:balance "USD")
      same("1", tokens())
    ]], "shift")
  end)
end)
