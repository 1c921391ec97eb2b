-- batch.lua: client:batch under an event loop, or with functions of the user. The batch
-- is in C; what may yield is here: waiting, and these functions.
-- SPDX-License-Identifier: MIT

local Hub = require "uqpay.hub"
local internal = require "uqpay.internal"

local running, yieldable = coroutine.running, internal.yieldable

-- An iterator over the results of a batch, and a value for `<close>` that cancels the
-- batch. hub: what it waits with; nil: it blocks. source: nil for a list; progress: may
-- be nil. iterate: the iterator in C, for the main thread without an event loop, where it
-- costs less.
return function(hub, batch, id, source, progress, iterate)
  local waiter = Hub.new_waiter()

  local function report()
    progress(internal.batch_info(batch))
  end

  -- taken: see Hub:wait. It is read before batch_next, in which a finalizer may run.
  local function handle(taken, what, ...)
    if what == "end" then
      return true, nil
    elseif what == "result" then
      waiter.taken = waiter.taken + 1
      if progress and not pcall(report) then internal.batch_hook_failed(batch) end
      return true, ...
    elseif what == "query" then
      internal.batch_query(batch, source())
    elseif not hub then
      internal.batch_wait(batch)
    else
      hub:expect(id, batch, waiter)
      hub:wait(waiter, taken)
      waiter[1] = nil
    end
    return false
  end

  local function next_result(done, ...)
    if done then return ... end
    if hub then hub:check(waiter) end -- first: batch_next would take what that waits for
    return next_result(handle(waiter.taken, internal.batch_next(batch)))
  end

  local function next_balance()
    local co, main = running()
    if hub or co and not main and yieldable() then return next_result(false) end
    return iterate()
  end

  return next_balance, setmetatable({}, {
    __close = function()
      internal.batch_close(batch)
      if hub then hub:unpark(waiter) end
    end,
  })
end
