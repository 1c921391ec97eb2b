-- The merchants of the sandbox, their connected accounts and balances. No two amounts are
-- alike, so that an answer for the wrong account or currency shows.

local cjson = require "cjson.safe"
local pages = require "pages"
local random = require "random"
local store = require "store"

local accounts = {}

local master = "6a1f3c02-5d0e-4a7b-9c44-0f2be8d17a01"
local other = "c2b7e9d4-813f-4e5a-a6d1-7b90c4f3e502"
-- has no connected account, no balance and no transaction
local empty = "51d80c6e-27fb-4930-8ac1-e4b96d05f703"

accounts.merchants = { master = master, other = other, empty = empty }

-- Amounts are JSON text and go out as they are written here: digits are what is tested.
local function balance(id, available, margin, frozen, status)
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

-- All accounts, the connected ones in the order in which they are listed.
local everyone = {
  {
    id = master, merchant = master,
    balances = {
      USD = balance("72970a7c-7921-431c-b95f-3438724ba16f",
        "5000.25", "10000", "2353.25"),
      SGD = balance("0b1d6f5e-2c43-4f0a-8d5b-6a1e93c7d210",
        "10000.00", "0", "-0.01"),
      XUSD = balance("f3c9a8e1-47d6-4b52-9e0c-51b7d2a6c338",
        "12345678901234567890.12", "9007199254740993", "0.10", "PENDING"),
    },
  },
  {
    id = "8e4b0d67-f1a2-4c39-b7e8-3d5c6a9f0b11", name = "sub_account", merchant = master,
    balances = {
      USD = balance("1a7e5c93-60b8-4d2f-a4c1-9f08e7b3d641", "111.11", "1.5", "0"),
      SGD = balance("5d92b3f7-e84a-4016-8b6d-c70a1f4e2952", "222.20", "0.00", "22"),
    },
  },
  {
    id = "b5d7f924-0c6e-4183-9a2b-e1f84c7d3a22", name = "other_sub_account",
    merchant = master, business = { "BANKING", "ISSUING" },
    balances = {
      USD = balance("9c40e6a2-b71d-4f85-8e3a-26d5f9c0b763", "0.00", "7", "333.3"),
      XUSD = balance("e608d1b4-953c-4a7e-b0f2-84c6a3e7d974", "44444.4", "8", "0",
        "CLOSED"),
    },
  },
  {
    id = "37c0a5e8-b94d-4f26-8e71-a2d6f3b9c033", name = "closed_sub_account",
    merchant = master, status = "CLOSED", balances = {},
  },
  {
    id = "d94e1b76-3a8f-4c50-b2e9-6f07d5c8a144", name = "banking_sub_account",
    merchant = master, business = { "BANKING" }, balances = {},
  },
  {
    id = "7e21c9b0-64fd-4d18-93a7-b08f5e6c2d77", name = "many_sub_account",
    merchant = master, balances = {},       -- filled below
  },
  {
    id = other, merchant = other,
    balances = {
      USD = balance("2f86c7d0-a35b-4e19-97d4-b8e1f0c6a385", "66666.60", "6", "0.06"),
      SGD = balance("a81d4e3f-7c60-4b92-8f5e-03d9b7a2c496", "777.77", "70", "0.7"),
    },
  },
  {
    id = "40f6b8d3-5e1c-4a97-8d0b-c3e7a2f9b655", name = "foreign_sub_account",
    merchant = other,
    balances = {
      USD = balance("be73f05c-1d84-4a6e-b9c2-5f7a08d3e1a7", "8.88", "0", "0"),
    },
  },
  { id = empty, merchant = empty, balances = {} },
}

-- How many digits a currency has after the point, if not two.
local places = { BHD = 3, JPY = 0, KRW = 0, KWD = 3, TND = 3, XUSD = 6 }

function accounts.places(currency)
  return places[currency] or 2
end

-- Three pages of balances, each with the digits of its currency.
for currency in ([[
  AED AUD BHD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF INR JPY KRW KWD NOK NZD PLN SGD THB
  TND USD XUSD]]):gmatch "%u+" do
  local many = everyone[6]
  local draw = random.row(currency)
  local function amount(most)
    local digits = accounts.places(currency)
    return ("%." .. digits .. "f"):format(draw(most) / 10 ^ digits)
  end
  many.balances[currency] = balance(random.uuid(many.id .. currency),
    amount(1e9), amount(1e6), amount(1e4))
end

