-- A call whose login had failed was stepped only after another login had succeeded and
-- its token was dropped: the text of the failure was lost by then, and Lua raised.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("a call whose login has failed", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("says so, whatever the outcome of later ones", function()
    sandbox.fault { kind = "status", status = 503, endpoint = "token" }
    local client = uqpay.new(fixture.options { token = false, max_retries = 0,
      client_id = sandbox.client_id, api_key = sandbox.api_key })
    local one, two = client:start_balance "USD", client:start_balance "USD"
    local ends = os.time() + 60
    repeat until two:step() or os.time() > ends
    fixture.failed("api", two:result())
    fixture.succeeded(client:balance "USD")
    client:invalidate_token()
    assert.is_true(one:step())
    local err = fixture.failed("api", one:result())
    assert.equal(503, err.status)
    assert.matches("^login failed: ", err.message)
  end)
end)
