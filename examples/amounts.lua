-- Exact totals: arithmetic on amounts without rounding, their minor units, and the time
-- of a balance's last transaction. Environment as in balances.lua.

local uqpay = require "uqpay"

local client = uqpay.from_env {
  amounts = "exact",
}

local sub_account = os.getenv "UQPAY_SUB_ACCOUNT"
local queries = { { currency = "USD" }, { currency = "SGD" } }
if sub_account then
  queries[#queries + 1] = { currency = "USD", on_behalf_of = sub_account }
end

local totals = {}        -- by currency: a sum needs one currency
for _, query in ipairs(queries) do
  local balance = assert(client:balance(query))
  local currency = balance.currency
  totals[currency] = (totals[currency] or uqpay.amount(0)) + balance.available_balance

  local traded = uqpay.parse_time(balance.last_trade_time or "")   -- nil: no date
  print(currency, balance.available_balance,
        traded and os.date("!%Y-%m-%d %H:%M:%S", traded) or "-")
end

for _, currency in ipairs { "SGD", "USD" } do
  local total = totals[currency]
  print("total", total:format(currency, ",") .. " " .. currency, total:minor(currency))
end

local reserve = uqpay.amount "6000.00"
if totals.USD < reserve then
  print("missing", reserve - totals.USD .. " USD")
end

-- A thousand times 0.1:
local tenths = {}
for n = 1, 1000 do tenths[n] = "0.1" end
print("tenths", uqpay.sum(tenths))

client:close()
