-- A 401 because of this host's address was recognized only by "IP not allowed". In other
-- words it had each call log in three times, which ends the tokens of other programs on
-- some business lines, and was `retryable`.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("a 401 for this host's address or the token's form", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  local function refused(text)
    sandbox.fault { kind = "answer", status = 401, endpoint = "balance", times = 9,
      body = ('{"type":"unauthorized_error","code":"unauthorized_error","message":"%s"}')
        :format(text) }
    local c = fixture.client { token = false, client_id = sandbox.client_id,
      api_key = sandbox.api_key, timeout = 60 }
    local err = fixture.failed("auth", c:balance "USD")
    c:close()
    return err, sandbox.counts().endpoints.token
  end

  for _, text in ipairs {
    "IP not allowed", "IP address 203.0.113.7 is not allowed", "ip address not allowed",
    "The source IP is not in the whitelist", "IP 203.0.113.7 is not on the allow list",
    "IP not in allowlist", "malformed token",
  } do
    it("needs no other token: " .. text, function()
      local err, logins = refused(text)
      assert.is_false(err.retryable)
      assert.equal(1, err.attempts)
      assert.equal(1, logins)
    end)
  end

  it("may be something else where all causes are named", function()
    local err, logins = refused("Token expired, IP address not allowed, or access token "
      .. "dependencies unavailable")
    assert.is_true(err.retryable)
    assert.equal(3, err.attempts)
    assert.equal(3, logins)
  end)
end)
