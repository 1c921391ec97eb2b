-- uqpay.copas: uqpay for copas threads. Copas waits for sockets alone, so what is waited
-- for here looks like one: copas.receive yields as long as it says "timeout", and
-- LuaSocket's select asks it for a descriptor and whether it need not wait.
-- SPDX-License-Identifier: MIT

local copas = require "copas"

local function nothing() end

local function wait_for(waitable)
  waitable.close, waitable.settimeout = nothing, nothing -- what a socket must have
  copas.receive(waitable, 1)
end

return require "uqpay.loop" {
  inside = function()
    local co, main = coroutine.running()
    return co ~= nil and not main
  end,

  spawn = function(f)
    copas.addthread(f)
  end,

  watch = function(fd)
    local stopped, asked = false, false
    local socket = {
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
        wait_for(socket)
      end,
      stop = function() stopped = true end,
    }
  end,

  park = function(slot)
    slot.woken = false
    wait_for { -- select never waits for the descriptor of one that is dirty
      getfd = function() return slot.woken and 0 or -1 end,
      dirty = function() return slot.woken end,
      receive = function()
        if slot.woken then return "" end
        return nil, "timeout"
      end,
    }
  end,

  wake = function(slot)
    slot.woken = true
  end,
}
