-- ping.lua PORT SECONDS: asks for /ping every 5 ms, whatever became of those before, and
-- prints their number, the median, the 99th percentile and the slowest, in ms. A time is
-- taken from the moment when the request should have gone: a stall hides nothing.

local socket = require "socket"

local port, seconds = tonumber(arg[1]), tonumber(arg[2])
local EVERY = 0.005
local times = {}
local start = socket.gettime()

for n = 0, math.floor(seconds / EVERY) do
  local due = start + n * EVERY
  local early = due - socket.gettime()
  if early > 0 then socket.sleep(early) end
  local peer = assert(socket.connect("127.0.0.1", port))
  peer:settimeout(30)
  peer:send "GET /ping HTTP/1.0\r\n\r\n"
  local text = peer:receive "*a"
  peer:close()
  if not text or not text:find "pong" then error "no pong" end
  times[#times + 1] = (socket.gettime() - due) * 1000
end

table.sort(times)
local function at(share) return times[math.max(1, math.ceil(#times * share))] end
print(("%d %.2f %.2f %.2f"):format(#times, at(0.5), at(0.99), times[#times]))
