-- uqpay.copas: uqpay for copas threads. `copas.loop()` of copas 1 never returns: a
-- program that ends calls `copas.step()` until its threads are done.
-- SPDX-License-Identifier: MIT

local copas = require "copas"

local function nothing() end

-- Copas 2 and later can suspend a thread until it is woken. A thread of copas 1 yields
-- the queue to be put in: with an empty one as here, only addthread resumes it.
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

  -- Copas waits for sockets only, so this imitates one: copas.receive yields while
  -- `receive` returns "timeout", and LuaSocket's select calls `getfd`, and `dirty`, which
  -- is true if there is something to read already.
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

  wake = function(waiter)
    wakeup(waiter.thread)
  end,
}
