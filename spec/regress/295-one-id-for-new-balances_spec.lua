-- Balances that deposits and set_balance made had one balance_id: a client refused the
-- list of them.

local testing = require "uqpay.testing"

describe("balances that a test adds", function()
  it("have ids of their own", function()
    local client, sandbox = testing.client { USD = "1.00" }
    finally(function() client:close() end)
    local office = sandbox:add_account { name = "office" }
    sandbox:deposit(nil, "EUR", "5.00")
    sandbox:set_balance(nil, "SGD", "6.00")
    sandbox:deposit("office", "EUR", "7.00")
    local ids, count = {}, 0
    for _, account in ipairs { false, office } do
      for balance in client:each_balance { on_behalf_of = account or nil } do
        assert.is_nil(ids[balance.balance_id])
        ids[balance.balance_id], count = balance.currency, count + 1
      end
    end
    assert.equal(4, count)
    -- the transaction names the balance that it moved
    local data = client:transactions().data
    assert.equal("EUR", ids[data[1].balance_id])
    -- and so does one without a move
    sandbox:add_transaction(nil, { currency = "SGD" })
    assert.equal("SGD", ids[client:transactions { currency = "SGD" }.data[1].balance_id])
  end)
end)
