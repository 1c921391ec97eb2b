-- fixtures.lua: the accounts of a sandbox without a seed. No two amounts are alike, so
-- that an answer for the wrong account or currency shows.
-- SPDX-License-Identifier: MIT

local random = require "uqpay.testing.server.random"
local record = require "uqpay.testing.server.record"

local balance = record.balance

-- How many digits a currency has after the point, if not two.
local places = { BHD = 3, JPY = 0, KRW = 0, KWD = 3, TND = 3, XUSD = 6 }

local currencies = [[
  AED AUD BHD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF INR JPY KRW KWD NOK NZD PLN SGD THB
  TND USD XUSD]]

-- Three pages of balances, each with the digits of its currency.
local function many_balances(account)
  local balances = {}
  for currency in currencies:gmatch "%u+" do
    local draw = random.generator(currency)
    local function amount(most)
      local digits = places[currency] or 2
      return ("%." .. digits .. "f"):format(draw(most) / 10 ^ digits)
    end
    balances[currency] = balance(random.uuid(account .. currency), amount(1e9),
      amount(1e6), amount(1e4))
  end
  return balances
end

-- The accounts with names, the connected ones in the order in which they are listed.
local function named()
  local master, other = record.merchants.master, record.merchants.other
  local many = "7e21c9b0-64fd-4d18-93a7-b08f5e6c2d77"
  return {
    {
      id = master, merchant = master, transactions = 400,
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
      id = "8e4b0d67-f1a2-4c39-b7e8-3d5c6a9f0b11", name = "sub_account",
      merchant = master, transactions = 150,
      balances = {
        USD = balance("1a7e5c93-60b8-4d2f-a4c1-9f08e7b3d641", "111.11", "1.5", "0"),
        SGD = balance("5d92b3f7-e84a-4016-8b6d-c70a1f4e2952", "222.20", "0.00", "22"),
      },
    },
    {
      id = "b5d7f924-0c6e-4183-9a2b-e1f84c7d3a22", name = "other_sub_account",
      merchant = master, business = { "BANKING", "ISSUING" }, transactions = 12,
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
      id = many, name = "many_sub_account", merchant = master, transactions = 12,
      balances = many_balances(many),
    },
    {
      id = other, merchant = other, transactions = 80,
      balances = {
        USD = balance("2f86c7d0-a35b-4e19-97d4-b8e1f0c6a385", "66666.60", "6", "0.06"),
        SGD = balance("a81d4e3f-7c60-4b92-8f5e-03d9b7a2c496", "777.77", "70", "0.7"),
      },
    },
    {
      id = "40f6b8d3-5e1c-4a97-8d0b-c3e7a2f9b655", name = "foreign_sub_account",
      merchant = other, transactions = 12,
      balances = {
        USD = balance("be73f05c-1d84-4a6e-b9c2-5f7a08d3e1a7", "8.88", "0", "0"),
      },
    },
    { id = record.merchants.empty, merchant = record.merchants.empty, balances = {} },
  }
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

local function numbered(n)
  local id = random.uuid("connected account " .. n)
  local balances = {}
  for m, currency in ipairs { "USD", "SGD", n % 4 == 0 and "XUSD" or nil } do
    balances[currency] = balance(random.uuid(id .. currency),
      ("%d.%02d"):format(n * 1000 + m, n + m), ("%d.5"):format(n), ("0.%02d"):format(n))
  end
  return {
    id = id, title = "Connected " .. n, merchant = record.merchants.master,
    business = businesses[n % #businesses + 1], status = states[n % #states + 1],
    balances = balances, transactions = 12,
  }
end

local fixtures = {}

-- Decimals of a currency.
function fixtures.places(currency)
  return places[currency] or 2
end

-- The accounts, in the form of record.lua.
function fixtures.accounts()
  local list = named()
  for n = 1, 40 do list[#list + 1] = numbered(n) end
  return list
end

return fixtures
