-- Of several calls over HTTP/1.1, one that ended left its connection to a call that
-- waited, before it was noticed to have ended: the connection was taken for an idle one,
-- and shut down as soon as the next answer came. New ones were opened without end.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("connections of many calls at once", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("are opened once", function()
    local client = fixture.client { http_version = "1.1", max_retries = 0 }
    local left, concurrency = 1500, 32
    local function source()
      left = left - 1
      return left >= 0 and "USD" or nil
    end
    for _, balance, message in client:batch(source, { concurrency = concurrency }) do
      assert.is_truthy(balance, message)
    end
    assert.equal(concurrency, client:stats().connections)
    client:close()
  end)
end)
