-- batch.lua: client:batch under an event loop. All but the waiting, and a source that may
-- yield, is in C.
-- SPDX-License-Identifier: MIT

local Hub = require "uqpay.hub"
local internal = require "uqpay.internal"

-- An iterator of the batch, whose id is `id`, that waits with the hub, and what closes it.
-- source: nil for a list.
return function(hub, batch, id, source)
  local slot = Hub.slot()

  local function take(what, ...)
    if what == "result" then return true, ... end
    if what == "end" then return true, nil end
    if what == "query" then
      internal.batch_query(batch, source())
    else
      hub:check(slot)
      hub:expect(id, batch, slot)
      hub:wait(slot, slot.over)
      slot[1] = nil
    end
    return false
  end

  local function next_result(done, ...)
    if done then return ... end
    return next_result(take(internal.batch_next(batch)))
  end

  return function() return next_result(false) end, setmetatable({}, {
    __close = function()
      internal.batch_close(batch)
      hub:leave(slot)
    end,
  })
end
