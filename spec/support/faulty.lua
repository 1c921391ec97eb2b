-- faulty.lua [LIFE]: TCP servers that behave badly on purpose, below the level of HTTP.
--
-- Orders come as lines of standard input, in JSON; each gets one line of standard output.
-- { open = { behaviours = list } } makes a server on a port of its own: one behaviour per
-- accepted connection, the last one repeating. The answer has its number n: { go = n }
-- ends a hold, { requests = n } returns the bytes received, { close = n } ends it. With
-- tls = { certificate = file, key = file, alpn = { "h2" } } there is a handshake first. A
-- behaviour is a step or a list of steps; a step does what it names, in this order:
--
--   wait = seconds     do nothing
--   hold = true        wait for a `go`; each `go` ends one hold
--   read = true        read one HTTP request; a number: read so many bytes; "h2": read
--                      one request of HTTP/2, up to the frame that ends its stream
--   send = text        write; a list: write its items
--   chunk = bytes      write text in pieces of this size
--   pause = seconds    wait between items or pieces
--
-- and the last step ends the connection in one of these ways (close is the default):
--
--   close = true       close; TLS ends with close_notify
--   cut = true         close without close_notify; reset and half_close send none, too
--   reset = true       reset (RST)
--   half_close = true  close the sending side, keep reading
--   keep = true        stay silent, keep reading
--
-- It ends when its standard input does, by SIGTERM, or after LIFE seconds (an hour): a
-- spec that dies leaves nothing behind.

local cjson = require "cjson"
local socket = require "socket"
local ssl = require "ssl"

local deadline = socket.gettime() + (tonumber(arg[1]) or 3600)

local servers = {}          -- number -> server
local opened = 0
local connections = {}      -- coroutine -> connection
local detached = {}         -- TLS sockets that no longer own their descriptors, which the
                            -- collector would close

-- A connection is a coroutine. It yields what it waits for: "r" or "w" (of its socket),
-- a time, or "go".

local function pause(seconds)
  if seconds then coroutine.yield(socket.gettime() + seconds) end
end

local function hold(server)
  while server.releases == 0 do coroutine.yield "go" end
  server.releases = server.releases - 1
end

-- True if an operation that returned this error can be resumed later. After any other one
-- the client counts as `gone` and its socket may only be closed: after some errors of
-- OpenSSL, for which LuaSec returns nil, a further send or receive never returns.
local function is_resumable(err)
  return err == "wantread" or err == "wantwrite" or err == "timeout"
end

-- Waits until an operation that returned this error can be resumed. False: it cannot be.
local function wait_for(err, direction)
  if not is_resumable(err) then return false end
  if err == "wantread" then direction = "r"
  elseif err == "wantwrite" then direction = "w" end
  coroutine.yield(direction)
  return true
end

