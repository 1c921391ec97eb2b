-- An attempt whose answer was lost is made again with the same key, by then with another
-- token, maybe; and the API may answer with the failure that it stored under that key,
-- which quotes the token of the first attempt. That one was not taken out.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("the token of a lost attempt", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("is not in the error of the next", function()
    local client
    client = fixture.client { token = false, client_id = sandbox.client_id,
      api_key = sandbox.api_key, on_retry = function() client:invalidate_token() end }
    local old = client:token()
    sandbox.fault { kind = "truncate", endpoint = "balance" }
    sandbox.fault { kind = "answer", endpoint = "balance", status = 400,
      body = '{"message":"no ' .. old .. '"}' }
    local err = fixture.failed("invalid_request", client:balance "USD")
    assert.equal(2, err.attempts)
    assert.not_equal(old, client:token())
    -- two of them: both tokens begin in the same way
    assert.matches("HTTP 400: no [redacted][redacted]", err.message, 1, true)
    assert.equal('{"message":"no [redacted][redacted]"}', err.body)
    client:close()
  end)
end)
