-- Issuing balances: one by its currency, and the list.

local accounts = require "accounts"
local cjson = require "cjson.safe"
local encode = require "encode"
local pages = require "pages"
local reply = require "reply"
local store = require "store"

local balances = {}

local fields = {
  "balance_id", "currency", "available_balance", "margin_balance", "frozen_balance",
  "create_time", "last_trade_time", "balance_status",
}

-- POST /v1/issuing/balances
function balances.retrieve(request)
  local content_type = request.headers["content-type"]
  if type(content_type) ~= "string"
    or not content_type:lower():find "^application/json%s*;?" then
    return reply.error(400, "Content-Type must be application/json")
  end
  local wanted = cjson.decode(request.body)
  if type(wanted) ~= "table" then
    return reply.error(400, "body: must be a JSON object")
  end
  local currency = wanted.currency
  if currency == nil then
    return reply.error(400, "currency: is required")
  elseif type(currency) ~= "string" then
    return reply.error(400, "currency: must be a string")
  elseif not currency:find "^%u%u%u%u?%u?$" then
    return reply.error(400, "currency: must be a currency code")
  end
  local balance = accounts.balances(request.account)[currency]
  if not balance then
    -- The vendor documents no answer for a currency without a balance; that it is an
    -- error and no object of zeros is all that is known.
    return reply.typed(400, "account_error", "balance_not_found",
      "no issuing balance in this currency")
  end
  balance.currency = currency
  return {
    status = 200, body = encode(balance, fields, store.settings().amounts == "string"),
    headers = { ["content-type"] = "application/json" },
  }
end

-- A list of balances by their currencies, from a table of them by currency.
function balances.sorted(by_currency)
  local list = {}
  for currency, balance in pairs(by_currency) do
    balance.currency = currency
    list[#list + 1] = balance
  end
  table.sort(list, function(a, b) return a.currency < b.currency end)
  return list
end

-- GET /v1/issuing/balances
function balances.list(request, settings)
  local page, wrong = pages.wanted(request)
  if not page then return nil, wrong end
  local list = balances.sorted(accounts.balances(request.account))
  return pages.answer(page, list, fields, settings)
end

return balances
