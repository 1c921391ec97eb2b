-- uqpay.luv: uqpay for coroutines of programs that run in libuv's loop.
-- SPDX-License-Identifier: MIT

local uv = require "luv"

-- An error in a resumed coroutine is nobody's but the loop's: it goes where the errors of
-- all callbacks go.
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
      dead = function() return handle:is_closing() end, -- by uv.walk, for one
    }
  end,

  park = function()
    coroutine.yield()
  end,

  wake = function(slot)
    resume(slot.thread)
  end,
}
