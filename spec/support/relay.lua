-- relay.lua PORT: a TCP relay to a server on this machine, which can be told to misbehave
-- in the middle of what passes through it. A client that begins with CONNECT, as if the
-- relay were an HTTP proxy, is taken where it wants to go.
--
-- It listens on two ports, which it prints: one to relay, one for orders. An order is a
-- line, and so is its answer, the number of connections that it concerned:
--
--   count     nothing; so many are open
--   total     nothing; so many were opened
--   cut       resets them all
--   close     closes them all
--   freeze    passes no byte on these any more, nor on later ones; they stay open
--   strand    the same, but not on later ones
--   swallow   reads what comes over these, and passes none of it on; not on later ones
--   thaw      ends both
--   PORT      takes later connections to this port instead
--
-- It ends when its standard input does, or after a minute.

local socket = require "socket"

local port = assert(tonumber(arg[1]), "usage: relay.lua PORT")
local deadline = socket.gettime() + 60

local relay = assert(socket.bind("127.0.0.1", 0, 1024))
local control = assert(socket.bind("127.0.0.1", 0))
local input = { getfd = function() return 0 end, dirty = function() return false end }

local sides = {}      -- socket -> { socket, other side, unsent, frozen, swallows }
local open, total = 0, 0
local frozen = false

local function listen(s)
  s:settimeout(0)
  return select(2, s:getsockname())
end

local function end_pair(side, reset)
  for _, one in ipairs { side, side.other } do
    if reset then one.socket:setoption("linger", { on = true, timeout = 0 }) end
    one.socket:close()
    sides[one.socket] = nil
  end
  open = open - 1
end

local function flush(side)
  while side.unsent ~= "" do
    local last, err, partial = side.socket:send(side.unsent)
    side.unsent = side.unsent:sub((last or partial) + 1)
    if not last then return err == "timeout" end
  end
  return true
end

-- The head of a request to a proxy; nil: no request.
local function read_connect(client)
  client:settimeout(1)
  local first = client:receive(1)
  if first ~= "C" then return first end
  local line = client:receive "*l"
  local wanted = line and line:match "^ONNECT [^:]+:(%d+) "
  repeat line = client:receive "*l" until not line or line == ""
  client:send "HTTP/1.1 200 Connection established\r\n\r\n"
  return "", wanted
end

local function connect(client)
  local first, wanted = read_connect(client)
  local server = first and socket.connect("127.0.0.1", wanted or port)
  if not server then return client:close() end
  local a = { socket = client, unsent = "", frozen = frozen }
  local b = { socket = server, unsent = first, frozen = frozen }
  a.other, b.other = b, a
  for _, side in ipairs { a, b } do
    side.socket:settimeout(0)
    side.socket:setoption("tcp-nodelay", true)
    sides[side.socket] = side
  end
  open, total = open + 1, total + 1
end

local function pass_on(side)
  local bytes, err, partial = side.socket:receive(65536)
  bytes = side.swallows and "" or bytes or partial
  side.other.unsent = side.other.unsent .. bytes
  if not flush(side.other) or err == "closed" then end_pair(side) end
end

local function each_pair(what)
  local count = open
  local seen = {}
  for _, side in pairs(sides) do
    if not seen[side.other] then seen[side] = true end
  end
  for side in pairs(seen) do what(side) end
  return count
end

local function set_frozen(value)
  return function(side) side.frozen, side.other.frozen = value, value end
end

local orders = {
  count = function() return open end,
  total = function() return total end,
  cut = function() return each_pair(function(side) end_pair(side, true) end) end,
  close = function() return each_pair(end_pair) end,
  strand = function() return each_pair(set_frozen(true)) end,
  swallow = function()
    return each_pair(function(side) side.swallows, side.other.swallows = true, true end)
  end,
  freeze = function()
    frozen = true
    return each_pair(set_frozen(true))
  end,
  thaw = function()
    frozen = false
    return each_pair(set_frozen(false))
  end,
}

local function obey(client)
  client:settimeout(1)
  local order = client:receive "*l"
  if orders[order] then
    client:send(orders[order]() .. "\n")
  else
    port = assert(tonumber(order), order)
    client:send(open .. "\n")
  end
  client:close()
end

io.write(listen(relay), " ", listen(control), "\n")
io.flush()
while socket.gettime() < deadline do
  local readers, writers = { relay, control, input }, {}
  for s, side in pairs(sides) do
    if not side.frozen then
      readers[#readers + 1] = s
      if side.unsent ~= "" then writers[#writers + 1] = s end
    end
  end
  local readable, writable = socket.select(readers, writers, 1)
  if readable[input] then break end
  if readable[control] then obey(control:accept()) end
  if readable[relay] then
    local client = relay:accept()
    if client then connect(client) end
  end
  for _, s in ipairs(writable) do
    if sides[s] and not flush(sides[s]) then end_pair(sides[s]) end
  end
  for _, s in ipairs(readable) do
    if sides[s] and not sides[s].frozen then pass_on(sides[s]) end
  end
end
