-- Faults on order. They wait in a queue; each request uses up one use of the first fault
-- that fits it. See spec/sandbox/sandbox.lua for how a spec orders one.

local cjson = require "cjson.safe"
local endpoints = require "endpoints"
local journal = require "journal"
local query = require "query"
local reply = require "reply"
local store = require "store"

local faults = {}

-- Each kind: function(fault, request, process), see api.lua for process. Kinds that need
-- no raw bytes work on HTTP/1.1 and HTTP/2 alike.
local kinds = {}

local function send(answer, fault, request)
  for name, value in pairs(fault.headers or {}) do
    answer.headers[name:lower()] = value
  end
  journal.answered(request, answer.status, fault)
  return reply.send(answer)
end

-- Sleeps for the fault's seconds; with hold, until POST /release or a reset, if one comes
-- before they are over.
local function rest(fault, seconds)
  seconds = fault.seconds or seconds
  if not fault.hold then return ngx.sleep(seconds) end
  local released = store.released()
  for _ = 1, seconds / 0.002 do
    if store.released() ~= released then return end
    ngx.sleep(0.002)
  end
end

-- The request is worked on for a while (its key is in progress), then answered.
function kinds.delay(fault, request, process)
  local answer = process(request, function(work)
    rest(fault, fault.hold and 30 or 1)
    return work(request)
  end)
  return send(answer, fault, request)
end

-- The API itself fails: where the endpoint would do its work there is this answer. It is
-- stored under the key (if there is one) like any other: a 5xx is not. With store = true
-- it is stored, whatever its status; with store = false the edge answers, and nothing is
-- checked or stored.
function kinds.status(fault, request, process)
  local status = fault.status or 500
  local shape = fault.shape or (status == 429 and "B" or "A")
  local made = reply.shape(shape, status, fault.message or "made to fail", fault.code)
  made.body = fault.body or made.body
  made.stored = fault.store
  if fault.store == false then return send(made, fault, request) end
  return send(process(request, function() return made end), fault, request)
end

-- Exactly these bytes, from the edge.
function kinds.answer(fault, request)
  return send({
    status = fault.status or 200,
    body = fault.body_base64 and ngx.decode_base64(fault.body_base64) or fault.body,
    headers = { ["content-type"] = "application/json" },
  }, fault, request)
end

-- Answers from the edge that have a name of their own.
function kinds.processing(fault, request)
  return send(reply.processing(), fault, request)
end

function kinds.rate_limit(fault, request)
  local settings = store.settings()
  return send(reply.too_many(fault.retry_after or settings.retry_after,
    ngx.now() + settings.rate_window, fault.shape or settings.rate_limit_shape), fault,
    request)
end

function kinds.html(fault, request)
  return send(reply.shape("F", fault.status or 502, "Bad Gateway"), fault, request)
end

function kinds.empty(fault, request)
  return send({ status = fault.status or 200, body = "", headers = {} }, fault, request)
end

function kinds.redirect(fault, request)
  local location = fault.location or "https://127.0.0.1:" .. ngx.var.other_port
    .. ngx.var.request_uri
  return send({
    status = fault.status or 307, headers = { location = location }, body = "",
  }, fault, request)
end

-- The connection ends, before the request was looked at ...
function kinds.drop_before(fault, request)
  journal.answered(request, nil, fault)
  return reply.close()
end

-- ... or after it was done: the answer is stored under the key but not sent.
function kinds.drop_after(fault, request, process)
  process(request)
  journal.answered(request, nil, fault)
  return reply.close()
end

-- The request is taken and nothing happens; in the end the connection is closed.
function kinds.hang(fault, request)
  journal.answered(request, nil, fault)
  rest(fault, 30)
  return reply.close()
end

