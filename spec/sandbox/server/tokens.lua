-- The tokens that the sandbox knows: those it made at its start, those a spec ordered,
-- and those that clients minted.

local accounts = require "accounts"
local cjson = require "cjson.safe"
local random = require "random"
local store = require "store"

local tokens = {}

-- A text like the tokens of today: three base64 parts, some 600 bytes. Their claims are
-- for people who look into one; a client has to take it as it is.
function tokens.jwt(merchant, ends, client)
  local claims = assert(cjson.encode {
    account_id = merchant, client_id = client or "sandbox", api_version = "V1.6",
    bus_type = "ISSUING", ip = "127.0.0.1", iss = "uqpay-sandbox",
    entity_id = merchant, short_entity_id = accounts.short_id(merchant),
    parent_entity_id = merchant, exp = math.floor(ends), jti = random.secret(80),
  })
  return random.base64url '{"alg":"HS256","typ":"JWT"}' .. "."
    .. random.base64url(claims) .. "." .. random.secret(43)
end

-- Tokens may be longer than a name in shared memory.
local function name_of(text)
  return "token " .. ngx.md5(text)
end

-- Registers a token: options are token (text), life (seconds), merchant ("master",
-- "other" or "empty"), forbidden. Returns its text and its end, or nil and what was
-- wrong.
function tokens.add(options)
  local merchant = accounts.merchants[options.merchant or "master"]
  if not merchant then return nil, 'merchant must be "master", "other" or "empty"' end
  local ends = ngx.now() + (options.life or 1800)
  local text = options.token or tokens.jwt(merchant, ends)
  store.set(name_of(text),
    { merchant = merchant, ends = ends, forbidden = options.forbidden })
  return text, ends
end

-- Registers a minted token; the minted ones are numbered. Returns its end.
function tokens.mint(text, client, merchant, life, single)
  local number = store.next "minted"
  if single then tokens.end_before(client, number) end
  local ends = ngx.now() + life
  store.set(name_of(text),
    { merchant = merchant, ends = ends, client = client, number = number })
  return ends
end

-- Ends the minted tokens of a client, or of "all", with numbers below this one.
function tokens.end_before(client, number)
  local first = store.get "first tokens" or {}
  first[client] = number
  store.set("first tokens", first)
end

function tokens.end_minted()
  tokens.end_before("all", store.next "minted")
end

-- A token's record: a table with merchant, ends, forbidden; nil: an unknown token.
function tokens.known(text)
  local token = store.get(name_of(text))
  if token and token.client then
    local first = store.get "first tokens" or {}
    if token.number < (first[token.client] or 0) or token.number < (first.all or 0) then
      token.ends = 0
    end
  end
  return token
end

function tokens.end_now(text)
  local token = tokens.known(text)
  if not token then return nil, "unknown token" end
  token.ends = 0
  store.set(name_of(text), token)
  return true
end

-- The tokens that every start makes and a reset restores.
local fixed = {
  { name = "token", life = 1e9 },
  { name = "other_token", merchant = "other", life = 1e9 },
  { name = "expired_token", life = -60 },
  { name = "forbidden_token", forbidden = true, life = 1e9 },
}

function tokens.start()
  for _, token in ipairs(fixed) do
    token.token = tokens.jwt(accounts.merchants[token.merchant or "master"],
      ngx.now() + (token.life or 1800))
  end
end

function tokens.reset()
  for _, token in ipairs(fixed) do tokens.add(token) end
end

function tokens.facts(lines)
  for _, token in ipairs(fixed) do
    lines[#lines + 1] = token.name .. "=" .. token.token
  end
end

return tokens
