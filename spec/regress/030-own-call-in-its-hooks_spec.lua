-- While its answer was judged a call had no exchange, but counted as in flight: asked for
-- its timeout within on_response or on_retry, it read through a null pointer. And it said
-- that it was done where there was no result yet.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("a call asked within its own hooks", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, fails in ipairs { false, true } do
    it("answers, and is not done" .. (fails and ", when it fails" or ""), function()
      local call
      local asked = 0
      local function ask()
        if not call then return end       -- start_balance has not returned yet
        asked = asked + 1
        assert.is_true(call:timeout() >= 0)
        assert.is_boolean(call:dirty())
        assert.is_false(call:done())
        assert.is_false(call:step())
        assert.is_false((pcall(call.result, call)))
        assert.equal("number", type(call:getfd()))
      end
      local client = fixture.client {
        on_request = ask, on_response = ask, on_retry = ask, max_retries = 1,
      }
      sandbox.fault { kind = "status", status = 503, times = fails and 2 or 1 }
      call = client:start_balance "USD"
      while not call:step() do client:step(1) end
      assert.is_true(call:done())
      if fails then
        fixture.failed("api", call:result())
      else
        fixture.succeeded(call:result())
      end
      assert.equal(4, asked)      -- on_response, on_retry, on_request, on_response
      assert.equal(0, client:stats().hook_errors)
      client:close()
    end)
  end
end)
