-- balances.lua: Issuing balances: their state, one by its currency, and the list.
-- SPDX-License-Identifier: MIT

local accounts = require "uqpay.testing.server.accounts"
local encode = require "uqpay.testing.server.encode"
local json = require "uqpay.testing.server.json"
local media_type = require "uqpay.testing.server.media_type"
local pages = require "uqpay.testing.server.pages"
local random = require "uqpay.testing.server.random"
local record = require "uqpay.testing.server.record"
local reply = require "uqpay.testing.server.reply"

local balances = {}

local fields = {
  "balance_id", "currency", "available_balance", "margin_balance", "frozen_balance",
  "create_time", "last_trade_time", "balance_status",
}

-- The balances of an account by currency, to look at: only balances.change changes them.
function balances.of(world, id)
  return world.state.balances[id] or world.directory.by_id[id].balances
end

-- The id of an account's new balance.
function balances.new_id(account, currency)
  return random.uuid(account .. currency)
end

-- The id of an account's balance; of one that does not exist, the id that it would have.
function balances.id_of(world, id, currency)
  local balance = balances.of(world, id)[currency]
  return balance and balance.balance_id or balances.new_id(id, currency)
end

local not_fields = { account = true, currency = true, delete = true }
local known = record.balance("", "", "", "")

-- Sets a field of a balance, or removes it (null). Returns the message if it cannot be
-- set.
local function set_field(shown, name, value)
  if value == json.null then
    shown[name] = nil
    return nil
  end
  if not shown[name] and not known[name] then
    return "unknown field: " .. tostring(name)
  elseif type(value) ~= "string" then
    return name .. " must be text (an amount: its JSON text, to keep the digits)"
  end
  shown[name] = value
end

-- Changes the fields of one balance. Amounts are JSON text. A null removes a field.
function balances.change(world, change)
  local id = accounts.id_of(world, change.account)
  if not id then return nil, "unknown account" end
  local own = record.copy(balances.of(world, id))
  local shown = own[change.currency]
    or record.balance(balances.id_of(world, id, change.currency), "0", "0", "0")
  for name, value in pairs(change) do
    local message = not not_fields[name] and set_field(shown, name, value)
    if message then return nil, message end
  end
  shown.currency = change.currency
  own[change.currency] = not change.delete and shown or nil
  world.state.balances[id] = own
  return true
end

-- Reads the currency that a request wants. Returns nil and a message.
local function wanted_currency(request)
  if not media_type.is_json(request) then
    return nil, "Content-Type must be application/json"
  end
  local wanted = json.decode(request.body)
  if type(wanted) ~= "table" then return nil, "body: must be a JSON object" end
  local currency = wanted.currency
  if currency == nil then
    return nil, "currency: is required"
  elseif type(currency) ~= "string" then
    return nil, "currency: must be a string"
  elseif not record.is_currency(currency) then
    return nil, "currency: must be a currency code"
  end
  return currency
end

-- POST /v1/issuing/balances
function balances.retrieve(world, request)
  local currency, wrong = wanted_currency(request)
  if not currency then return reply.error(400, wrong) end
  local balance = balances.of(world, request.account)[currency]
  if not balance then
    -- The vendor documents no answer for a currency without a balance; that it is an
    -- error and no object of zeros is all that is known.
    return reply.typed(400, "account_error", "balance_not_found",
      "no issuing balance in this currency")
  end
  local quoted = world.state.settings.amounts == "string"
  return {
    status = 200, body = encode(balance, fields, quoted),
    headers = { ["content-type"] = "application/json" },
  }
end

-- A list of balances by their currencies, from a table of them by currency.
function balances.sorted(by_currency)
  local list = {}
  for _, balance in pairs(by_currency) do list[#list + 1] = balance end
  table.sort(list, function(a, b) return a.currency < b.currency end)
  return list
end

-- GET /v1/issuing/balances
function balances.list(world, request)
  local page, wrong = pages.wanted(request)
  if not page then return nil, wrong end
  local list = balances.sorted(balances.of(world, request.account))
  return pages.answer(world, page, list, fields)
end

return balances
