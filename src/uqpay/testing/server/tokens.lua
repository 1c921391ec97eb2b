-- tokens.lua: the tokens that the sandbox knows: those it made at its start, those that
-- were ordered, and those that clients minted.
-- SPDX-License-Identifier: MIT

local base64 = require "uqpay.testing.server.base64"
local json = require "uqpay.testing.server.json"
local random = require "uqpay.testing.server.random"
local record = require "uqpay.testing.server.record"

local tokens = {}

-- A text like the API's tokens: three base64 parts, some 600 bytes. The claims are for
-- people; clients must treat a token as opaque.
function tokens.jwt(world, merchant, ends, client)
  local claims = json.encode {
    account_id = merchant, client_id = client or "sandbox", api_version = "V1.6",
    bus_type = "ISSUING", ip = "127.0.0.1", iss = "uqpay-sandbox",
    entity_id = merchant, short_entity_id = world.directory.by_id[merchant].short_id,
    parent_entity_id = merchant, exp = math.floor(ends), jti = random.secret(world, 80),
  }
  return base64.url '{"alg":"HS256","typ":"JWT"}' .. "."
    .. base64.url(claims) .. "." .. random.secret(world, 43)
end

-- Registers a token: options are token (text), life (seconds), merchant ("master",
-- "other" or "empty"), forbidden. Returns its text and its end, or nil and what was
-- wrong.
function tokens.add(world, options)
  local merchant = record.merchants[options.merchant or "master"]
  if not merchant then return nil, 'merchant must be "master", "other" or "empty"' end
  if type(options.life or 1800) ~= "number" then return nil, "life must be a number" end
  if type(options.token or "") ~= "string" then return nil, "token must be a string" end
  local ends = world:now() + (options.life or 1800)
  local text = options.token or tokens.jwt(world, merchant, ends)
  world.state.tokens[text] =
    { merchant = merchant, ends = ends, forbidden = options.forbidden }
  return text, ends
end

local function next_number(state)
  state.minted = state.minted + 1
  return state.minted
end

-- Registers a token that was minted for a client (its id and merchant). The minted ones
-- are numbered. Returns its end.
function tokens.mint(world, text, client)
  local state = world.state
  local settings, number = state.settings, next_number(state)
  if settings.single_token then state.first_tokens[client.id] = number end
  local ends = world:now() + settings.token_life
  state.tokens[text] = {
    merchant = record.merchants[client.merchant], ends = ends, client = client.id,
    number = number,
  }
  return ends
end

-- Ends all minted tokens.
function tokens.end_minted(world)
  world.state.first_tokens.all = next_number(world.state)
end

-- Ends all tokens.
function tokens.end_all(world)
  for _, token in pairs(world.state.tokens) do token.ends = 0 end
end

-- A token's record: a table with merchant, ends, forbidden; nil: an unknown token.
function tokens.known(world, text)
  local token, first = world.state.tokens[text], world.state.first_tokens
  if token and token.client
    and token.number < math.max(first[token.client] or 0, first.all or 0) then
    token.ends = 0
  end
  return token
end

function tokens.end_now(world, text)
  local token = tokens.known(world, text)
  if not token then return nil, "unknown token" end
  token.ends = 0
  return true
end

-- The tokens that every start makes and a reset restores.
local fixed = {
  { name = "token", life = 1e9 },
  { name = "other_token", merchant = "other", life = 1e9 },
  { name = "expired_token", life = -60 },
  { name = "forbidden_token", forbidden = true, life = 1e9 },
}

function tokens.start(world)
  world.fixed_tokens = {}
  for n, token in ipairs(fixed) do
    local merchant = record.merchants[token.merchant or "master"]
    world.fixed_tokens[n] = {
      name = token.name, merchant = token.merchant, life = token.life,
      forbidden = token.forbidden,
      token = tokens.jwt(world, merchant, world:now() + token.life),
    }
  end
end

function tokens.reset(world)
  for _, token in ipairs(world.fixed_tokens) do tokens.add(world, token) end
end

function tokens.facts(world, add)
  for _, token in ipairs(world.fixed_tokens) do add(token.name, token.token) end
end

return tokens
