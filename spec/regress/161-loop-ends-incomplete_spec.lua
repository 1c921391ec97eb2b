-- A list that failed in a loop that did not look at its items was taken for the whole:
-- the loop ended after one more round with false. Or it died of "attempt to index a
-- boolean value", and the reason was lost.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

local failed = fixture.failed
local reason = "the reason of the failure"

describe("a loop over a list that fails", function()
  local client

  fixture.with_client(function(made) client = made end, { max_retries = 0 })

  local function fail_at(page)
    sandbox.fault { kind = "answer", status = 400,
      body = ('{"code":"bad","message":"%s"}'):format(reason),
      match = { ["?page_number"] = tostring(page) } }
  end

  local loops = {
    counting = function(items)
      local n = 0
      for _ in items do n = n + 1 end
      return n
    end,
    ["adding up"] = function(items)
      local sum = 0
      for item in items do sum = sum + item.amount end
      return sum
    end,
    ["adding up by uqpay.sum"] = function(items)
      return uqpay.sum(function()
        local item = items()
        return item and item.amount
      end)
    end,
  }

  for name, run in pairs(loops) do
    it("dies of the API's reason: " .. name, function()
      for page = 1, 2 do
        sandbox.reset()
        fail_at(page)
        local ok, why = pcall(run, client:each_transaction { page_size = 10,
          amounts = "exact" })
        assert.is_false(ok)
        assert.equal("string", type(why))
        assert.matches(reason, why, 1, true)
        assert.matches("each_transaction", why, 1, true)
        assert.matches("invalid_request", why, 1, true)
        assert.matches(sandbox.url:match "//([^/]+)", why, 1, true)
        assert.matches("request %x+", why)
      end
    end)
  end

  it("has a sum that gives the reason, if failures are returned", function()
    fail_at(2)
    local items = client:each_transaction { page_size = 10, amounts = "exact",
      on_error = "return" }
    local err = failed("invalid_request", uqpay.sum(function()
      local item, message, failure = items()
      return item and item.amount, message, failure
    end))
    assert.matches(reason, err.message, 1, true)
  end)
end)
