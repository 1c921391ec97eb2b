-- ledger.lua: the transactions of the issuing balances: those of the fixtures are made by
-- rule, the same at every start.
-- SPDX-License-Identifier: MIT

local accounts = require "uqpay.testing.server.accounts"
local balances = require "uqpay.testing.server.balances"
local fixtures = require "uqpay.testing.server.fixtures"
local random = require "uqpay.testing.server.random"
local times = require "uqpay.testing.server.times"

local ledger = {}

local types = {
  "DEPOSIT", "TRANSFER_IN", "TRANSFER_OUT", "ISSUING_AUTHORIZATION", "ISSUING_REVERSAL",
  "ISSUING_REFUND", "CARD_RECHARGE", "CARD_WITHDRAW", "SETTLEMENT_DEBIT",
  "SETTLEMENT_CREDIT", "SETTLEMENT_REVERSAL", "FEE", "REFUND", "ADJUSTMENT",
  "FUNDS_TRANSFER_IN", "FUNDS_TRANSFER_OUT", "FEE_REFUND", "FEE_DEDUCTION",
  "MARGIN_PAYMENT", "MARGIN_REFUND", "OTHER",
}
local statuses = {
  "COMPLETED", "COMPLETED", "PENDING", "COMPLETED", "FAILED", "CANCELLED",
}
ledger.types, ledger.statuses = {}, {}
for _, name in ipairs(types) do ledger.types[name] = true end
for _, name in ipairs(statuses) do ledger.statuses[name] = true end

local day = 86400
local longest_window = 90 * day
ledger.longest_window = longest_window

-- From the first transaction to the last one. A range of this length takes three windows
-- of 90 days.
local first_time = times.parse "2026-02-01T00:00:00+08:00"
local span = 230 * day
local last_time = first_time + span

-- Three at once where windows of 90 days meet, counted from either end, and one a second
-- before and after: seams must neither lose nor double them.
local function seams(offsets)
  for _, seam in ipairs {
    0, longest_window, 2 * longest_window,
    span, span - longest_window, span - 2 * longest_window,
  } do
    for _, offset in ipairs { seam - 1, seam, seam, seam, seam + 1 } do
      if offset >= 0 and offset <= span then offsets[#offsets + 1] = offset end
    end
  end
end

-- Digits of every kind: 100.10, 100.1, 25, -0.05, and six places for XUSD.
local function amount_text(minor, currency, short)
  local places = fixtures.places(currency)
  local size = math.abs(minor)
  local text = ("%s%d.%0" .. places .. "d"):format(minor < 0 and "-" or "",
    math.floor(size / 10 ^ places), size % 10 ^ places)
  if places == 0 then return text:match "^[^.]*" end
  return short and text:gsub("0+$", ""):gsub("%.$", "") or text
end

local done = {
  COMPLETED = function(time) return times.format(time + 3600) end,
  PENDING = function() return "" end,
  FAILED = times.format,
  CANCELLED = function() return "0001-01-01T00:00:00Z" end,
}

local descriptions = { "Creation card, fee", "充值 top-up", "", 'Card "travel" \\ Zürich' }

local function make(account)
  local id, count = account.id, account.transactions
  local draw = random.generator("transactions of " .. id)
  local offsets = {}
  seams(offsets)
  for n = 1, count do
    -- every tenth at the same second as the one before
    offsets[#offsets + 1] = n % 10 == 0 and offsets[#offsets] or draw(span)
  end
  table.sort(offsets)
  local own = balances.sorted(account.balances)
  local standing = {}
  local list = {}
  for n, offset in ipairs(offsets) do
    local balance = own[draw(#own) + 1]
    local currency, time = balance.currency, first_time + offset
    local minor = (draw(4) == 0 and -1 or 1) * (draw(500000) + 1)
    standing[currency] = (standing[currency] or 0) + minor
    local status = statuses[draw(#statuses) + 1]
    list[#offsets - n + 1] = {
      transaction_id = random.uuid(id .. " transaction " .. n),
      short_transaction_id = ("CT%s-%05d"):format(times.format(time):sub(1, 10), n),
      account_id = id,
      balance_id = balance.balance_id,
      transaction_type = types[draw(#types) + 1],
      currency = currency,
      amount = amount_text(minor, currency, n % 5 == 0),
      create_time = times.format(time),
      complete_time = done[status](time),
      transaction_status = status,
      ending_balance = amount_text(standing[currency], currency),
      description = descriptions[draw(#descriptions) + 1],
      time = time,
    }
  end
  return list
end

-- Those that are made by rule. They are kept with the directory, which does not change.
local function made(world, account)
  local cache = world.directory.made
  local some = account.transactions and next(account.balances) ~= nil
  cache[account.id] = cache[account.id] or some and make(account) or {}
  return cache[account.id]
end

-- Those that were added, newest first.
local function ordered(world, id)
  return world.state.transactions[id] or {}
end

-- All transactions of an account, newest first, amounts as JSON text.
function ledger.all(world, id)
  local old, new = made(world, world.directory.by_id[id]), ordered(world, id)
  if #new == 0 then return old end
  local list, n = {}, 1
  for _, transaction in ipairs(old) do
    while new[n] and new[n].time >= transaction.time do
      list[#list + 1], n = new[n], n + 1
    end
    list[#list + 1] = transaction
  end
  for m = n, #new do list[#list + 1] = new[m] end
  return list
end

-- A transaction with the defaults of all fields: at the time of the last one by rule, or
-- now; in this currency.
local function plain(world, account, currency)
  local state = world.state
  local number = state.ordered_transactions + 1
  state.ordered_transactions = number
  local time = times.format(account.transactions and last_time or world:now())
  return {
    transaction_id = random.uuid("ordered transaction " .. number),
    short_transaction_id = ("CT-ORDERED-%05d"):format(number),
    account_id = account.id,
    balance_id = balances.id_of(world, account.id, currency),
    transaction_type = "DEPOSIT",
    currency = currency,
    amount = "0.1",
    create_time = time,
    complete_time = time,
    transaction_status = "COMPLETED",
    ending_balance = "0.1",
    description = "ordered",
  }
end

local function changed(transaction, order)
  for name, value in pairs(order) do
    if name ~= "account" and name ~= "times" then
      if not transaction[name] then return nil, "unknown field: " .. tostring(name) end
      if type(value) ~= "string" then
        return nil, name .. " must be text (an amount: its JSON text, to keep the digits)"
      end
      transaction[name] = value
    end
  end
  transaction.time = times.parse(transaction.create_time)
  if not transaction.time then
    return nil, "create_time must be like " .. times.format(0)
  end
  return transaction
end

-- Adds a transaction, or `times` of them: what the order does not name has a value of its
-- own. Returns the id of the last one, or nil and a message.
function ledger.add(world, order)
  if type(order.times or 1) ~= "number" then return nil, "times must be a number" end
  local account = accounts.find(world, order.account)
  if not account then return nil, "unknown account" end
  local list = ordered(world, account.id)
  local currency = type(order.currency) == "string" and order.currency or "USD"
  local transaction, wrong
  for _ = 1, order.times or 1 do
    transaction, wrong = changed(plain(world, account, currency), order)
    if not transaction then return nil, wrong end
    local place = 1
    while list[place] and list[place].time > transaction.time do place = place + 1 end
    table.insert(list, place, transaction)
  end
  world.state.transactions[account.id] = list
  return transaction.transaction_id
end

-- The times of the first and the last transaction by rule.
function ledger.facts(_, add)
  add("first_transaction", times.format(first_time))
  add("last_transaction", times.format(last_time))
end

return ledger
