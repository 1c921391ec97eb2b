-- A model of copas 4, for Luas that have none installed: what its documentation says of
-- threads, sleeping, waiting for a socket, and the end of the loop. Uses LuaSocket.

local socket = require "socket"

local copas = { _VERSION = "Copas 4 (model)", running = false }

local ready, reading, sleeping, forever = {}, {}, {}, {}

-- What a thread yields with: anything else is a mistake.
local SLEEP, READ = {}, {}

function copas.pause(seconds)
  coroutine.yield(SLEEP, seconds or 0)
end

function copas.pauseforever()
  coroutine.yield(SLEEP, -1)
end

function copas.wakeup(co)
  for _, set in ipairs { forever, sleeping } do
    if set[co] then
      set[co] = nil
      ready[#ready + 1] = co
      return
    end
  end
end

-- Now and then copas pauses in between, for the sake of others; this does every time.
function copas.receive(client, pattern, part)
  while true do
    local text, err
    text, err, part = client:receive(pattern or "*l", part)
    copas.pause()
    if text or err ~= "timeout" then return text, err, part end
    coroutine.yield(READ, client)
  end
end

local function resume(co)
  local ok, what, value = coroutine.resume(co)
  if ok and what == SLEEP then
    if value < 0 then
      forever[co] = true
    elseif value == 0 then
      ready[#ready + 1] = co
    else
      sleeping[co] = socket.gettime() + value
    end
  elseif ok and what == READ then
    reading[#reading + 1] = value
    reading[value] = co
  elseif not ok or coroutine.status(co) ~= "dead" then
    print(tostring(ok and "coroutine.yield: user-code cannot yield to Copas" or what))
  end
end

-- A thread begins with the next step.
function copas.addthread(f, ...)
  local count, arguments = select("#", ...), { ... }
  local co = coroutine.create(function()
    copas.pause()
    return f((table.unpack or unpack)(arguments, 1, count))
  end)
  resume(co)
  return co
end

local function wait(timeout)
  local now = socket.gettime()
  for _, wake in pairs(sleeping) do
    if wake - now < timeout then timeout = wake - now end
  end
  if ready[1] or timeout < 0 then timeout = 0 end
  return (socket.select(reading, {}, timeout))
end

function copas.step(timeout)
  for _, client in ipairs(wait(timeout or 1)) do
    local co = reading[client]
    reading[client] = nil
    for n = #reading, 1, -1 do
      if reading[n] == client then table.remove(reading, n) end
    end
    resume(co)
  end
  local now = socket.gettime()
  for co, wake in pairs(sleeping) do
    if wake <= now then ready[#ready + 1] = co end
  end
  local list = ready
  ready = {}
  for _, co in ipairs(list) do
    sleeping[co] = nil
    resume(co)
  end
end

-- Threads that sleep forever are no reason to go on.
function copas.finished()
  return not (reading[1] or ready[1] or next(sleeping))
end

function copas.loop()
  copas.running = true
  repeat copas.step() until copas.finished()
  copas.running = false
end

return copas
