-- Exact totals, by type, of the transactions in a currency since a given day.
-- Environment as in balance.lua; the day and the currency are arguments (optional):
--
--     lua transactions.lua 2026-01-01 USD

local uqpay = require "uqpay"

local day, currency = arg[1] or "2026-01-01", arg[2] or "USD"

local client = uqpay.from_env {
  amounts = "exact",
}

local totals, counts, types = {}, {}, {}
for item in client:each_transaction {       -- raises an error if the list is incomplete
  start_time = day .. "T00:00:00Z", currency = currency, transaction_status = "COMPLETED",
} do
  local name = item.transaction_type
  if not totals[name] then types[#types + 1] = name end
  totals[name] = item.amount + (totals[name] or 0)
  counts[name] = (counts[name] or 0) + 1
end

table.sort(types)
for _, name in ipairs(types) do
  print(("%-24s %6d %18s"):format(name, counts[name], tostring(totals[name])))
end

client:close()
