-- All balances of all connected accounts that issue cards, and what they come to in each
-- currency, to the last digit. Environment as in balance.lua, and UQPAY_RATE_LIMIT,
-- requests a minute (optional).

local uqpay = require "uqpay"

local client = uqpay.from_env {
  rate_limit = tonumber(os.getenv "UQPAY_RATE_LIMIT" or 300),
  amounts = "exact",
}

local function issues_cards(account)
  for _, business in ipairs(account.business_code or {}) do
    if business == "ISSUING" then return true end
  end
  return false
end

local row = "%-36s  %-10s  %-5s %16s %16s %16s"
print(row:format("account", "status", "", "available", "margin", "frozen"))

local function show(account, status, currency, amounts)
  print(row:format(account, status, currency, tostring(amounts.available_balance),
                   tostring(amounts.margin_balance), tostring(amounts.frozen_balance)))
end

local totals, currencies = {}, {}   -- by currency; the names of the currencies
local silent = 0                    -- accounts that would not tell

local function add(balance)
  local currency = balance.currency
  if not totals[currency] then
    totals[currency] = {}
    currencies[#currencies + 1] = currency
  end
  local total = totals[currency]
  for _, field in ipairs { "available_balance", "margin_balance", "frozen_balance" } do
    total[field] = balance[field] + (total[field] or 0)
  end
end

local function report(account)
  local balances = {}
  for balance, message in client:each_balance { on_behalf_of = account.account_id } do
    if not balance then             -- closed, suspended, ...: the others go on
      silent = silent + 1
      print(("%-36s  %-10s  %s"):format(account.account_id, account.status, message))
      return
    end
    balances[#balances + 1] = balance
  end
  for _, balance in ipairs(balances) do
    show(account.account_id, account.status, balance.currency, balance)
    add(balance)
  end
end

for account, message in client:each_account() do
  if not account then error(message, 0) end   -- half a list is no list
  if issues_cards(account) then report(account) end
end

table.sort(currencies)
for _, currency in ipairs(currencies) do show("total", "", currency, totals[currency]) end
if silent > 0 then print(silent .. " accounts would not tell") end

client:close()
