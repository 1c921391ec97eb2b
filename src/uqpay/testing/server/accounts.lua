-- accounts.lua: the merchants of a world and their connected accounts.
-- SPDX-License-Identifier: MIT

local pages = require "uqpay.testing.server.pages"
local record = require "uqpay.testing.server.record"

local accounts = {}

-- Completes what an account leaves out. Each has a short id besides, which is as good as
-- the long one.
local function complete(account, n)
  local all = {}
  for name, value in pairs(account) do all[name] = value end
  all.n = n
  all.short_id = account.short_id or ("CB%010.0f"):format(4071300000 + 7919 * n)
  all.connected = account.id ~= account.merchant
  all.business = account.business or { "ISSUING" }
  all.status = account.status or "ACTIVE"
  for _, business in ipairs(all.business) do
    if business == "ISSUING" then all.issuing = true end
  end
  all.balances = {}
  for currency, balance in pairs(account.balances) do
    all.balances[currency] = record.copy(balance)
    all.balances[currency].currency = currency
  end
  return all
end

-- Accounts in their order, with indexes. Nothing in it changes: an account that is added
-- makes another directory.
function accounts.directory(list)
  local directory = { list = {}, by_id = {}, by_name = {}, made = {} }
  for n, given in ipairs(list) do
    local account = complete(given, n)
    directory.list[n] = account
    directory.by_id[account.id] = account
    directory.by_id[account.short_id] = account
    if account.name then directory.by_name[account.name] = account end
  end
  return directory
end

-- Adds an account until the next reset.
function accounts.add(world, account)
  local list = {}
  for n, one in ipairs(world.directory.list) do list[n] = one end
  list[#list + 1] = account
  world.directory = accounts.directory(list)
end

-- An account by "master", "other", "empty", its name, its id or its short id; nil is
-- "master".
function accounts.find(world, name)
  local directory = world.directory
  local id = record.merchants[name or "master"] or name
  return directory.by_id[id] or directory.by_name[id]
end

-- The id of an account that is named like that.
function accounts.id_of(world, name)
  local account = accounts.find(world, name)
  return account and account.id
end

-- The id of a connected account that is named like that.
function accounts.connected_id(world, name)
  local account = accounts.find(world, name)
  return account and account.connected and account.id or nil
end

-- The account a request is about, or nil: merchant is the token's, behalf the value of
-- x-on-behalf-of, if there is one.
function accounts.of(world, merchant, behalf)
  if behalf == nil then return merchant end
  local account = world.directory.by_id[behalf]
  -- a merchant is no connected account, not even of itself
  local usable = account and account.connected and account.issuing
    and account.status == "ACTIVE"
  if usable and account.merchant == merchant then
    return account.id
  end
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

local verification = {
  ACTIVE = "APPROVED", PROCESSING = "PENDING", PENDING = "PENDING",
  SUSPENDED = "EXPIRED", REVIEW = "RETURN", INACTIVE = "REJECT", CLOSED = "APPROVED",
}

local function described(account)
  local n = account.n
  local email = ("owner%d@example.com"):format(n)
  local title = account.title or account.name:gsub("_", " ")
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
function accounts.connected(world, merchant)
  local list = {}
  for _, account in ipairs(world.directory.list) do
    if account.connected and account.merchant == merchant then
      list[#list + 1] = described(account)
    end
  end
  return list
end

-- GET /v1/accounts, which takes smaller pages than the lists of Issuing.
function accounts.list(world, request)
  local page, wrong = pages.wanted(request, 1)
  if not page then return nil, wrong end
  local list = accounts.connected(world, request.merchant)
  if world.state.settings.accounts_status == "missing" then
    for _, item in ipairs(list) do without_status(item) end
  end
  return pages.answer(world, page, list, fields)
end

-- The ids of accounts whose names can be names of variables.
function accounts.facts(world, add)
  for _, account in ipairs(world.directory.list) do
    if account.name and account.name:find "^[%a_][%w_]*$" then
      add(account.name, account.id)
      add("short_" .. account.name, account.short_id)
    end
  end
end

return accounts
