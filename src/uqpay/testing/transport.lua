-- transport.lua: the sandbox's core within the process of the client, as a function for
-- the option `transport`.
-- SPDX-License-Identifier: MIT

local api = require "uqpay.testing.server.api"
local world = require "uqpay.testing.server.world"

local function split(url)
  local rest = url:gsub("#.*$", ""):match "^%a[%w+.-]*://[^/?]*(.*)$" or url
  local path, query = rest:match "^([^?]*)%??(.*)$"
  return path, query ~= "" and query or nil
end

-- The kinds of failure are those that a client reports of the server for the same faults.
local wires = {}

function wires.close()
  return nil, "connect", "the server closed the connection without an answer"
end

function wires.cut(answer)
  local left = #answer.body - answer.wire.bytes
  return nil, "connect",
    ("the connection ended %d bytes before the end of the body"):format(math.max(left, 0))
end

local function head_of(text)
  local headers = {}
  for name, value in text:gmatch "\n([^\r\n:]+):[ \t]*([^\r\n]*)" do
    headers[name:lower()] = value
  end
  return tonumber(text:match "^HTTP/1%.%d (%d%d%d)"), headers
end

-- The bytes may be an answer of HTTP/1.1 after all.
function wires.garbage(answer)
  local bytes = answer.wire.body
  local head, body = bytes:match "^(HTTP/1.-\r\n)\r\n(.*)$"
  local status, headers = head_of(head or "")
  if not head and bytes:find "^HTTP/1" then
    return nil, "connect", "the connection ended within the head of an answer"
  elseif not status then
    return nil, "protocol", "the server sent bytes that are not HTTP"
  end
  local length = tonumber(headers["content-length"]) or #body
  if #body < length then
    return wires.cut { body = (" "):rep(length), wire = { bytes = #body } }
  end
  return { status = status, headers = headers, body = body:sub(1, length) }
end

function wires.error(answer)
  local wire = answer.wire
  return nil, wire.error, wire.message or "failed on the sandbox's order: " .. wire.error
end

function wires.huge(answer)
  local blanks = math.max(answer.wire.bytes - #answer.body, 0)
  return {
    status = answer.status, headers = answer.headers,
    body = (" "):rep(blanks) .. answer.body,
  }
end

local function plain(answer)
  return { status = answer.status, headers = answer.headers, body = answer.body }
end
wires.huge_headers = plain

-- Returns a world of this seed, and its transport. Sleeps of the core are added up; then
-- the clock moves by their sum, at most by the request's timeout.
return function(seed, clock)
  local waited, requests = 0, 0
  local server = world.new({
    clock = function() return clock.now() + waited end,
    sleep = function(seconds) waited = waited + seconds end,
    wire = true,
  }, seed)

  local function answer_of(request)
    requests, waited = requests + 1, 0
    local path, query = split(request.url)
    local answer = api.answer(server, {
      method = request.method, path = path, query = query,
      headers = request.headers or {}, body = request.body or "",
      about = { server = "in_process", connection = 1, connection_requests = requests },
    })
    local time = waited
    waited = 0
    return answer, time
  end

  local function transport(request)
    local answer, time = answer_of(request)
    local late = request.timeout and time >= request.timeout
    if late then time = request.timeout end
    if time > 0 then clock.sleep(time) end
    if late then return nil, "timeout", "no answer came within the timeout" end
    local finish = answer.wire and wires[answer.wire.kind] or plain
    return finish(answer)
  end

  return server, transport
end
