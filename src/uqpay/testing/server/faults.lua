-- faults.lua: faults on order. They wait in a queue; each request uses up one use of the
-- first fault that fits it.
--
--   { kind = "status", status = 503, times = 2, match = { ["x-on-behalf-of"] = id } }
--
-- It applies to the first `times` (1) requests that fit, after `skip` others. endpoint
-- names theirs ("api": all but "token"); match has headers, ":method", ":path",
-- ":account" and arguments ("?page_number") with their values. A delay or a hang with
-- hold = true lasts until POST /release or a reset, or for its seconds. The kinds, with
-- their options, are below.
-- SPDX-License-Identifier: MIT

local base64 = require "uqpay.testing.server.base64"
local endpoints = require "uqpay.testing.server.endpoints"
local journal = require "uqpay.testing.server.journal"
local json = require "uqpay.testing.server.json"
local misuse = require "uqpay.testing.server.misuse"
local query = require "uqpay.testing.server.query"
local record = require "uqpay.testing.server.record"
local reply = require "uqpay.testing.server.reply"

local faults = {}

-- Each kind: function(world, fault, request, process) -> answer; see api.lua for process.
local kinds = {}

local function sent(world, answer, fault, request)
  journal.answered(world, request, answer.status, fault)
  return reply.with(answer, fault.headers or {})
end

-- There is no answer.
local function ended(world, fault, request, wire)
  journal.answered(world, request, nil, fault)
  return wire or reply.wire "close"
end

-- An answer that does not arrive as it is.
local function spoiled(world, answer, fault, request, wire)
  journal.answered(world, request, answer.status, fault)
  answer = reply.with(answer, {})
  answer.wire = wire.wire
  return answer
end

-- Sleeps for the fault's seconds; with hold, until POST /release or a reset, if one comes
-- before they are over.
local function rest(world, fault, seconds)
  seconds = fault.seconds or seconds
  if not fault.hold then return world.sleep(seconds) end
  local released = world.released
  for _ = 1, seconds / 0.002 do
    if world.released ~= released then return end
    world.sleep(0.002)
  end
end

-- The request is worked on for a while (its key is in progress), then answered.
function kinds.delay(world, fault, request, process)
  local answer = process(world, request, function(work)
    rest(world, fault, fault.hold and 30 or 1)
    if request.state ~= world.state then return reply.error(500, "reset") end
    return work(world, request)
  end)
  return sent(world, answer, fault, request)
end

-- The API itself fails: where the endpoint would do its work there is this answer. It is
-- stored under the key (if there is one) like any other: a 5xx is not. With store = true
-- it is stored, whatever its status; with store = false the edge answers, and nothing is
-- checked or stored.
function kinds.status(world, fault, request, process)
  local status = fault.status or 500
  local shape = fault.shape or (status == 429 and "B" or "A")
  local made = reply.shape(shape, status, fault.message or "made to fail", fault.code)
  made.body = fault.body or made.body
  made.stored = fault.store
  if fault.store == false then return sent(world, made, fault, request) end
  local answer = process(world, request, function() return made end)
  return sent(world, answer, fault, request)
end

-- Exactly these bytes, from the edge.
function kinds.answer(world, fault, request)
  return sent(world, {
    status = fault.status or 200, headers = {},
    body = fault.body_base64 and base64.decode(fault.body_base64) or fault.body or "",
  }, fault, request)
end

-- Answers from the edge that have a name of their own.
function kinds.processing(world, fault, request)
  return sent(world, reply.processing(), fault, request)
end

function kinds.rate_limit(world, fault, request)
  local settings = world.state.settings
  return sent(world, reply.too_many(world, fault.retry_after or settings.retry_after,
    world:now() + settings.rate_window, fault.shape or settings.rate_limit_shape), fault,
    request)
end

function kinds.html(world, fault, request)
  return sent(world, reply.shape("F", fault.status or 502, "Bad Gateway"), fault, request)
end

function kinds.empty(world, fault, request)
  return sent(world, { status = fault.status or 200, body = "", headers = {} }, fault,
    request)
end

function kinds.redirect(world, fault, request)
  local place = request.path .. (request.query and "?" .. request.query or "")
  return sent(world, {
    status = fault.status or 307, body = "",
    headers = { location = fault.location or world.other_host .. place },
  }, fault, request)
end

-- The connection ends, before the request was looked at ...
function kinds.drop_before(world, fault, request)
  return ended(world, fault, request)
end

-- ... or after it was done: the answer is stored under the key but not sent.
function kinds.drop_after(world, fault, request, process)
  process(world, request)
  return ended(world, fault, request)
end

-- The request is taken and nothing happens; in the end the connection is closed.
function kinds.hang(world, fault, request)
  local answer = ended(world, fault, request)
  rest(world, fault, 30)
  return answer
end

