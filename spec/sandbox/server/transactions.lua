-- GET /v1/issuing/balances/transactions

local ledger = require "ledger"
local pages = require "pages"
local times = require "times"

local transactions = {}

local fields = {
  "transaction_id", "short_transaction_id", "account_id", "balance_id",
  "transaction_type", "currency", "amount", "create_time", "complete_time",
  "transaction_status", "ending_balance", "description",
}

-- What the arguments ask for: a table, or nil and what is wrong.
local function filters(args)
  local wanted = {}
  for _, name in ipairs { "start_time", "end_time" } do
    wanted[name] = args[name] and times.parse(args[name])
    if args[name] and not wanted[name] then
      return nil, name .. ": must be an ISO 8601 time with an offset"
    end
  end
  local from, to = wanted.start_time, wanted.end_time
  -- What the vendor makes of one end alone is not known: here it is no window.
  if from and to and from > to then
    return nil, "end_time: must not be before start_time"
  elseif from and to and to - from > ledger.longest_window then
    return nil, "end_time: must be at most 90 days after start_time"
  end
  wanted.transaction_type = args.transaction_type
  wanted.transaction_status = args.transaction_status
  wanted.currency, wanted.transaction_id = args.currency, args.transaction_id
  if wanted.transaction_type and not ledger.types[wanted.transaction_type] then
    return nil, "transaction_type: unknown"
  elseif wanted.transaction_status and not ledger.statuses[wanted.transaction_status] then
    return nil, "transaction_status: unknown"
  elseif wanted.currency and not wanted.currency:find "^%u%u%u%u?%u?$" then
    return nil, "currency: must be a currency code"
  elseif wanted.transaction_id and not wanted.transaction_id:find "^[%x-]+$" then
    return nil, "transaction_id: must be a UUID"
  end
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

local equal = { "transaction_type", "transaction_status", "currency", "transaction_id" }

local function fits(transaction, wanted, bounds)
  for _, name in ipairs(equal) do
    if wanted[name] and wanted[name] ~= transaction[name] then return false end
  end
  return within(transaction.time, wanted, bounds)
end

function transactions.list(request, settings)
  local page, wrong = pages.wanted(request)
  if not page then return nil, wrong end
  local wanted
  wanted, wrong = filters(page.args)
  if not wanted then return nil, wrong end
  local found = {}
  for _, transaction in ipairs(ledger.all(request.account)) do
    if fits(transaction, wanted, settings.bounds) then found[#found + 1] = transaction end
  end
  return pages.answer(page, found, fields, settings)
end

return transactions
