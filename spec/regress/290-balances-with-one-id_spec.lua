-- Balances in a new currency (deposit, set_balance, POST /balances) all had the same id,
-- so that each_balance failed: one balance_id in two rows. Transactions named a balance
-- that did not exist.

local testing = require "uqpay.testing"

describe("balances that a sandbox gets later", function()
  it("have ids of their own, which their transactions name", function()
    local client, sandbox = testing.client { USD = "1.00" }
    finally(function() client:close() end)
    local account = sandbox:add_account { name = "A" }
    sandbox:deposit(nil, "EUR", "2.00")
    sandbox:set_balance(nil, "GBP", "3.00")
    sandbox:deposit("A", "EUR", "4.00")
    local id = sandbox:add_transaction(nil, { currency = "GBP", amount = "1.00" })
    local seen, count = {}, 0
    for _, on_behalf_of in ipairs { false, account } do
      local options = { on_behalf_of = on_behalf_of or nil }
      for balance in client:each_balance(options) do
        assert.is_nil(seen[balance.balance_id])
        seen[balance.balance_id] = balance.currency
        count = count + 1
      end
      for item in client:each_transaction(options) do
        assert.equal(item.currency, seen[item.balance_id])
      end
    end
    assert.equal(4, count)
    -- the transaction of a move, and one without a move or an amount
    assert.equal("EUR", seen[client:transactions { currency = "EUR" }.data[1].balance_id])
    sandbox:add_transaction(nil, { currency = "GBP" })
    assert.equal("GBP", seen[client:transactions { currency = "GBP" }.data[1].balance_id])
    sandbox:set_balance(nil, "GBP", nil)
    sandbox:deposit(nil, "GBP", "3.00")
    assert.equal("GBP", seen[client:balance "GBP".balance_id])
    assert.equal("GBP", seen[client:transactions { transaction_id = id }.data[1]
      .balance_id])
  end)
end)
