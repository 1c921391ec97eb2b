-- sandbox:fail took a code for any status, and sent it with 429 only.

local testing = require "uqpay.testing"

describe("the code of a fault", function()
  it("is in the answer", function()
    local client, sandbox = testing.client({ USD = "1.00" }, { max_retries = 0 })
    finally(function() client:close() end)
    for _, status in ipairs { 200, 400, 429, 500 } do
      sandbox:fail { status = status, code = 4711, message = "closed for today" }
      local _, message, err = client:balance "USD"
      assert.equal("4711", tostring(err.code), message)
      assert.equal(status, err.status)
      assert.matches("closed for today", message, 1, true)
    end
  end)
end)