-- The whole head and a part of the body, at least one byte less, then the end.
function kinds.truncate(world, fault, request, process)
  local answer = process(world, request)
  local bytes, most = fault.bytes or math.floor(#answer.body / 2), #answer.body - 1
  return spoiled(world, answer, fault, request, reply.wire("cut", {
    bytes = math.max(0, math.min(bytes, most)),
  }))
end

-- A body (of blanks, then the answer: valid JSON, so that only its size is wrong).
function kinds.huge(world, fault, request, process)
  local answer = process(world, request)
  return spoiled(world, answer, fault, request, reply.wire("huge", {
    bytes = fault.bytes or 16 * 1024 * 1024,
    content_length = fault.content_length ~= false,
  }))
end

function kinds.huge_headers(world, fault, request, process)
  local answer = process(world, request)
  local bytes, each, headers = fault.bytes or 1024 * 1024, 8000, {}
  for n = 1, math.ceil(bytes / each) do
    headers[("x-huge-%d"):format(n)] = ("h"):rep(each)
  end
  answer = reply.with(answer, headers)
  answer.wire = { kind = "huge_headers", bytes = bytes }
  return sent(world, answer, fault, request)
end

-- Bytes that are not HTTP.
function kinds.garbage(world, fault, request)
  return ended(world, fault, request, reply.wire("garbage", {
    body = fault.body_base64 and base64.decode(fault.body_base64) or fault.body
      or "\0\1\2 this is no HTTP \255\254\r\n\r\n",
  }))
end

-- The request does not arrive: a failure of the wire, of the kind that error names.
function kinds.wire(world, fault, request)
  return ended(world, fault, request, reply.wire("error", {
    error = fault.error or "connect", message = fault.message,
  }))
end

local options = {
  kind = "string", times = "number", match = "table", seconds = "number",
  status = "number", shape = "string", message = "string", code = "number",
  store = "boolean", body = "string", body_base64 = "string", headers = "table",
  location = "string", bytes = "number", content_length = "boolean",
  retry_after = "string", endpoint = "string", skip = "number", hold = "boolean",
  error = "string",
}

local function names_of(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, " ")
end

local function check_options(fault)
  if not kinds[fault.kind] then return "kind must be one of " .. names_of(kinds) end
  for name, value in pairs(fault) do
    if not options[name] then
      return "unknown option of a fault: " .. tostring(name)
    elseif type(value) ~= options[name] then
      return ("%s must be a %s, got a %s"):format(name, options[name], type(value))
    end
  end
end

local function is_count(value, least)
  return value == nil or misuse.is_whole(value, least)
end

local function check_numbers(fault)
  if not is_count(fault.times, 1) then
    return "times must be a whole number from 1"
  elseif not is_count(fault.skip, 0) then
    return "skip must be a whole number from 0"
  elseif not is_count(fault.bytes, 0) then
    return "bytes must be a whole number from 0"
  elseif fault.status and not (is_count(fault.status, 100) and fault.status <= 999) then
    return "status must be a whole number from 100 to 999"
  elseif fault.seconds and not (fault.seconds >= 0 and fault.seconds < math.huge) then
    return "seconds must be a number of seconds"
  end
end

local function check_values(fault)
  if fault.endpoint and fault.endpoint ~= "api" and not endpoints[fault.endpoint] then
    return "endpoint must be one of " .. names_of(endpoints)
  elseif fault.shape and not reply.shape(fault.shape, 400, "") then
    return "shape must be one of A to H"
  elseif fault.body_base64 and not base64.decode(fault.body_base64) then
    return "body_base64 is not base64"
  end
end

-- Returns a message if a fault is wrong.
local function problem(world, fault)
  if type(fault) ~= "table" then return "a fault must be a table" end
  local wrong = check_options(fault) or check_numbers(fault) or check_values(fault)
  if not wrong and fault.kind == "wire" and not world.wire then
    wrong = "kind wire: a server cannot fail in this way"
  end
  return wrong
end

-- Orders a fault. Returns true, or nil and a message.
function faults.order(world, fault)
  local wrong = problem(world, fault)
  if wrong then return nil, wrong end
  table.insert(world.state.faults, record.copy(fault))
  return true
end

-- The faults that are not used up.
function faults.waiting(world)
  return json.array(record.copy(world.state.faults))
end

-- Drops them.
function faults.clear(world)
  world.state.faults = {}
end

-- The value of a request for a name of match: a header; ":method", ":path", ":account"
-- (the id of the account that it acts for), or "?page_number" for an argument of the
-- query.
local function found(world, request, name)
  if name == ":method" then return request.method end
  if name == ":path" then return request.path end
  if name == ":account" then
    local account = world.directory.by_id[request.headers["x-on-behalf-of"] or ""]
    return account and account.id
  end
  if name:sub(1, 1) == "?" then
    return (query.parse(request.query) or {})[name:sub(2)]
  end
  return request.headers[name:lower()]
end

local function fits(world, fault, request)
  local place = request.endpoint
  if fault.endpoint == "api" and place == "token" then return false end
  if fault.endpoint and fault.endpoint ~= "api" and fault.endpoint ~= place then
    return false
  end
  for name, value in pairs(fault.match or {}) do
    if found(world, request, name) ~= value then return false end
  end
  return true
end

-- Counts a request that fits a fault. Returns true if the fault applies, false if it
-- skips the request.
local function use(queue, n)
  local fault = queue[n]
  local skip = fault.skip or 0
  if skip > 0 then
    fault.skip = skip - 1
  else
    fault.times = (fault.times or 1) - 1
    if fault.times <= 0 then table.remove(queue, n) end
  end
  return skip <= 0
end

function faults.take(world, request)
  local queue = world.state.faults
  for n, fault in ipairs(queue) do
    if fits(world, fault, request) and use(queue, n) then return fault end
  end
end

function faults.run(world, fault, ...)
  return kinds[fault.kind](world, fault, ...)
end

return faults
