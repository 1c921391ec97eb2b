-- uqpay.copas: uqpay for copas threads. `copas.loop()` of copas 1 never ends, whatever
-- runs in it: a program that has an end calls `copas.step()` until its threads are done.
-- SPDX-License-Identifier: MIT

local copas = require "copas"

local function nothing() end

-- Copas 2 and later can put a thread to sleep until it is woken. Before, a thread
-- yielded the queue that it was to be put in: that may be none, and whoever has the
-- thread can let it go on.
local sleep, wakeup = copas.pauseforever, copas.wakeup
if not wakeup then
  local none = { insert = nothing, push = nothing }
  sleep = function() coroutine.yield(true, none) end
  wakeup = copas.addthread
elseif not sleep then
  sleep = function() copas.sleep(-1) end
end

return require "uqpay.loop" {
  inside = function()
    local co, main = coroutine.running()
    return co ~= nil and not main
  end,

  spawn = function(f)
    copas.addthread(f)
  end,

  -- Copas waits for sockets alone, so this looks like one: copas.receive yields as long
  -- as it says "timeout", and LuaSocket's select asks it for a descriptor, and whether
  -- there is anything to read already.
  watch = function(fd)
    local stopped, asked = false, false
    local socket = {
      settimeout = nothing,
      close = nothing,
      getfd = function() return fd end,
      dirty = function() return stopped end,
      receive = function()
        if asked or stopped then return "" end
        asked = true
        return nil, "timeout"
      end,
    }
    return {
      wait = function()
        asked = false
        copas.receive(socket, 1)
      end,
      stop = function() stopped = true end,
    }
  end,

  park = function()
    sleep()
  end,

  wake = function(slot)
    wakeup(slot.thread)
  end,
}