-- Forty more connected accounts, so that the list has pages.
local businesses = {
  { "ISSUING" }, { "BANKING" }, { "ISSUING", "BANKING" }, { "ACQUIRING" },
  { "ACQUIRING", "ISSUING" }, { "ISSUING" }, { "BANKING", "ACQUIRING" },
}
local states = {
  "ACTIVE", "ACTIVE", "ACTIVE", "PROCESSING", "ACTIVE", "ACTIVE", "INACTIVE", "ACTIVE",
  "PENDING", "ACTIVE", "SUSPENDED", "ACTIVE", "REVIEW",
}
for n = 1, 40 do
  local account = {
    id = random.uuid("connected account " .. n), title = "Connected " .. n,
    merchant = master, business = businesses[n % #businesses + 1],
    status = states[n % #states + 1], balances = {},
  }
  for m, currency in ipairs { "USD", "SGD", n % 4 == 0 and "XUSD" or nil } do
    account.balances[currency] = balance(random.uuid(account.id .. currency),
      ("%d.%02d"):format(n * 1000 + m, n + m), ("%d.5"):format(n), ("0.%02d"):format(n))
  end
  everyone[#everyone + 1] = account
end

-- Each account has a short id besides, which is as good as the long one.
local by_id, by_short_id, first_balances = {}, {}, {}
for n, account in ipairs(everyone) do
  account.short_id = ("CB%010d"):format(4071300000 + 7919 * n)
  by_short_id[account.short_id] = account
  account.connected = account.id ~= account.merchant
  account.business = account.business or { "ISSUING" }
  account.status = account.status or "ACTIVE"
  for _, business in ipairs(account.business) do
    if business == "ISSUING" then account.issuing = true end
  end
  by_id[account.id] = account
  first_balances[account.id] = cjson.encode(account.balances)
end

-- An account's id by what a spec calls it: "master", "other", "empty" or one of its ids.
function accounts.id_of(name)
  local id = accounts.merchants[name or "master"] or name
  local account = by_id[id] or by_short_id[id]
  return account and account.id
end

function accounts.short_id(id)
  return by_id[id].short_id
end

-- The account a request is about, or nil: merchant is the token's, behalf the value of
-- x-on-behalf-of, if there is one.
function accounts.of(merchant, behalf)
  if behalf == nil then return merchant end
  local account = by_id[behalf] or by_short_id[behalf]
  -- a merchant is no connected account, not even of itself
  local usable = account and account.connected and account.issuing
    and account.status == "ACTIVE"
  if usable and account.merchant == merchant then
    return account.id
  end
end

-- The initial balances of an account, by currency: a copy.
function accounts.first_balances(account)
  return cjson.decode(first_balances[account])
end

-- Its present balances.
function accounts.balances(account)
  return store.get("balances " .. account) or accounts.first_balances(account)
end

local not_fields = { account = true, currency = true, delete = true }

-- Sets a field of a balance, or removes it (null). Returns the message if it cannot be
-- set.
local function set_field(shown, name, value)
  if value == cjson.null then
    shown[name] = nil
    return nil
  end
  if not shown[name] and not balance("", "", "", "")[name] then
    return "unknown field: " .. name
  elseif type(value) ~= "string" then
    return name .. " must be text (an amount: its JSON text, to keep the digits)"
  end
  shown[name] = value
end

-- Changes the fields of one balance. Amounts are JSON text. A null removes a field.
function accounts.change(change)
  local account = accounts.id_of(change.account)
  local balances = account and accounts.balances(account)
  if not balances then return nil, "unknown account" end
  local shown = balances[change.currency]
    or balance("00000000-0000-4000-8000-000000000000", "0", "0", "0")
  for name, value in pairs(change) do
    local message = not not_fields[name] and set_field(shown, name, value)
    if message then return nil, message end
  end
  balances[change.currency] = not change.delete and shown or nil
  store.set("balances " .. account, balances)
  return true
end

local fields = {
  "account_id", "short_reference_id", "business_code", "email", "account_name", "status",
  "verification_status", "country", "entity_type", "contact_details", "business_details",
  "person_details", "residential_address",
}

-- The newer form: no status, and what individuals have in the place of a business.
local function without_status(item)
  item.status = nil
  if item.entity_type ~= "INDIVIDUAL" then return end
  item.business_details = nil
  item.person_details = { first_name = "Wei", last_name = "Tan", nationality = "SG" }
  item.residential_address = { country = "SG", city = "Singapore", line1 = "1 Road" }
end

local function described(account, n)
  local email = ("owner%d@example.com"):format(n)
  local title = account.title or account.name:gsub("_", " ")
  local verification = {
    ACTIVE = "APPROVED", PROCESSING = "PENDING", PENDING = "PENDING",
    SUSPENDED = "EXPIRED", REVIEW = "RETURN", INACTIVE = "REJECT", CLOSED = "APPROVED",
  }
  return {
    account_id = account.id,
    short_reference_id = account.short_id,
    business_code = account.business,
    email = email,
    account_name = title,
    status = account.status,
    verification_status = verification[account.status],
    country = n % 3 == 0 and "HK" or "SG",
    entity_type = n % 5 == 0 and "INDIVIDUAL" or "COMPANY",
    contact_details = { email = email, phone = ("+6580%06d"):format(n) },
    business_details = {
      legal_entity_name = title .. " Pte. Ltd. 有限公司", country = "SG",
    },
  }
end

-- The connected accounts of a merchant, as they are listed.
function accounts.connected(merchant)
  local list = {}
  for n, account in ipairs(everyone) do
    if account.connected and account.merchant == merchant then
      list[#list + 1] = described(account, n)
    end
  end
  return list
end

-- GET /v1/accounts, which takes smaller pages than the lists of Issuing.
function accounts.list(request, settings)
  local page, wrong = pages.wanted(request, 1)
  if not page then return nil, wrong end
  local list = accounts.connected(request.merchant)
  if settings.accounts_status == "missing" then
    for _, item in ipairs(list) do without_status(item) end
  end
  return pages.answer(page, list, fields, settings)
end

-- The lines that the launcher adds to its own.
function accounts.facts(lines)
  for _, account in ipairs(everyone) do
    if account.name then
      lines[#lines + 1] = account.name .. "=" .. account.id
      lines[#lines + 1] = "short_" .. account.name .. "=" .. account.short_id
    end
  end
end

return accounts