-- The next bytes, recorded; nil when the client is gone.
local function receive(connection)
  while not connection.gone do
    local bytes, err, part = connection.socket:receive(65536)
    connection.gone = not bytes and not is_resumable(err)
    bytes = bytes or part
    if bytes ~= "" then
      connection.got[#connection.got + 1] = bytes
      return bytes
    end
    if not connection.gone then wait_for(err, "r") end
  end
end

-- The size of the request that text begins with; nil while its headers are incomplete.
local function request_size(text)
  local _, head = text:find("\r\n\r\n", 1, true)
  if not head then return nil end
  local length = text:sub(1, head):lower():match "\r\ncontent%-length:%s*(%d+)"
  return head + (tonumber(length) or 0)
end

-- The same over HTTP/2, with the connection preface ("PRI ...") if there is one.
local function h2_request_size(text)
  local at = text:sub(1, 3) == "PRI" and 25 or 1
  while #text >= at + 8 do
    local a, b, c, kind, flags = text:byte(at, at + 4)
    at = at + 9 + a * 65536 + b * 256 + c
    if #text < at - 1 then return nil end
    if kind <= 1 and flags % 2 == 1 then return at - 1 end    -- END_STREAM
  end
end

local function read(connection, what)
  while true do
    local size = type(what) == "number" and what
      or (what == "h2" and h2_request_size or request_size)(connection.unread)
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
  while sent < #bytes and not connection.gone do
    local last, err, partial = connection.socket:send(bytes, sent + 1)
    sent = last or partial
    connection.gone = not last and not wait_for(err, "w")
  end
  return not connection.gone
end

local function pieces(step)
  if type(step.send) == "table" then return step.send end
  local list = {}
  local size = math.max(step.chunk or #step.send, 1)
  for at = 1, #step.send, size do list[#list + 1] = step.send:sub(at, at + size - 1) end
  return list
end

-- False: the client is gone.
local function run_step(connection, step)
  pause(step.wait)
  if step.hold then hold(connection.server) end
  if step.read and not read(connection, step.read) then return false end
  if step.send then
    for n, bytes in ipairs(pieces(step)) do
      if n > 1 then pause(step.pause) end
      if not write(connection, bytes) then return false end
    end
  end
  return true
end

-- False: the handshake failed.
local function shake_hands(connection)
  local tls = connection.server.tls
  if not tls then return true end
  local wrapped = assert(ssl.wrap(connection.socket, tls))
  wrapped:settimeout(0)
  connection.socket = wrapped
  while true do
    local ok, err = wrapped:dohandshake()
    if ok then return true end
    if not wait_for(err, "r") then return false end
  end
end

-- Leaves TLS, if there is any, without close_notify; the TCP connection stays.
local function unwrap(connection)
  if connection.socket == connection.bare then return end
  connection.bare:setfd(connection.socket:getfd())
  detached[#detached + 1] = connection.socket
  connection.socket = connection.bare
end

local function end_connection(connection, step)
  if step.keep then
    repeat local bytes = receive(connection) until not bytes
  end
  if step.cut or step.reset or step.half_close then unwrap(connection) end
  if step.half_close then
    connection.socket:shutdown "send"
    repeat local bytes = receive(connection) until not bytes
  elseif step.reset then
    connection.socket:setoption("linger", { on = true, timeout = 0 })
  end
end

local function behave(connection, behaviour)
  local steps = behaviour[1] and behaviour or { behaviour }
  local going = shake_hands(connection)
  for _, step in ipairs(steps) do
    going = going and run_step(connection, step)
  end
  end_connection(connection, steps[#steps])
  connection.socket:close()
end

-- ---------------------------------------------------------------------------------------

local input = { getfd = function() return 0 end, dirty = function() return false end }

local function resume(thread)
  local connection = connections[thread]
  local ok, wanted = coroutine.resume(thread, connection, connection.behaviour)
  if not ok then error(wanted) end
  connection.wants = wanted
  if coroutine.status(thread) == "dead" then connections[thread] = nil end
end

local function accept(server)
  local client = server.listener:accept()
  if not client then return false end
  client:settimeout(0)
  client:setoption("tcp-nodelay", true)
  local n = #server.got + 1
  local thread = coroutine.create(behave)
  server.got[n] = {}
  connections[thread] = {
    socket = client, bare = client, unread = "", server = server, got = server.got[n],
    behaviour = server.behaviours[math.min(n, #server.behaviours)],
  }
  resume(thread)
  return true
end

local orders = {}

local function context(tls)
  return assert(ssl.newcontext {
    mode = "server", protocol = "any", options = { "all", "no_sslv3" },
    certificate = tls.certificate, key = tls.key, alpn = tls.alpn,
  })
end

function orders.open(order)
  local listener = assert(socket.bind("127.0.0.1", 0, 128))
  listener:settimeout(0)
  local _, port = listener:getsockname()
  opened = opened + 1
  servers[opened] = {
    listener = listener, behaviours = order.behaviours, got = {}, releases = 0,
    tls = order.tls and context(order.tls),
  }
  return { server = opened, port = tonumber(port) }
end

function orders.go(n)
  servers[n].releases = servers[n].releases + 1
  return {}
end

-- The bytes of each accepted connection so far.
function orders.requests(n)
  local list = {}
  for at, parts in ipairs(servers[n].got) do list[at] = table.concat(parts) end
  return { requests = #list > 0 and list or nil }
end

function orders.close(n)
  servers[n].listener:close()
  for thread, connection in pairs(connections) do
    if connection.server == servers[n] then
      connection.socket:close()
      connections[thread] = nil
    end
  end
  servers[n] = nil
  return {}
end

local function obey(line)
  local name, argument = next(cjson.decode(line))
  io.write(cjson.encode(orders[name](argument)), "\n")
  io.flush()
end

local function ready()
  local readers, writers, wake = { input }, {}, deadline
  for _, server in pairs(servers) do readers[#readers + 1] = server.listener end
  for _, connection in pairs(connections) do
    local wants = connection.wants
    if wants == "r" then readers[#readers + 1] = connection.socket
    elseif wants == "w" then writers[#writers + 1] = connection.socket
    elseif wants == "go" then wake = connection.server.releases > 0 and 0 or wake
    else wake = math.min(wake, wants) end
  end
  return socket.select(readers, writers, math.max(0, wake - socket.gettime()))
end

local function is_due(connection, readable, writable)
  local wants = connection.wants
  if wants == "go" then return connection.server.releases > 0 end
  return readable[connection.socket] or writable[connection.socket]
    or type(wants) == "number" and wants <= socket.gettime()
end

while socket.gettime() < deadline do
  local readable, writable = ready()
  for _, server in pairs(servers) do
    if readable[server.listener] then repeat until not accept(server) end
  end
  local due = {}
  for thread, connection in pairs(connections) do
    if is_due(connection, readable, writable) then due[#due + 1] = thread end
  end
  for _, thread in ipairs(due) do resume(thread) end
  if readable[input] then
    local line = io.read "*l"
    if not line then break end
    obey(line)
  end
end
