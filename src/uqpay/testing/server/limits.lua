-- limits.lua: rate limits: so many requests in a window, then 429.
-- SPDX-License-Identifier: MIT

local reply = require "uqpay.testing.server.reply"

local limits = {}

-- Counts within a window of so many seconds. It begins with the first request, not with
-- the minute of the clock, so that tests do not depend on the time at which they run.
local function count(world, name, seconds)
  local now = world:now()
  local windows = world.state.windows
  local window = windows[name]
  if not window or window.ends <= now then window = { n = 0, ends = now + seconds } end
  window.n = window.n + 1
  windows[name] = window
  return window
end

-- Counts a request and returns the error answer if it is one too many. 0: no limit.
function limits.refusal(world, name, limit)
  if limit == 0 then return nil end
  local settings = world.state.settings
  local window = count(world, name, settings.rate_window)
  return window.n > limit and reply.too_many(world, settings.retry_after, window.ends,
    settings.rate_limit_shape) or nil
end

return limits
