-- uqpay.cqueues: uqpay for programs that run in a cqueues controller.
-- SPDX-License-Identifier: MIT

local condition = require "cqueues.condition"
local cqueues = require "cqueues"

return require "uqpay.loop" {
  inside = function()
    return (cqueues.running())
  end,

  spawn = function(f)
    cqueues.running():wrap(f)
  end,

  watch = function(fd)
    local readable = { pollfd = fd, events = "r" }
    return {
      wait = function() cqueues.poll(readable) end,
      stop = function() cqueues.cancel(fd) end,
    }
  end,

  park = function(waiter)
    waiter.condition = waiter.condition or condition.new()
    waiter.condition:wait()
  end,

  wake = function(waiter)
    waiter.condition:signal()
  end,
}
