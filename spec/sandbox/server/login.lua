-- POST /v1/connect/token: a client id and an API key for a token.

local accounts = require "accounts"
local cjson = require "cjson.safe"
local limits = require "limits"
local random = require "random"
local reply = require "reply"
local store = require "store"
local times = require "times"
local tokens = require "tokens"

local login = {}

-- Each start draws new keys. A client with a refusal is turned away by the edge.
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

function login.start()
  for _, client in ipairs(clients) do client.key = random.secret(48) end
end

function login.facts(lines)
  for _, client in ipairs(clients) do
    lines[#lines + 1] = client.name .. "_id=" .. client.id
    lines[#lines + 1] = client.name:gsub("client$", "api_key") .. "=" .. client.key
  end
end

-- A login has no body: it names JSON, or nothing.
function login.check_type(request)
  local content_type = request.headers["content-type"]
  if content_type ~= nil and (type(content_type) ~= "string"
    or not content_type:lower():find "^application/json%s*;?") then
    return reply.shape("B", 415, "unsupported media type")
  end
end

-- Authenticates the request: sets request.client, or returns an error answer. The vendor
-- documents the texts for no client id and an unknown one, and that the edge answers 403;
-- a missing or wrong key is said to be a 401 of the layer that checks tokens.
function login.identify(request)
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

function login.limit(request, settings)
  return limits.refusal(request.client.id, settings.token_rate_limit, settings)
end

function login.check_key(request)
  local client = request.client
  if request.headers["x-api-key"] ~= client.key then
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
  null = function() return cjson.null end,
  missing = function() return nil end,
}

-- Forms of the end; nil leaves expired_at out.
local ends_in = {
  seconds = math.floor,
  string = function(ends) return ("%d"):format(ends) end,
  milliseconds = function(ends) return math.floor(ends) * 1000 end,
  date = times.format,
  zero = function() return 0 end,
  past = function() return math.floor(ngx.now()) - 60 end,
  null = function() return cjson.null end,
  missing = function() return nil end,
}

local function new_text(client, settings)
  local bytes = settings.token_bytes
  if bytes == 0 and settings.token_form ~= "opaque" then
    return tokens.jwt(accounts.merchants[client.merchant],
      ngx.now() + settings.token_life, client.id)
  end
  return random.secret(bytes > 0 and bytes or 90)
end

local function member(name, value)
  return value ~= nil and '"' .. name .. '":' .. cjson.encode(value) or nil
end

function login.mint(request)
  local client, settings = request.client, store.settings()
  local token = new_text(client, settings)
  local ends = tokens.mint(token, client.id, accounts.merchants[client.merchant],
    settings.token_life, settings.single_token)
  request.entry.minted = token:sub(1, 65536)
  local members = { member("auth_token", texts[settings.token_form](token)) }
  members[#members + 1] = member("expired_at", ends_in[settings.expired_at](ends))
  return {
    status = 200, body = "{" .. table.concat(members, ",") .. "}",
    headers = { ["content-type"] = "application/json" },
  }
end

return login
