-- batch.lua: client:batch under an event loop. The batch is in C; what may yield is here:
-- waiting, and a source function that yields itself.
-- SPDX-License-Identifier: MIT

local Hub = require "uqpay.hub"
local internal = require "uqpay.internal"

-- An iterator over the results of a batch, which waits with the hub, and a value for
-- `<close>` that cancels the batch. source: nil for a list.
return function(hub, batch, id, source)
  local waiter = Hub.new_waiter()

  -- taken: see Hub:wait. It is read before batch_next, in which a finalizer may run.
  local function handle(taken, what, ...)
    if what == "end" then
      return true, nil
    elseif what == "result" then
      waiter.taken = waiter.taken + 1
      return true, ...
    elseif what == "query" then
      internal.batch_query(batch, source())
    else
      hub:expect(id, batch, waiter)
      hub:wait(waiter, taken)
      waiter[1] = nil
    end
    return false
  end

  local function next_result(done, ...)
    if done then return ... end
    hub:check(waiter) -- first: batch_next would take what that coroutine waits for
    return next_result(handle(waiter.taken, internal.batch_next(batch)))
  end

  return function() return next_result(false) end, setmetatable({}, {
    __close = function()
      internal.batch_close(batch)
      hub:unpark(waiter)
    end,
  })
end