-- The whole head and a part of the body, then the end.
function kinds.truncate(fault, request, process)
  local answer = process(request)
  local body = answer.body
  journal.answered(request, answer.status, fault)
  reply.head(answer)
  ngx.header["content-length"] = #body
  ngx.print(body:sub(1, fault.bytes or math.floor(#body / 2)))
  ngx.flush(true)
  return ngx.exit(ngx.ERROR)
end

-- A body (of blanks, then the answer: valid JSON, so that only its size is wrong).
function kinds.huge(fault, request, process)
  local answer = process(request)
  local left = (fault.bytes or 16 * 1024 * 1024) - #answer.body
  journal.answered(request, answer.status, fault)
  reply.head(answer)
  if fault.content_length ~= false then
    ngx.header["content-length"] = left + #answer.body
  end
  local blanks = (" "):rep(16384)
  while left > 0 do
    if not ngx.print(left < #blanks and blanks:sub(1, left) or blanks)
      or not ngx.flush(true) then return ngx.exit(ngx.ERROR) end
    left = left - #blanks
  end
  ngx.print(answer.body)
end

function kinds.huge_headers(fault, request, process)
  local answer = process(request)
  local bytes, each = fault.bytes or 1024 * 1024, 8000
  for n = 1, math.ceil(bytes / each) do
    answer.headers["x-huge-" .. n] = ("h"):rep(each)
  end
  return send(answer, fault, request)
end

-- Bytes that are no HTTP. HTTP/2 has no place for them: there the stream is reset.
function kinds.garbage(fault, request)
  journal.answered(request, nil, fault)
  if ngx.req.http_version() == 2 then return reply.close() end
  local socket = assert(ngx.req.socket(true))
  socket:send(fault.body_base64 and ngx.decode_base64(fault.body_base64)
    or fault.body or "\0\1\2 this is no HTTP \255\254\r\n\r\n")
  return reply.close()
end

local options = {
  kind = "string", times = "number", match = "table", seconds = "number",
  status = "number", shape = "string", message = "string", code = "number",
  store = "boolean", body = "string", body_base64 = "string", headers = "table",
  location = "string", bytes = "number", content_length = "boolean",
  retry_after = "string", endpoint = "string", skip = "number", hold = "boolean",
}

local function names_of(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, " ")
end

local function check(fault)
  if not kinds[fault.kind] then
    return nil, "kind must be one of " .. names_of(kinds)
  end
  for name, value in pairs(fault) do
    if not options[name] then return nil, "unknown option of a fault: " .. name end
    if type(value) ~= options[name] then
      return nil, name .. " must be a " .. options[name]
    end
  end
  if fault.endpoint and not endpoints[fault.endpoint] then
    return nil, "endpoint must be one of " .. names_of(endpoints)
  end
  if fault.shape and not reply.shape(fault.shape, 400, "") then
    return nil, "shape must be one of A to H"
  end
  if fault.body_base64 and not ngx.decode_base64(fault.body_base64) then
    return nil, "body_base64 is not base64"
  end
  return true
end

function faults.order(fault)
  local ok, err = check(fault)
  if not ok then return nil, err end
  local queue = store.get "faults" or {}
  queue[#queue + 1] = fault
  store.set("faults", queue)
  return true
end

function faults.waiting()
  local queue = store.get "faults" or {}
  return #queue == 0 and "[]" or cjson.encode(queue)
end

-- The value of a request for a name of match: a header; ":method", ":path", or
-- "?page_number" for an argument of the query.
local function found(request, name)
  if name == ":method" then return request.method end
  if name == ":path" then return request.path end
  if name:sub(1, 1) == "?" then
    return (query.parse(request.query) or {})[name:sub(2)]
  end
  return request.headers[name:lower()]
end

local function fits(fault, request)
  if fault.endpoint and fault.endpoint ~= request.endpoint then return false end
  for name, value in pairs(fault.match or {}) do
    if found(request, name) ~= value then return false end
  end
  return true
end

-- Takes one use of a fault, or of what it skips. Returns whether it strikes.
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

function faults.take(request)
  local queue = store.get "faults"
  for n, fault in ipairs(queue or {}) do
    if fits(fault, request) then
      local strikes = use(queue, n)
      store.set("faults", queue)
      if strikes then return fault end
    end
  end
end

function faults.run(fault, ...)
  return kinds[fault.kind](fault, ...)
end

return faults
