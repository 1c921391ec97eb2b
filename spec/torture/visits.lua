-- Many requests at once over HTTP/1.0 and HTTP/2, as browsers make them that are closed,
-- reset and reloaded. Tasks are coroutines; run() resumes them by select(2).
--
--   visits.spawn(f)               a task
--   visits.sleep(seconds)
--   visits.http1(port, plan)      one request, in a task
--   visits.http2(port, plans, cut)   a connection's; cut: seconds until it is closed
--   visits.run(tick)              until tick() returns true; it is called often
--
-- A plan has a path, and may have a moment (seconds after the request) when it is given
-- up: reset; over HTTP/1.0 the connection is closed. 0: in the same write. Its function
-- settle(plan, body, lost) is called once: lost is nil for a whole answer, "given up" or
-- how the answer was lost.

local socket = require "socket"

local visits = {}
local tasks = {} -- coroutine -> { socket =, at = }
local count = 0

visits.now = socket.gettime

local function resume(task, ...)
  tasks[task] = nil
  local ok, wait = coroutine.resume(task, ...)
  if not ok then error(debug.traceback(task, wait), 0) end
  if coroutine.status(task) == "dead" then count = count - 1 else tasks[task] = wait end
end

function visits.spawn(f)
  count = count + 1
  resume(coroutine.create(f))
end

function visits.count() return count end

-- True if the socket can be read before that moment.
local function wait_for(peer, at)
  return coroutine.yield { socket = peer, at = at }
end

function visits.sleep(seconds)
  coroutine.yield { at = visits.now() + seconds }
end

