-- login.lua: POST /v1/connect/token: a client id and an API key for a token.
-- SPDX-License-Identifier: MIT

local json = require "uqpay.testing.server.json"
local limits = require "uqpay.testing.server.limits"
local media_type = require "uqpay.testing.server.media_type"
local random = require "uqpay.testing.server.random"
local record = require "uqpay.testing.server.record"
local reply = require "uqpay.testing.server.reply"
local times = require "uqpay.testing.server.times"
local tokens = require "uqpay.testing.server.tokens"

local login = {}

-- API keys are drawn at each start. The edge answers 403 to clients with a refusal.
local clients = {
  { name = "client", id = "sandbox-client-41c7e0", merchant = "master" },
  { name = "second_client", id = "sandbox-client-9d26b5", merchant = "master" },
  { name = "other_client", id = "sandbox-client-f08a13", merchant = "other" },
  { name = "empty_client", id = "sandbox-client-06e4d8", merchant = "empty" },
  { name = "production_client", id = "production-client-b7", merchant = "master",
    refusal = "forbidden from UAT" },
  { name = "blocked_client", id = "sandbox-client-3ac592", merchant = "master",
    refusal = "IP not allowed" },
}

local by_id = {}
for _, client in ipairs(clients) do by_id[client.id] = client end

function login.start(world)
  world.api_keys = {}
  for _, client in ipairs(clients) do
    world.api_keys[client.id] = random.secret(world, 48)
  end
end

function login.facts(world, add)
  for _, client in ipairs(clients) do
    add(client.name .. "_id", client.id)
    add((client.name:gsub("client$", "api_key")), world.api_keys[client.id])
  end
end

-- A login has no body, or JSON that is ignored.
function login.check_type(_, request)
  if request.headers["content-type"] ~= nil and not media_type.is_json(request) then
    return reply.shape("B", 415, "unsupported media type")
  end
end

-- Authenticates the request: sets request.client, or returns an error answer. The vendor
-- documents the texts for no client id and an unknown one, and that the edge answers 403;
-- a missing or wrong key is said to be a 401 of the layer that checks tokens.
function login.identify(_, request)
  local id, key = request.headers["x-client-id"], request.headers["x-api-key"]
  if id == nil or id == "" then
    return reply.shape("B", 403, "x-client-id or email cannot be empty")
  elseif key == nil or key == "" then
    return reply.shape("C", 401, "missing x-api-key header")
  end
  local client = by_id[id]
  if not client then return reply.shape("B", 400, "Invalid client id") end
  request.client = client
end

function login.limit(world, request)
  return limits.refusal(world, request.client.id, world.state.settings.token_rate_limit)
end

function login.check_key(world, request)
  local client = request.client
  if request.headers["x-api-key"] ~= world.api_keys[client.id] then
    return reply.shape("C", 401, "invalid api key")
  elseif client.refusal then
    return reply.shape("D", 403, client.refusal)
  end
end

-- The value for a token in the answer; nil leaves auth_token out.
local texts = {
  jwt = function(token) return token end,
  opaque = function(token) return token end,
  bearer = function(token) return "Bearer " .. token end,
  crlf = function(token) return token .. "\r\nx-injected: yes" end,
  empty = function() return "" end,
  null = function() return json.null end,
  missing = function() return nil end,
}

-- Forms of expired_at; nil leaves expired_at out.
local ends_in = {
  seconds = math.floor,
  string = function(ends) return json.number(math.floor(ends)) end,
  milliseconds = function(ends) return math.floor(ends) * 1000 end,
  date = times.format,
  zero = function() return 0 end,
  past = function(_, world) return math.floor(world:now()) - 60 end,
  null = function() return json.null end,
  missing = function() return nil end,
}

local function new_text(world, client)
  local settings = world.state.settings
  local bytes = settings.token_bytes
  if bytes == 0 and settings.token_form ~= "opaque" then
    return tokens.jwt(world, record.merchants[client.merchant],
      world:now() + settings.token_life, client.id)
  end
  return random.secret(world, bytes > 0 and bytes or 90)
end

local function member(name, value)
  return value ~= nil and '"' .. name .. '":' .. json.encode(value) or nil
end

function login.mint(world, request)
  local settings = world.state.settings
  local token = new_text(world, request.client)
  local ends = tokens.mint(world, token, request.client)
  request.entry.minted = token:sub(1, 65536)
  local members = { member("auth_token", texts[settings.token_form](token)) }
  members[#members + 1] = member("expired_at", ends_in[settings.expired_at](ends, world))
  return {
    status = 200, body = "{" .. table.concat(members, ",") .. "}",
    headers = { ["content-type"] = "application/json" },
  }
end

return login
