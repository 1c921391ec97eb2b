-- seed.lua: the initial state of a sandbox, { balances =, accounts =, settings = }, as a
-- Lua table or JSON, is checked and completed for world.new. Messages name the field.
-- SPDX-License-Identifier: MIT

local balance_ids = require "uqpay.testing.server.balances"
local fixtures = require "uqpay.testing.server.fixtures"
local json = require "uqpay.testing.server.json"
local misuse = require "uqpay.testing.server.misuse"
local random = require "uqpay.testing.server.random"
local record = require "uqpay.testing.server.record"
local settings = require "uqpay.testing.server.settings"

local seed = {}

local fail = misuse.fail

-- null is a value of JSON.
local function named_type(value)
  if value == nil or value == json.null then return value == nil and "nil" or "null" end
  return "a " .. type(value)
end

local function check_table(value, place)
  if type(value) ~= "table" then
    fail("%s must be a table, got %s", place, named_type(value))
  end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__index ~= nil then
    fail("%s has __index, and what it inherits would be ignored", place)
  end
end

-- A table with the keys 1 to n only.
local function check_list(value, place, example)
  check_table(value, place)
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  for n = 1, count do
    if value[n] == nil then fail("%s must be a list%s", place, example or "") end
  end
end

local function check_fields(value, place, known)
  check_table(value, place)
  for name in pairs(value) do
    if not known[name] then
      fail("%s.%s: unknown field", place, tostring(name))
    end
  end
end

-- uqpay.amount takes as many.
local most_digits = 38

-- An amount as text, in JSON's grammar, without an exponent.
local function amount(value, place)
  if type(value) == "number" then
    fail('%s must be text such as "100.00", got a number, which may lack digits', place)
  end
  local digits = type(value) == "string" and value:match "^-?(%d+)$"
    or type(value) == "string" and value:match "^-?(%d+)%.%d+$"
  if not digits or digits:find "^0." then
    fail('%s must be text such as "100.00", got %s', place, type(value) == "string"
      and json.string(value:sub(1, 60)) or named_type(value))
  end
  -- a zero in front is no digit of the amount
  if #value:gsub("%D", ""):gsub("^0", "") > most_digits then
    fail("%s has more than %d digits", place, most_digits)
  end
  return value
end

local balance_fields = { available = true, margin = true, frozen = true, status = true }

local function balance(value, place, id)
  if type(value) ~= "table" then
    return record.balance(id, amount(value, place), "0", "0")
  end
  check_fields(value, place, balance_fields)
  if value.status ~= nil and type(value.status) ~= "string" then
    fail("%s.status must be text", place)
  end
  local function part(name)
    return value[name] == nil and "0" or amount(value[name], place .. "." .. name)
  end
  return record.balance(id, part "available", part "margin", part "frozen", value.status)
end

local function balances(value, place, account)
  if value == nil then return {} end
  check_table(value, place)
  local all = {}
  for currency, one in pairs(value) do
    if not record.is_currency(currency) then
      fail('%s: currencies must be like "USD", got %s', place, tostring(currency))
    end
    all[currency] = balance(one, place .. "." .. currency,
      balance_ids.new_id(account, currency))
  end
  return all
end

local uuid = "^" .. ("%x"):rep(8) .. ("%-" .. ("%x"):rep(4)):rep(3) .. "%-"
  .. ("%x"):rep(12) .. "$"
-- As the client takes it: 4 to 20 digits.
local short_id = "^CB" .. ("%d"):rep(4) .. ("%d?"):rep(16) .. "$"
local account_fields = {
  id = uuid, short_id = short_id, name = "^.+$", status = "^%u[%u_]*$",
  business = true, balances = true,
}
local examples = {
  id = "b5d7f924-0c6e-4183-9a2b-e1f84c7d3a22", short_id = "CB4488338944",
  name = "Berlin office", status = "ACTIVE",
}

local function business(value, place)
  if value == nil then return nil end
  local example = ' such as { "ISSUING" }'
  check_list(value, place, example)
  for n, one in ipairs(value) do
    if type(one) ~= "string" then fail("%s[%d] must be text", place, n) end
  end
  if value[1] == nil then fail("%s must be a list%s", place, example) end
  return record.copy(value)
end

local function account(value, place, n)
  check_fields(value, place, account_fields)
  for field, example in pairs(examples) do
    local text = value[field]
    local good = type(text) == "string" and text:find(account_fields[field])
    if text ~= nil and not good then
      fail('%s.%s must be text like "%s"', place, field, example)
    end
  end
  local id = value.id or random.uuid("seeded account " .. n)
  return {
    id = id, short_id = value.short_id, name = value.name,
    title = value.name or ("Account %d"):format(n),
    merchant = record.merchants.master, status = value.status,
    business = business(value.business, place .. ".business"),
    balances = balances(value.balances, place .. ".balances", id),
  }
end

-- No two accounts have the same name, id or short id.
local function check_unique(list)
  local seen = { master = true, other = true, empty = true }
  for _, one in ipairs(list) do
    for _, field in ipairs { "id", "short_id", "name" } do
      local text = one[field]
      if text and seen[text] then fail('accounts: two with the %s "%s"', field, text) end
      if text then seen[text] = true end
    end
  end
end

local function all_accounts(value)
  local merchants = record.merchants
  local list = {
    { id = merchants.master, merchant = merchants.master,
      balances = balances(value.balances, "balances", merchants.master) },
    { id = merchants.other, merchant = merchants.other, balances = {} },
    { id = merchants.empty, merchant = merchants.empty, balances = {} },
  }
  if value.accounts ~= nil then
    check_list(value.accounts, "accounts")
  end
  for n, one in ipairs(value.accounts or {}) do
    list[#list + 1] = account(one, ("accounts[%d]"):format(n), n)
  end
  check_unique(list)
  return list
end

local function first_settings(value)
  if value == nil then return {} end
  check_table(value, "settings")
  local all, wrong = settings.changed(settings.new(), value)
  if not all then fail("settings: %s", wrong) end
  return record.copy(value)
end

local fields = { balances = true, accounts = true, settings = true }

local function read(value)
  check_fields(value, "seed", fields)
  local has_accounts = value.balances ~= nil or value.accounts ~= nil
  return {
    accounts = has_accounts and all_accounts(value) or fixtures.accounts(),
    settings = first_settings(value.settings),
  }
end

-- f's value, or nil and the message.
local function caught(f, ...)
  local ok, value = misuse.caught(f, ...)
  if ok then return value end
  return nil, value
end

-- Reads a seed. Without balances and accounts it has the fixtures. Returns nil and what
-- is wrong if it is wrong.
function seed.read(value)
  return caught(read, value or {})
end

-- Reads the seed from a file of JSON.
function seed.read_file(path)
  local file, err = io.open(path, "rb")
  if not file then return nil, err end
  local text = file:read "*a"
  file:close()
  local value, wrong = json.decode(text)
  if value == nil then return nil, path .. ": " .. tostring(wrong) end
  value, wrong = seed.read(value)
  return value, wrong and path .. ": " .. wrong
end

-- Reads one account, the n-th of its world.
function seed.account(value, n)
  return caught(account, value, "account", n)
end

-- Reads one amount, which messages call by this name.
function seed.amount(value, name)
  return caught(amount, value, name)
end

return seed
