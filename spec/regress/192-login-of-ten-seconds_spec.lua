-- The limit of a login's attempt grew to 10 seconds and no further, so that with a
-- timeout of up to 20 seconds no login succeeded at a gateway that takes a little longer.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("a login that takes more than ten seconds", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)
  teardown(function() sandbox.reset() end)

  it("is let finish", function()
    sandbox.fault { kind = "delay", seconds = 10.5, endpoint = "token", times = 9 }
    local c = fixture.client { token = false, client_id = sandbox.client_id,
      api_key = sandbox.api_key, timeout = 14, max_retries = 1 }
    fixture.succeeded(c:balance("USD", { timeout = 60 }))
    assert.equal(2, sandbox.counts().endpoints.token)
    c:close()
  end)
end)
