-- transactions.lua: GET /v1/issuing/balances/transactions
-- SPDX-License-Identifier: MIT

local ledger = require "uqpay.testing.server.ledger"
local pages = require "uqpay.testing.server.pages"
local record = require "uqpay.testing.server.record"
local times = require "uqpay.testing.server.times"

local transactions = {}

local fields = {
  "transaction_id", "short_transaction_id", "account_id", "balance_id",
  "transaction_type", "currency", "amount", "create_time", "complete_time",
  "transaction_status", "ending_balance", "description",
}

local checks = {
  transaction_type = function(text) return not ledger.types[text] and "unknown" end,
  transaction_status = function(text) return not ledger.statuses[text] and "unknown" end,
  currency = function(text)
    return not record.is_currency(text) and "must be a currency code"
  end,
  transaction_id = function(text)
    return not text:find "^[%x-]+$" and "must be a UUID"
  end,
}
local equal = { "transaction_type", "transaction_status", "currency", "transaction_id" }

-- Reads the range of time into `wanted`. Returns the message if it is wrong.
local function read_window(args, wanted)
  for _, name in ipairs { "start_time", "end_time" } do
    wanted[name] = args[name] and times.parse(args[name])
    if args[name] and not wanted[name] then
      return name .. ": must be an ISO 8601 time with an offset"
    end
  end
  local from, to = wanted.start_time, wanted.end_time
  -- How the API treats a range with one end is unknown: here it is not a window.
  if from and to and from > to then
    return "end_time: must not be before start_time"
  elseif from and to and to - from > ledger.longest_window then
    return "end_time: must be at most 90 days after start_time"
  end
end

-- The parsed arguments: a table, or nil and the message.
local function filters(args)
  local wanted = {}
  local message = read_window(args, wanted)
  for _, name in ipairs(equal) do
    wanted[name] = args[name]
    local wrong = args[name] and checks[name](args[name])
    message = message or wrong and name .. ": " .. wrong
  end
  if message then return nil, message end
  return wanted
end

-- Whether the ends of a window belong to it is not known either: bounds is "[]" or "[)"
-- and so on.
local function within(time, wanted, bounds)
  local from, to = wanted.start_time, wanted.end_time
  local early = from and (time < from or time == from and bounds:sub(1, 1) == "(")
  local late = to and (time > to or time == to and bounds:sub(2) == ")")
  return not early and not late
end

local function fits(transaction, wanted, bounds)
  for _, name in ipairs(equal) do
    if wanted[name] and wanted[name] ~= transaction[name] then return false end
  end
  return within(transaction.time, wanted, bounds)
end

function transactions.list(world, request)
  local page, wrong = pages.wanted(request)
  if not page then return nil, wrong end
  local wanted
  wanted, wrong = filters(page.args)
  if not wanted then return nil, wrong end
  local found, bounds = {}, world.state.settings.bounds
  for _, transaction in ipairs(ledger.all(world, request.account)) do
    if fits(transaction, wanted, bounds) then found[#found + 1] = transaction end
  end
  return pages.answer(world, page, found, fields)
end

return transactions
