-- All balances of all active accounts that issue cards, and their exact totals in each
-- currency. Environment as in balance.lua, and UQPAY_RATE_LIMIT, requests a minute
-- (optional).

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

-- The status may be absent; then the API reports an account that cannot be used.
local function may_be_active(account)
  return (account.status or "") == "" or account.status == "ACTIVE"
end

local row = "%-36s  %-10s  %-5s %16s %16s %16s"
print(row:format("account", "status", "", "available", "margin", "frozen"))

local function show(account, status, currency, amounts)
  print(row:format(account, status, currency, tostring(amounts.available_balance),
                   tostring(amounts.margin_balance), tostring(amounts.frozen_balance)))
end

local function remark(account, text)
  print(("%-36s  %-10s  %s"):format(account.account_id, account.status or "-", text))
end

local totals, currencies = {}, {}   -- by currency; the names of the currencies
local inactive, failed = 0, 0       -- accounts

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
  for balance, message, err in client:each_balance {
    on_behalf_of = account.account_id, on_error = "return",
  } do
    if not balance then
      if err.type == "account_error" then   -- closed, suspended, not for cards
        inactive = inactive + 1
      else                                  -- the totals lack this account
        failed = failed + 1
      end
      return remark(account, message)
    end
    balances[#balances + 1] = balance
  end
  for _, balance in ipairs(balances) do
    show(account.account_id, account.status or "-", balance.currency, balance)
    add(balance)
  end
end

for account in client:each_account() do     -- raises an error if the list is incomplete
  if issues_cards(account) and may_be_active(account) then
    report(account)
  elseif issues_cards(account) then
    inactive = inactive + 1
    remark(account, "skipped")
  end
end

table.sort(currencies)
for _, currency in ipairs(currencies) do show("total", "", currency, totals[currency]) end
print(inactive .. " accounts are not active")
client:close()
if failed > 0 then error("the totals lack accounts that failed: " .. failed, 0) end
