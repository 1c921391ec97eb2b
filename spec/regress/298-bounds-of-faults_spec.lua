-- A fault with times = 0 struck once; one that cut an answer behind its end, or before
-- its beginning, cut nothing behind nginx.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local testing = require "uqpay.testing"

describe("the bounds of a fault", function()
  before_each(function() sandbox.reset() end)

  it("are checked", function()
    local own = testing.sandbox()
    for wrong, fault in pairs {
      ["times must be a whole number from 1"] = { status = 500, times = 0 },
      ["cut must be true or a whole number of bytes"] = { cut = -5 },
      ["cut must be true or a whole number"] = { cut = 1.5 },
    } do
      local ok, message = pcall(own.fail, own, fault)
      assert.is_false(ok)
      assert.matches(wrong, message, 1, true)
    end
    own:assert_no_faults_left()
    local ok, message = pcall(sandbox.fault, { kind = "status", times = 0 })
    assert.is_false(ok)
    assert.matches("times must be a whole number from 1", message, 1, true)
  end)

  it("leave no cut answer whole", function()
    for _, address in ipairs { sandbox.url, sandbox.http_url } do
      local client = fixture.client { max_retries = 0, base_url = address }
      finally(function() client:close() end)
      sandbox.fault { kind = "truncate", bytes = 100000 }
      local balance, _, err = client:balance "USD"
      assert.is_nil(balance)
      assert.equal("connect", err.kind)
      client:close()
    end
    local own = testing.sandbox()
    local client = own:client { max_retries = 0 }
    own:fail { cut = 100000 }
    assert.equal("connect", select(3, client:balance "USD").kind)
    client:close()
  end)
end)
