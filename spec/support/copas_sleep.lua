-- A sleep for threads of copas 1, which knows none: what waits looks like a socket that
-- has something to be read when the time is over.

local copas = require "copas"
local socket = require "socket"

local function nothing() end

return function(seconds)
  local wake = socket.gettime() + seconds
  local function is_over() return socket.gettime() >= wake end
  copas.receive({
    close = nothing, settimeout = nothing, dirty = is_over,
    getfd = function() return is_over() and 0 or -1 end,
    receive = function()
      if is_over() then return "" end
      return nil, "timeout"
    end,
  }, 1)
end
