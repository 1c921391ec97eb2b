-- The merchants of the sandbox, their tokens, sub-accounts and balances. No two amounts
-- are alike, so that an answer for the wrong account or currency shows.

local cjson = require "cjson.safe"
local store = require "store"

local accounts = {}

local master = "6a1f3c02-5d0e-4a7b-9c44-0f2be8d17a01"
local other = "c2b7e9d4-813f-4e5a-a6d1-7b90c4f3e502"

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

local everyone = {
  [master] = {
    merchant = master,
    balances = {
      USD = balance("72970a7c-7921-431c-b95f-3438724ba16f",
        "5000.25", "10000", "2353.25"),
      SGD = balance("0b1d6f5e-2c43-4f0a-8d5b-6a1e93c7d210",
        "10000.00", "0", "-0.01"),
      XUSD = balance("f3c9a8e1-47d6-4b52-9e0c-51b7d2a6c338",
        "12345678901234567890.12", "9007199254740993", "0.10", "PENDING"),
    },
  },
  ["8e4b0d67-f1a2-4c39-b7e8-3d5c6a9f0b11"] = {
    name = "sub_account",
    merchant = master,
    balances = {
      USD = balance("1a7e5c93-60b8-4d2f-a4c1-9f08e7b3d641", "111.11", "1.5", "0"),
      SGD = balance("5d92b3f7-e84a-4016-8b6d-c70a1f4e2952", "222.20", "0.00", "22"),
    },
  },
  ["b5d7f924-0c6e-4183-9a2b-e1f84c7d3a22"] = {
    name = "other_sub_account",
    merchant = master,
    balances = {
      USD = balance("9c40e6a2-b71d-4f85-8e3a-26d5f9c0b763", "0.00", "7", "333.3"),
      XUSD = balance("e608d1b4-953c-4a7e-b0f2-84c6a3e7d974", "44444.4", "8", "0",
        "CLOSED"),
    },
  },
  ["37c0a5e8-b94d-4f26-8e71-a2d6f3b9c033"] = {
    name = "closed_sub_account", refused = true, merchant = master, balances = {},
  },
  ["d94e1b76-3a8f-4c50-b2e9-6f07d5c8a144"] = {
    name = "banking_sub_account", refused = true, merchant = master, balances = {},
  },
  [other] = {
    merchant = other,
    balances = {
      USD = balance("2f86c7d0-a35b-4e19-97d4-b8e1f0c6a385", "66666.60", "6", "0.06"),
      SGD = balance("a81d4e3f-7c60-4b92-8f5e-03d9b7a2c496", "777.77", "70", "0.7"),
    },
  },
  ["40f6b8d3-5e1c-4a97-8d0b-c3e7a2f9b655"] = {
    name = "foreign_sub_account",
    merchant = other,
    balances = {
      USD = balance("be73f05c-1d84-4a6e-b9c2-5f7a08d3e1a7", "8.88", "0", "0"),
    },
  },
}

local merchants = { master = master, other = other }

local function base64url(bytes)
  return (ngx.encode_base64(bytes, true):gsub("[+/]", { ["+"] = "-", ["/"] = "_" }))
end

-- A text like the tokens that the vendor's pages print: three base64 parts, some 600
-- bytes. The parts mean nothing; a client has to take it as it is.
local function new_token(merchant)
  local urandom = assert(io.open("/dev/urandom", "rb"))
  local noise = urandom:read(224)
  urandom:close()
  local claims = assert(cjson.encode {
    account_id = merchant, client_id = "sandbox", api_version = "V1.6",
    bus_type = "ISSUING", ip = "127.0.0.1", iss = "uqpay-sandbox",
    noise = base64url(noise:sub(1, 192)),
  })
  return base64url '{"alg":"HS256","typ":"JWT"}' .. "." .. base64url(claims) .. "."
    .. base64url(noise:sub(193))
end

-- Registers a token: options are token (text), life (seconds), merchant ("master" or
-- "other"), forbidden. Returns its text and its end, or nil and what was wrong.
function accounts.add_token(options)
  local merchant = merchants[options.merchant or "master"]
  if not merchant then return nil, 'merchant must be "master" or "other"' end
  local text = options.token or new_token(merchant)
  local ends = ngx.now() + (options.life or 1800)
  store.set("token " .. text,
    { merchant = merchant, ends = ends, forbidden = options.forbidden })
  return text, ends
end

-- What is known of a token: nil, or a table with merchant, ends, forbidden.
function accounts.token(text)
  return store.get("token " .. text)
end

function accounts.end_token(text)
  local token = accounts.token(text)
  if not token then return nil, "unknown token" end
  token.ends = 0
  store.set("token " .. text, token)
  return true
end

-- The account a request is about, or nil: merchant is the token's, behalf the value of
-- x-on-behalf-of, if there is one.
function accounts.of(merchant, behalf)
  if behalf == nil then return merchant end
  local account = everyone[behalf]
  -- only sub-accounts have a name: a merchant is none, not even of itself
  local usable = account and account.name and not account.refused
  if usable and account.merchant == merchant then
    return behalf
  end
end

function accounts.balances(account)
  return store.get("balances " .. account)
end

-- Changes what one balance shows. Amounts are JSON text. A null removes a field.
function accounts.change(change)
  local account = merchants[change.account or "master"] or change.account
  local balances = everyone[account] and accounts.balances(account)
  if not balances then return nil, "unknown account" end
  local shown = balances[change.currency]
    or balance("00000000-0000-4000-8000-000000000000", "0", "0", "0")
  for name, value in pairs(change) do
    if name ~= "account" and name ~= "currency" and name ~= "delete" then
      if not shown[name] and value ~= cjson.null and name ~= "balance_id" then
        local known = balance("", "", "", "")
        if not known[name] then return nil, "unknown field: " .. name end
      end
      if value ~= cjson.null and type(value) ~= "string" then
        return nil, name .. " must be text (an amount: its JSON text, to keep the digits)"
      end
      shown[name] = value ~= cjson.null and value or nil
    end
  end
  balances[change.currency] = not change.delete and shown or nil
  store.set("balances " .. account, balances)
  return true
end

-- The tokens that every start makes anew and a reset restores.
local fixed = {
  { name = "token", life = 1e9 },
  { name = "other_token", merchant = "other", life = 1e9 },
  { name = "expired_token", life = -60 },
  { name = "forbidden_token", forbidden = true, life = 1e9 },
}

function accounts.reset()
  store.clear()
  for _, token in ipairs(fixed) do accounts.add_token(token) end
  for id, account in pairs(everyone) do store.set("balances " .. id, account.balances) end
end

function accounts.start()
  for _, token in ipairs(fixed) do
    token.token = new_token(merchants[token.merchant or "master"])
  end
  accounts.reset()
end

-- The lines that the launcher adds to its own.
function accounts.facts()
  local lines = {}
  for _, token in ipairs(fixed) do
    lines[#lines + 1] = token.name .. "=" .. token.token
  end
  for id, account in pairs(everyone) do
    if account.name then lines[#lines + 1] = account.name .. "=" .. id end
  end
  table.sort(lines)
  return table.concat(lines, "\n")
end

return accounts
