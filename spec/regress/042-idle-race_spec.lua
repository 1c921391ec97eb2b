-- When one of several calls over HTTP/1.1 ended, a waiting call used its connection
-- before the client noticed the end. So the connection counted as idle, and was shut down
-- when the next answer came. The client kept opening new ones.

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
