-- api.lua: the API: the endpoints with the checks that come before their work.
-- SPDX-License-Identifier: MIT

local accounts = require "uqpay.testing.server.accounts"
local balances = require "uqpay.testing.server.balances"
local endpoints = require "uqpay.testing.server.endpoints"
local faults = require "uqpay.testing.server.faults"
local idempotency = require "uqpay.testing.server.idempotency"
local journal = require "uqpay.testing.server.journal"
local limits = require "uqpay.testing.server.limits"
local login = require "uqpay.testing.server.login"
local media_type = require "uqpay.testing.server.media_type"
local reply = require "uqpay.testing.server.reply"
local tokens = require "uqpay.testing.server.tokens"
local transactions = require "uqpay.testing.server.transactions"

local api = {}

-- Authenticates the request: sets request.merchant, or returns an error answer.
local function authenticate(world, request)
  local value = request.headers["x-auth-token"]
  if value == nil then
    return reply.shape("C", 401, "missing x-auth-token header")
  end
  local text = type(value) == "string" and value:match "^Bearer ([^ ]+)$"
  local optional = world.state.settings.bearer == "optional"
  if not text and optional and type(value) == "string" then
    text = value:match "^[^ ]+$"
  end
  if not text then
    return reply.shape("C", 401, "invalid auth token format")
  end
  local token = tokens.known(world, text)
  if not token then
    return reply.error(401, "invalid access token")
  elseif token.ends <= world:now() then
    return reply.error(401, "token has expired")
  elseif token.forbidden then
    return reply.error(403, "no permission for this product")
  end
  request.merchant = token.merchant
end

-- The pages of the Account Center name 403 where those of Issuing name 401.
local function authenticate_at_account_center(world, request)
  local refusal = authenticate(world, request)
  if refusal and world.state.settings.accounts_refusal == "403" then
    return reply.shape("B", 403, "Authorization error")
  end
  return refusal
end

local function limit(world, request)
  return limits.refusal(world, request.merchant, world.state.settings.rate_limit)
end

local function check_key(_, request)
  request.key = request.headers["x-idempotency-key"]
  if not idempotency.valid(request.key) then
    return reply.typed(400, "idempotency_error", "invalid_idempotency_key",
      "x-idempotency-key is required and must be a UUID")
  end
end

-- Which account the request is about: fills in request.account, or returns the refusal.
local function resolve(world, request)
  local behalf = request.headers["x-on-behalf-of"]
  request.account = accounts.of(world, request.merchant, behalf)
  if not request.account then
    return reply.typed(400, "account_error", "sub_account_not_found",
      "sub account not found or not available for this product")
  end
end

local function refuse_behalf(_, request)
  if request.headers["x-on-behalf-of"] ~= nil then
    return reply.shape("B", 400, "x-on-behalf-of: must not be sent")
  end
end

-- Answers a request for a list. Errors of its arguments have this shape.
local function listing(shape, list)
  return function(world, request)
    local answer, wrong = list(world, request)
    return answer or reply.shape(shape, 400, wrong)
  end
end

-- A strict gateway in front: it takes JSON, and requests that name no type.
local function refuse_forms(request)
  if media_type.is_form(request) then
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
-- endpoint's work, in the place of the work.
local function process(world, request, instead)
  local endpoint = behind[request.endpoint]
  if not endpoint then return no_route(request.path) end
  local form = refuse_forms(request)
  if form then return form end
  for _, check in ipairs(endpoint.checks) do
    local refusal = check(world, request)
    if refusal then return refusal end
  end
  local function work()
    if instead then return instead(endpoint.work) end
    return endpoint.work(world, request)
  end
  if request.key then return idempotency.answer(world, request, work) end
  return work()
end

-- Delays or holds the request, as the settings say. Returns false if a reset came in
-- between: the request belongs to an earlier state.
local function travel(world, request)
  local delay = world.state.settings.delay
  if delay > 0 then world.sleep(delay) end
  local left = 60
  local function held()
    local hold = world.state.settings.hold
    return hold == "all" or hold == request.endpoint
  end
  while held() and left > 0 do
    world.sleep(0.02)
    left = left - 0.02
  end
  return request.state == world.state
end

-- Over a connection that swallows everything no answer comes, until a reset.
local function swallow(world, request)
  journal.answered(world, request, nil, { kind = "swallow" })
  local left = 600
  while request.state == world.state and left > 0 do
    world.sleep(0.05)
    left = left - 0.05
  end
  return reply.wire "close"
end

local function answer_of(world, request)
  local connection = request.entry.connection
  if connection and connection <= world.state.swallowed then
    return swallow(world, request)
  end
  if not travel(world, request) then return reply.wire "close" end
  local fault = faults.take(world, request)
  if fault then return faults.run(world, fault, request, process) end
  local answer = process(world, request)
  journal.answered(world, request, answer.status)
  return answer
end

-- Answers a request: method, path, query (nil without one), headers by lower-case names
-- (a list where one came twice), body, about (fields for the journal: connection, its
-- number, and others). Returns the answer: status, headers, body, wire. With wire the
-- adapter spoils the answer or, if there is no status, does this instead:
--
--   close                          ends the connection
--   garbage (body)                 sends these bytes and ends the connection
--   error (error, message)         fails in this way: only where the adapter has wire
--   cut (bytes)                    ends the connection after so many bytes of the body
--   huge (bytes, content_length)   blanks in front, to a body of so many bytes
--   huge_headers (bytes)           the headers have so many bytes
function api.answer(world, request)
  local methods = routes[request.path]
  request.endpoint = methods and methods[request.method]
  journal.arrived(world, request)
  local answer = answer_of(world, request)
  if request.state ~= world.state then return reply.wire "close" end -- as travel does
  return reply.finished(world, answer)
end

return api
