-- The API: the endpoints with the checks that come before their work.

local accounts = require "accounts"
local balances = require "balances"
local endpoints = require "endpoints"
local faults = require "faults"
local idempotency = require "idempotency"
local journal = require "journal"
local limits = require "limits"
local login = require "login"
local reply = require "reply"
local store = require "store"
local tokens = require "tokens"
local transactions = require "transactions"

local api = {}

-- Authenticates the request: sets request.merchant, or returns an error answer.
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
  local token = tokens.known(text)
  if not token then
    return reply.error(401, "invalid access token")
  elseif token.ends <= ngx.now() then
    return reply.error(401, "token has expired")
  elseif token.forbidden then
    return reply.error(403, "no permission for this product")
  end
  request.merchant = token.merchant
end

-- The pages of the Account Center name 403 where those of Issuing name 401.
local function authenticate_at_account_center(request, settings)
  local refusal = authenticate(request, settings)
  if refusal and settings.accounts_refusal == "403" then
    return reply.shape("B", 403, "Authorization error")
  end
  return refusal
end

local function limit(request, settings)
  return limits.refusal(request.merchant, settings.rate_limit, settings)
end

local function check_key(request)
  request.key = request.headers["x-idempotency-key"]
  if not idempotency.valid(request.key) then
    return reply.typed(400, "idempotency_error", "invalid_idempotency_key",
      "x-idempotency-key is required and must be a UUID")
  end
end

-- Which account the request is about: fills in request.account, or returns the refusal.
local function resolve(request)
  local behalf = request.headers["x-on-behalf-of"]
  request.account = accounts.of(request.merchant, behalf)
  if not request.account then
    return reply.typed(400, "account_error", "sub_account_not_found",
      "sub account not found or not available for this product")
  end
end

local function refuse_behalf(request)
  if request.headers["x-on-behalf-of"] ~= nil then
    return reply.shape("B", 400, "x-on-behalf-of: must not be sent")
  end
end

-- Answers a request for a list. Errors of its arguments have this shape.
local function listing(shape, list)
  return function(request)
    local answer, wrong = list(request, store.settings())
    return answer or reply.shape(shape, 400, wrong)
  end
end

-- A strict gateway in front: it takes JSON, and requests that name no type.
local function refuse_forms(request)
  local content_type = request.headers["content-type"]
  local text = type(content_type) == "string" and content_type:lower() or ""
  if text:find "^application/x%-www%-form%-urlencoded" or text:find "^multipart/" then
    return reply.shape("B", 415, "unsupported media type")
  end
end

local behind = {
  token = {
    checks = { login.check_type, login.identify, login.limit, login.check_key },
    work = login.mint,
  },
  balance = {
    checks = { authenticate, limit, check_key, resolve },
    work = balances.retrieve,
  },
  balances = {
    checks = { authenticate, limit, resolve },
    work = listing("A", balances.list),
  },
  transactions = {
    checks = { authenticate, limit, resolve },
    work = listing("A", transactions.list),
  },
  accounts = {
    checks = { authenticate_at_account_center, limit, refuse_behalf },
    work = listing("B", accounts.list),
  },
}

-- Names of endpoints, by path and method.
local routes = {}
for name, endpoint in pairs(endpoints) do
  routes[endpoint.path] = routes[endpoint.path] or {}
  routes[endpoint.path][endpoint.method] = name
end

local function no_route(path)
  if not routes[path] then return reply.shape("B", 404, "route not found") end
  local methods = {}
  for method in pairs(routes[path]) do methods[#methods + 1] = method end
  table.sort(methods)
  local answer = reply.shape("B", 405, "method not allowed")
  answer.headers.allow = table.concat(methods, ", ")
  return answer
end

-- One request through all checks. A fault may put a function of its own, called with the
-- endpoint's work and the request, in the place of the work.
local function process(request, instead)
  local endpoint = behind[request.endpoint]
  if not endpoint then return no_route(request.path) end
  local settings = store.settings()
  local form = refuse_forms(request)
  if form then return form end
  for _, check in ipairs(endpoint.checks) do
    local refusal = check(request, settings)
    if refusal then return refusal end
  end
  local work = endpoint.work
  if instead then
    work = function() return instead(endpoint.work, request) end
  end
  if request.key then return idempotency.answer(request, request.key, work) end
  return work(request)
end

-- On the way in: as long as the settings want it. Returns whether the request is still of
-- this time, and not of before a reset.
local function travel(request)
  local settings = store.settings()
  if settings.delay > 0 then ngx.sleep(settings.delay) end
  local give_up = ngx.now() + 60
  while settings.hold == "all" or settings.hold == request.endpoint do
    ngx.sleep(0.02)
    if ngx.now() > give_up then break end
    settings = store.settings()
  end
  return request.generation == store.generation()
end

-- Over a connection that swallows everything no answer comes, until a reset.
local function swallow(request)
  journal.answered(request, nil, { kind = "swallow" })
  local give_up = ngx.now() + 600
  while request.generation == store.generation() and ngx.now() < give_up do
    ngx.sleep(0.05)
  end
  return reply.close()
end

function api.serve()
  local path, method = ngx.var.request_uri:match "^[^?]*", ngx.req.get_method()
  local request = journal.arrived(routes[path] and routes[path][method])
  if store.swallows(request.entry.connection) then return swallow(request) end
  if not travel(request) then return reply.close() end
  local fault = faults.take(request)
  if fault then return faults.run(fault, request, process) end
  local answer = process(request)
  journal.answered(request, answer.status)
  return reply.send(answer)
end

return api
