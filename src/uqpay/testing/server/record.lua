-- record.lua: the form in which accounts and balances are kept: a table with id, merchant
-- (the id of the merchant to which it belongs, or is), name, title, short_id, status,
-- business, balances by currency, transactions (how many are made by rule).
-- SPDX-License-Identifier: MIT

local record = {}

record.merchants = {
  master = "6a1f3c02-5d0e-4a7b-9c44-0f2be8d17a01",
  other = "c2b7e9d4-813f-4e5a-a6d1-7b90c4f3e502",
  -- has no connected account, no balance and no transaction
  empty = "51d80c6e-27fb-4930-8ac1-e4b96d05f703",
}

-- True for what the client takes as a currency, too: three to five capitals or digits.
function record.is_currency(value)
  return type(value) == "string" and #value <= 5
    and value:find "^[A-Z%d][A-Z%d][A-Z%d]+$" ~= nil
end

-- Amounts are JSON text and go out as they are written here: digits are what is tested.
function record.balance(id, available, margin, frozen, status)
  return {
    balance_id = id,
    available_balance = available,
    margin_balance = margin,
    frozen_balance = frozen,
    create_time = "2024-03-21T17:17:32+08:00",
    last_trade_time = "2026-11-02T09:05:00+08:00",
    balance_status = status or "ACTIVE",
  }
end

-- A copy of a table, and of those in it.
function record.copy(value)
  if type(value) ~= "table" then return value end
  local copy = setmetatable({}, getmetatable(value))
  for name, member in pairs(value) do copy[name] = record.copy(member) end
  return copy
end

return record
