-- The API: POST /api/v1/issuing/balances, with the checks that come before it.

local accounts = require "accounts"
local cjson = require "cjson.safe"
local faults = require "faults"
local idempotency = require "idempotency"
local journal = require "journal"
local reply = require "reply"
local store = require "store"

local api = {}

-- Who asks: fills in request.merchant, or returns the refusal.
local function authenticate(request, settings)
  local value = request.headers["x-auth-token"]
  if value == nil then
    return reply.shape("C", 401, "missing x-auth-token header")
  end
  local text = type(value) == "string" and value:match "^Bearer ([^ ]+)$"
  if not text and settings.bearer == "optional" and type(value) == "string" then
    text = value:match "^[^ ]+$"
  end
  if not text then
    return reply.shape("C", 401, "invalid auth token format")
  end
  local token = accounts.token(text)
  if not token then
    return reply.error(401, "invalid access token")
  elseif token.ends <= ngx.now() then
    return reply.error(401, "token has expired")
  elseif token.forbidden then
    return reply.error(403, "no permission for this product")
  end
  request.merchant = token.merchant
end

-- A window begins with its first request, not with the minute of the clock: a test that
-- counts requests must not depend on when it runs.
local function limit(request, settings)
  if settings.rate_limit > 0
    and store.count("rate " .. request.merchant, 60) > settings.rate_limit then
    return reply.too_many(settings.retry_after)
  end
end

-- Which account the request is about: fills in request.account, or returns the refusal.
local function resolve(request)
  local behalf = request.headers["x-on-behalf-of"]
  request.account = accounts.of(request.merchant, behalf)
  request.behalf = behalf
  if not request.account then
    return reply.typed(400, "account_error", "sub_account_not_found",
      "sub account not found or not available for this product")
  end
end

local fields = {
  "balance_id", "currency", "available_balance", "margin_balance", "frozen_balance",
  "create_time", "last_trade_time", "balance_status",
}
local amounts = { available_balance = true, margin_balance = true, frozen_balance = true }

-- Written by hand: an amount's digits go out as they are stored, no number is ever made.
local function encode(balance, settings)
  local members = {}
  for _, name in ipairs(fields) do
    local value = balance[name]
    if value then
      if not amounts[name] or settings.amounts == "string" then
        value = cjson.encode(value)
      end
      members[#members + 1] = '"' .. name .. '":' .. value
    end
  end
  return "{" .. table.concat(members, ",") .. "}"
end

local function retrieve(request)
  local content_type = request.headers["content-type"]
  if type(content_type) ~= "string"
    or not content_type:lower():find "^application/json%s*;?" then
    return reply.error(400, "Content-Type must be application/json")
  end
  local wanted = cjson.decode(request.body)
  if type(wanted) ~= "table" then
    return reply.error(400, "body: must be a JSON object")
  end
  local currency = wanted.currency
  if currency == nil then
    return reply.error(400, "currency: is required")
  elseif type(currency) ~= "string" then
    return reply.error(400, "currency: must be a string")
  elseif not currency:find "^%u%u%u%u?%u?$" then
    return reply.error(400, "currency: must be a currency code")
  end
  local balance = accounts.balances(request.account)[currency]
  if not balance then
    -- The vendor documents no answer for a currency without a balance; that it is an
    -- error and no object of zeros is all that is known.
    return reply.typed(400, "account_error", "balance_not_found",
      "no issuing balance in this currency")
  end
  balance.currency = currency
  return {
    status = 200, body = encode(balance, store.settings()),
    headers = { ["content-type"] = "application/json" },
  }
end

local routes = { ["/api/v1/issuing/balances"] = "POST" }

-- One request through all checks. work stands where the balance is looked up: a fault may
-- put something else there.
local function process(request, work)
  local method = routes[request.path]
  if not method then
    return reply.shape("B", 404, "route not found")
  elseif method ~= request.method then
    local answer = reply.shape("B", 405, "method not allowed")
    answer.headers.allow = method
    return answer
  end
  local settings = store.settings()
  local refusal = authenticate(request, settings) or limit(request, settings)
  if refusal then return refusal end
  local key = request.headers["x-idempotency-key"]
  if not idempotency.valid(key) then
    return reply.typed(400, "idempotency_error", "invalid_idempotency_key",
      "x-idempotency-key is required and must be a UUID")
  end
  return resolve(request) or idempotency.answer(request, key, work or retrieve)
end

function api.serve()
  local request = journal.arrived()
  local fault = faults.take(request)
  if fault then
    return faults.run(fault, request, process, retrieve)
  end
  local answer = process(request)
  journal.answered(request, answer.status)
  return reply.send(answer)
end

return api
