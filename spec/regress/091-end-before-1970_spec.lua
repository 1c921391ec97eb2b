-- A login under a wall clock that stood before 1967 gave its token an end below 0, which
-- no file store takes: the token was not shared, and each process logged in for itself.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"

describe("a login before 1967", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("shares its token", function()
    child.run([[
      shift.realtime(-os.time() - 2e8)
      local path = os.tmpname()
      os.remove(path)
      for _ = 1, 2 do
        local c = uqpay.new(options { token_store = uqpay.file_store(path) })
        assert(c:balance "USD")
        local token, ends = c:token()
        assert(token and ends > 0, ends)
        same(0, c:stats().hook_errors)
      end
      same(1, count "token")
      os.remove(path)
      os.remove(path .. ".lock")
    ]], "shift")
  end)
end)
