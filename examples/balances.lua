-- Several balances of the master account and of a sub-account, with the digits that the
-- API sent. Environment as in balance.lua, and UQPAY_SUB_ACCOUNT (optional).

local uqpay = require "uqpay"

local client = uqpay.from_env {
  amounts = "string",
}

local sub_account = os.getenv "UQPAY_SUB_ACCOUNT"
local queries = { { currency = "USD" }, { currency = "SGD" } }
if sub_account then
  queries[#queries + 1] = { currency = "USD", on_behalf_of = sub_account }
end

local row = "%-36s  %-8s %14s %14s %14s  %s"
print(row:format("account", "currency", "available", "margin", "frozen", "status"))
for _, query in ipairs(queries) do
  local account = query.on_behalf_of or "master"
  local balance, message = client:balance(query)
  if balance then
    print(row:format(account, balance.currency, balance.available_balance,
                     balance.margin_balance, balance.frozen_balance,
                     balance.balance_status))
  else
    print(("%-36s  %s"):format(account, message))
  end
end

client:close()
