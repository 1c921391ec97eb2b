-- clock.lua: a clock that starts at the present time and moves by sleep only, so that a
-- test does not wait. It moves in steps of a microsecond at least: a double of Unix
-- seconds has no shorter ones.
-- SPDX-License-Identifier: MIT

-- A new clock: now() -> Unix seconds, sleep(seconds).
return function()
  local now = os.time()
  return {
    now = function() return now end,
    sleep = function(seconds) now = now + math.max(seconds, 1e-6) end,
  }
end
