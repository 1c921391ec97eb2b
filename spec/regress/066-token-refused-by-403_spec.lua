-- The Account Center refuses a token that is over with 403 and the words "Authorization
-- error"; that did not count as a refusal, so a client whose token was killed could not
-- list accounts before the token's end.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("a token that is refused by 403", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  local function client()
    return uqpay.new(fixture.options { token = false, base_url = sandbox.http_url,
      client_id = sandbox.client_id, api_key = sandbox.api_key })
  end

  it("is replaced, as the Account Center refuses it", function()
    sandbox.settings { accounts_refusal = "403" }
    local c = client()
    fixture.succeeded(c:accounts())
    sandbox.expire_minted()
    fixture.succeeded(c:accounts())
    assert.equal(2, #sandbox.mints())
  end)

  for message, mints in pairs {
    ["Token has expired"] = 3, ["login expired"] = 3, ["jwt expired"] = 3,
    ["the product has expired"] = 1, ["no permission for this token"] = 1,
    ["x-client-id or email cannot be empty"] = 1,
  } do
    it("is replaced if it was the token: " .. message, function()
      local c = client()
      fixture.succeeded(c:accounts())
      sandbox.fault { kind = "status", status = 403, shape = "B", code = 403,
        message = message, endpoint = "accounts", times = mints }
      local err = fixture.failed("permission", c:accounts())
      assert.equal(mints, err.attempts)
      assert.equal(mints, #sandbox.mints())
    end)
  end
end)
