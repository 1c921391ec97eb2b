-- A call had one login, however long it took: when its token expired between two attempts
-- it failed with kind auth. And if its login took until the token's expiry, the call
-- reported a rejected token.

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

  it("uses the token that it has waited for, even an old one", function()
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