local function round(most)
  local now, list, by_socket, due = visits.now(), {}, {}, {}
  for task, wait in pairs(tasks) do
    if wait.at <= now then
      due[#due + 1] = task
    elseif wait.socket then
      list[#list + 1] = wait.socket
      by_socket[wait.socket] = task
    end
    most = math.min(most, wait.at - now)
  end
  local readable = socket.select(list, nil, math.max(most, 0))
  for _, peer in ipairs(readable) do resume(by_socket[peer], true) end
  for _, task in ipairs(due) do resume(task, false) end
end

function visits.run(tick)
  while not tick() do round(0.01) end
end

local function connect(port)
  local peer = assert(socket.connect("127.0.0.1", port))
  peer:settimeout(0)
  peer:setoption("tcp-nodelay", true)
  return peer
end

-- The bytes that have arrived; nil at the end of the connection.
local function receive(peer)
  local bytes, err, part = peer:receive(65536)
  bytes = bytes or part or ""
  if bytes ~= "" then return bytes end
  return err == "timeout" and "" or nil
end

-- ---------------------------------------------------------------------------------------
-- HTTP/1.0
-- ---------------------------------------------------------------------------------------

function visits.http1(port, plan)
  local peer, text = connect(port), ""
  plan.begun = visits.now()
  peer:send("GET " .. plan.path .. " HTTP/1.0\r\nHost: torture\r\n\r\n")
  local ends = plan.begun + (plan.give_up or plan.limit)
  local lost = plan.give_up and "given up" or "no end"
  while wait_for(peer, ends) do
    local bytes = receive(peer)
    if not bytes then lost = nil break end
    text = text .. bytes
  end
  peer:close()
  local body = text:match "\r\n\r\n(.*)$"
  if not lost and not (body and body:find "\n.*\n$") then lost = "closed" end
  plan:settle(body or "", lost)
end

-- ---------------------------------------------------------------------------------------
-- HTTP/2
-- ---------------------------------------------------------------------------------------

local DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
local END_STREAM, END_HEADERS, ACK = 1, 4, 1
local CANCEL = "\0\0\0\8"

local function number4(n)
  return string.char(math.floor(n / 16777216) % 256, math.floor(n / 65536) % 256,
    math.floor(n / 256) % 256, n % 256)
end

local function frame(kind, flags, stream, payload)
  return number4(#payload):sub(2) .. string.char(kind, flags) .. number4(stream)
    .. payload
end

-- :method GET, :scheme http, and literals for :path and :authority
local function request(stream, path)
  assert(#path < 127)
  return frame(HEADERS, END_STREAM + END_HEADERS, stream,
    "\130\134\4" .. string.char(#path) .. path .. "\1\1x")
end

local function read_number(text, at, length)
  local n = 0
  for i = at, at + length - 1 do n = n * 256 + text:byte(i) end
  return n
end

local Connection = {}
Connection.__index = Connection

function Connection:settle(stream, lost)
  local plan = self.streams[stream]
  if not plan then return end
  self.streams[stream], self.open = nil, self.open - 1
  plan:settle(plan.body, lost)
end

function Connection:settle_all(lost, above)
  for stream = 1, self.last, 2 do
    if stream > (above or 0) then self:settle(stream, lost) end
  end
end

-- Those that are not sent yet.
function Connection:settle_waiting(lost)
  while self.plans[1] do
    local plan = table.remove(self.plans, 1)
    plan.begun = visits.now()
    plan:settle("", lost)
  end
end

function Connection:take(kind, flags, stream, payload)
  local plan = self.streams[stream]
  if plan and kind == DATA then plan.body = plan.body .. payload end
  if (kind == DATA or kind == HEADERS) and flags % 2 == END_STREAM then
    self:settle(stream)
  elseif kind == RESET then
    self:settle(stream, "reset")
  elseif (kind == SETTINGS or kind == PING) and flags % 2 ~= ACK then
    self.peer:send(frame(kind, ACK, 0, kind == PING and payload or ""))
  elseif kind == GOAWAY then
    self:settle_all("refused", read_number(payload, 1, 4))
    self:settle_waiting "refused"
  end
end

function Connection:read(bytes)
  self.unread = self.unread .. bytes
  while #self.unread >= 9 do
    local length = read_number(self.unread, 1, 3)
    if #self.unread < 9 + length then return end
    local kind, flags = self.unread:byte(4, 5)
    local stream = read_number(self.unread, 6, 4)
    local payload = self.unread:sub(10, 9 + length)
    self.unread = self.unread:sub(10 + length)
    self:take(kind, flags, stream, payload)
  end
end

-- Begins what is due, gives up what is to be given up; returns when there is more to do.
function Connection:write()
  local now, bytes, next_at = visits.now(), {}, math.huge
  while self.plans[1] and self.plans[1].at <= now do
    local plan = table.remove(self.plans, 1)
    self.last = self.last + 2
    self.streams[self.last], self.open = plan, self.open + 1
    plan.begun, plan.body = now, ""
    bytes[#bytes + 1] = request(self.last, plan.path)
  end
  for stream = 1, self.last, 2 do
    local plan = self.streams[stream]
    local ends = plan and plan.begun + (plan.give_up or plan.limit)
    if plan and ends <= now then
      bytes[#bytes + 1] = frame(RESET, 0, stream, CANCEL)
      self:settle(stream, plan.give_up and "given up" or "no end")
    elseif plan then
      next_at = math.min(next_at, ends)
    end
  end
  if bytes[1] then self.peer:send(table.concat(bytes)) end
  return self.plans[1] and math.min(next_at, self.plans[1].at) or next_at
end

-- The plans' `at` are moments, ascending.
function visits.http2(port, plans, cut)
  local self = setmetatable({ peer = connect(port), streams = {}, open = 0, last = -1,
    plans = plans, unread = "" }, Connection)
  self.peer:send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" .. frame(SETTINGS, 0, 0, ""))
  local ends = cut and visits.now() + cut or math.huge
  local lost = "closed"
  repeat
    local next_at, bytes = math.min(self:write(), ends), ""
    if self.open == 0 and not plans[1] then break end
    if wait_for(self.peer, next_at) then bytes = receive(self.peer) end
    if bytes then self:read(bytes) end
    if visits.now() >= ends then lost = "given up" end
  until not bytes or lost == "given up"
  self:settle_all(lost)
  self:settle_waiting(lost)
  self.peer:close()
end

return visits
