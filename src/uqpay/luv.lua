-- uqpay.luv: uqpay for coroutines of programs that run in libuv's loop.
-- SPDX-License-Identifier: MIT

local uv = require "luv"

-- Resumes a coroutine. An error in it is raised in a callback of the loop, as errors of
-- callbacks are, and not in the coroutine that has called this.
local function resume(co)
  local ok, err = coroutine.resume(co)
  if ok then return end
  local timer = assert(uv.new_timer())
  timer:start(0, 0, function()
    timer:close()
    error(debug.traceback(co, tostring(err)), 0)
  end)
end

return require "uqpay.loop" {
  inside = function()
    local co, main = coroutine.running()
    return co ~= nil and not main
  end,

  spawn = function(f)
    resume(coroutine.create(f))
  end,

  watch = function(fd)
    local handle = assert(uv.new_poll(fd))
    local driver
    handle:start("r", function()
      if driver then resume(driver) end
    end)
    return {
      wait = function()
        driver = coroutine.running()
        coroutine.yield()
        driver = nil
      end,
      stop = function()
        if not handle:is_closing() then handle:close() end
      end,
      dead = function() return handle:is_closing() end, -- by uv.walk, say
    }
  end,

  park = function()
    coroutine.yield()
  end,

  wake = function(waiter)
    resume(waiter.thread)
  end,
}
