-- faulty.lua DIR: a TCP server that behaves badly on purpose, below the level of HTTP.
--
-- Its script is the first line of standard input, as JSON: { life = seconds,
-- behaviours = { ... } }, one behaviour per accepted connection, the last one repeating.
-- A behaviour is a step or a list of steps; a step does what it names, in this order:
--
--   wait = seconds     do nothing
--   read = true        read one HTTP request; a number: read so many bytes
--   send = text        write; a list: write its items
--   chunk = bytes      write text in pieces of this size
--   pause = seconds    wait between items or pieces
--
-- and the last step ends the connection in one of these ways (close is the default):
--
--   close = true       close
--   reset = true       reset (RST)
--   half_close = true  end our side, listen on
--   keep = true        stay silent, listen on
--
-- When it listens, its port is in DIR/port. Connection n's bytes are in DIR/n. It ends
-- when its standard input does, or after life seconds,
-- and takes DIR along: a spec that dies leaves nothing behind.

local cjson = require "cjson"
local socket = require "socket"

local dir = assert(arg[1], "usage: faulty.lua DIR")
local script = cjson.decode((assert(io.read "*l", "no script")))
local deadline = socket.gettime() + (script.life or 60)

local function record(n, bytes)
  local file = assert(io.open(dir .. "/" .. n, "ab"))
  file:write(bytes)
  file:close()
end

-- A connection is a coroutine. It yields what it waits for: "r" or "w" (of its socket),
-- or a time.

local function pause(seconds)
  if seconds then coroutine.yield(socket.gettime() + seconds) end
end

-- The next bytes, recorded; nil when the client is gone.
local function receive(connection)
  while true do
    local bytes, err, part = connection.socket:receive(65536)
    bytes = bytes or part
    if bytes ~= "" then
      record(connection.n, bytes)
      return bytes
    end
    if err ~= "timeout" then return nil end
    coroutine.yield "r"
  end
end

-- How many bytes the request at the head of text has, or nil while its head is not whole.
local function request_size(text)
  local _, head = text:find("\r\n\r\n", 1, true)
  if not head then return nil end
  local length = text:sub(1, head):lower():match "\r\ncontent%-length:%s*(%d+)"
  return head + (tonumber(length) or 0)
end

local function read(connection, what)
  while true do
    local size = type(what) == "number" and what or request_size(connection.unread)
    if size and #connection.unread >= size then
      connection.unread = connection.unread:sub(size + 1)
      return true
    end
    local bytes = receive(connection)
    if not bytes then return false end
    connection.unread = connection.unread .. bytes
  end
end

local function write(connection, bytes)
  local sent = 0
  while sent < #bytes do
    local last, err, partial = connection.socket:send(bytes, sent + 1)
    sent = last or partial
    if not last then
      if err ~= "timeout" then return false end
      coroutine.yield "w"
    end
  end
  return true
end

local function pieces(step)
  if type(step.send) == "table" then return step.send end
  local list = {}
  local size = math.max(step.chunk or #step.send, 1)
  for at = 1, #step.send, size do list[#list + 1] = step.send:sub(at, at + size - 1) end
  return list
end

-- False when the client went away in the middle of it.
local function take(connection, step)
  pause(step.wait)
  if step.read and not read(connection, step.read) then return false end
  if step.send then
    for n, bytes in ipairs(pieces(step)) do
      if n > 1 then pause(step.pause) end
      if not write(connection, bytes) then return false end
    end
  end
  return true
end

local function finish(connection, step)
  if step.half_close then connection.socket:shutdown "send" end
  if step.half_close or step.keep then
    repeat local bytes = receive(connection) until not bytes
  elseif step.reset then
    connection.socket:setoption("linger", { on = true, timeout = 0 })
  end
end

local function behave(connection, behaviour)
  local steps = behaviour[1] and behaviour or { behaviour }
  for _, step in ipairs(steps) do
    if not take(connection, step) then break end
  end
  finish(connection, steps[#steps])
  connection.socket:close()
end

local listener = assert(socket.bind("127.0.0.1", 0, 128))
listener:settimeout(0)
local input = { getfd = function() return 0 end, dirty = function() return false end }

local connections = {}      -- coroutine -> connection
local accepted = 0

local function resume(thread)
  local connection = connections[thread]
  local ok, wanted = coroutine.resume(thread, connection, connection.behaviour)
  if not ok then error(wanted) end
  connection.wants = wanted
  if coroutine.status(thread) == "dead" then connections[thread] = nil end
end

local function accept()
  local client = listener:accept()
  if not client then return end
  client:settimeout(0)
  client:setoption("tcp-nodelay", true)
  accepted = accepted + 1
  record(accepted, "")
  local behaviours = script.behaviours
  local thread = coroutine.create(behave)
  connections[thread] = {
    socket = client, n = accepted, unread = "",
    behaviour = behaviours[math.min(accepted, #behaviours)],
  }
  resume(thread)
end

local function ready()
  local readers, writers, wake = { listener, input }, {}, deadline
  for _, connection in pairs(connections) do
    local wants = connection.wants
    if wants == "r" then readers[#readers + 1] = connection.socket
    elseif wants == "w" then writers[#writers + 1] = connection.socket
    else wake = math.min(wake, wants) end
  end
  return socket.select(readers, writers, math.max(0, wake - socket.gettime()))
end

local function publish()
  local _, port = listener:getsockname()
  local file = assert(io.open(dir .. "/port.new", "w"))
  file:write(port, "\n")
  file:close()
  assert(os.rename(dir .. "/port.new", dir .. "/port"))
end

local function clean()
  for n = 1, accepted do os.remove(dir .. "/" .. n) end
  for _, name in ipairs { "port", "pid", "log" } do os.remove(dir .. "/" .. name) end
  os.remove(dir)
end

publish()
while socket.gettime() < deadline do
  local readable, writable = ready()
  if readable[input] then break end       -- the end of our input is all that comes here
  if readable[listener] then accept() end
  local now, due = socket.gettime(), {}
  for thread, connection in pairs(connections) do
    local wants = connection.wants
    if readable[connection.socket] or writable[connection.socket]
      or type(wants) == "number" and wants <= now then
      due[#due + 1] = thread
    end
  end
  for _, thread in ipairs(due) do resume(thread) end
end
clean()
