-- reply.lua: answers: tables of status, headers and body, and the error shapes of the
-- API.
-- SPDX-License-Identifier: MIT

local json = require "uqpay.testing.server.json"
local random = require "uqpay.testing.server.random"
local times = require "uqpay.testing.server.times"

local reply = {}

local types = {
  [400] = { "invalid_request_error", "invalid_request_error" },
  [401] = { "unauthorized_error", "unauthorized_error" },
  [403] = { "unauthorized_error", "forbidden" },
  [404] = { "not_found", "not_found" },
  [409] = { "conflict_error", "conflict" },
  [429] = { "rate_limit_error", "too_many_requests" },
}

local html = [[
<html>
<head><title>%d</title></head>
<body><center><h1>%d %s</h1></center><hr><center>edge</center></body>
</html>
]]

local quote = json.string

-- A: most errors of the issuing product.
local function typed(kind, code, message)
  return '{"type":' .. quote(kind) .. ',"code":' .. quote(code) .. ',"message":'
    .. quote(message) .. "}"
end

local function numbered(code, message)
  return '{"code":' .. json.number(code) .. ',"message":' .. quote(message) .. "}"
end

local shapes = {
  A = function(status, message)
    local names = types[status] or { "api_error", "api_error" }
    return typed(names[1], names[2], message)
  end,
  -- B: the older flat form; its code is a number and not always the status.
  B = function(status, message, code) return numbered(code or status, message) end,
  -- C: the layer that checks tokens.
  C = function(_, message) return '{"error":' .. quote(message) .. "}" end,
  -- D: the edge, for instance when an environment does not match.
  D = function(_, message)
    return '{"error":"Forbidden","message":' .. quote(message) .. "}"
  end,
  -- E: too many requests as a page prints it: the comma makes it invalid JSON.
  E = function(_, message)
    return '{"code":"too_many_requests","message":' .. quote(message) .. ",}"
  end,
  -- F: a proxy on the way.
  F = function(status, message)
    return html:format(status, status, message), "text/html"
  end,
  -- G: success by status, failure by body.
  G = function(_, message, code) return numbered(code or 400, message) end,
  -- H: only a message, as the SDKs' fixtures of 429 have it.
  H = function(_, message) return '{"message":' .. quote(message) .. "}" end,
}

-- An answer in one of the shapes, or nil when there is no such shape.
function reply.shape(name, status, message, code)
  local shape = shapes[name]
  if not shape then return nil end
  local body, content_type = shape(status, message, code)
  return {
    status = status, body = body,
    headers = { ["content-type"] = content_type or "application/json" },
  }
end

function reply.error(status, message)
  return reply.shape("A", status, message)
end

function reply.typed(status, kind, code, message)
  return {
    status = status, body = typed(kind, code, message),
    headers = { ["content-type"] = "application/json" },
  }
end

-- The same key's first request has not been answered yet: status 400, but code 200.
function reply.processing()
  return reply.shape("B", 400, "Request is processing, please try again later", 200)
end

-- retry_after "seconds" and "date" say when the window ends; any other text stands in the
-- header as it is.
function reply.too_many(world, retry_after, ends, shape)
  local answer = reply.shape(shape, 429, "Too many requests, please try again later")
  if retry_after == "seconds" then
    local left = math.floor((ends - world:now()) * 1000 + 0.5) / 1000
    retry_after = json.number(math.ceil(left))
  elseif retry_after == "date" then
    retry_after = times.http(math.ceil(ends))
  end
  if retry_after ~= "" then answer.headers["retry-after"] = retry_after end
  return answer
end

-- The same answer with some more headers: what is stored under a key must not change.
function reply.with(answer, headers)
  local all = {}
  for _, list in ipairs { answer.headers, headers } do
    for name, value in pairs(list) do all[name:lower()] = value end
  end
  return {
    status = answer.status, headers = all, body = answer.body, wire = answer.wire,
    stored = answer.stored,
  }
end

-- The answer as it is sent. It has x-request-id and content-type, unless a fault names
-- them; a header that is null is left out.
function reply.finished(world, answer)
  if not answer.status then return answer end
  local headers = {
    ["x-request-id"] = random.request_id(world), ["content-type"] = "application/json",
  }
  for name, value in pairs(answer.headers) do
    headers[name] = value ~= json.null and value or nil
  end
  return {
    status = answer.status, headers = headers, body = answer.body, wire = answer.wire,
  }
end

-- What an adapter has to do on the wire, in the place of an answer (without a status) or
-- with it: see api.lua.
function reply.wire(kind, details)
  local wire = details or {}
  wire.kind = kind
  return { wire = wire }
end

return reply
