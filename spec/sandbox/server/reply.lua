-- Answers: tables of status, body and headers, the error shapes of the API, and sending.

local cjson = require "cjson.safe"

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

local function quote(text)
  return assert(cjson.encode(text))
end

-- A: most errors of the issuing product.
local function typed(kind, code, message)
  return '{"type":' .. quote(kind) .. ',"code":' .. quote(code) .. ',"message":'
    .. quote(message) .. "}"
end

local shapes = {
  A = function(status, message)
    local names = types[status] or { "api_error", "api_error" }
    return typed(names[1], names[2], message)
  end,
  -- B: the older flat form; its code is a number and not always the status.
  B = function(status, message, code)
    return '{"code":' .. (code or status) .. ',"message":' .. quote(message) .. "}"
  end,
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
  G = function(_, message, code)
    return '{"code":' .. (code or 400) .. ',"message":' .. quote(message) .. "}"
  end,
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
function reply.too_many(retry_after, ends, shape)
  local answer = reply.shape(shape, 429, "Too many requests, please try again later")
  if retry_after == "seconds" then
    retry_after = tostring(math.ceil(math.floor((ends - ngx.now()) * 1000 + 0.5) / 1000))
  elseif retry_after == "date" then
    retry_after = ngx.http_time(math.ceil(ends))
  end
  if retry_after ~= "" then answer.headers["retry-after"] = retry_after end
  return answer
end

-- Status and headers. Every answer has x-request-id, unless a fault's headers name it;
-- there, as for any header, null means: leave it out.
function reply.head(answer)
  ngx.status = answer.status
  ngx.header["x-request-id"] = ngx.var.request_id
  for name, value in pairs(answer.headers or {}) do
    ngx.header[name] = value ~= cjson.null and value or nil
  end
end

function reply.send(answer)
  reply.head(answer)
  local body = answer.body or ""
  ngx.header["content-length"] = #body
  if body ~= "" then ngx.print(body) end
  return ngx.eof()
end

-- Ends the connection without a word. On HTTP/2 the nearest thing is done, the stream is
-- reset; other streams of the connection live on.
function reply.close()
  return ngx.exit(444)
end

return reply
