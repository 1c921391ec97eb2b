-- Rate limits: so many requests in a window, then 429.

local reply = require "reply"
local store = require "store"

local limits = {}

-- Counts a request and returns the error answer if it is one too many. 0: no limit.
function limits.refusal(name, limit, settings)
  if limit == 0 then return nil end
  local count, ends = store.count("rate " .. name, settings.rate_window)
  return count > limit and reply.too_many(settings.retry_after, ends,
    settings.rate_limit_shape) or nil
end

return limits
