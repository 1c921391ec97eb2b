-- misuse.lua: errors in arguments, raised at any depth, for the line of the caller.
-- SPDX-License-Identifier: MIT

local misuse = {}

-- Raises a message for misuse.caught.
function misuse.fail(text, ...)
  error({ misuse = text:format(...) }, 0)
end

-- Returns true and the value of f(...); or false and the message. Other errors pass.
function misuse.caught(f, ...)
  local ok, value = pcall(f, ...)
  if ok then return true, value end
  if type(value) ~= "table" or not value.misuse then error(value, 0) end
  return false, value.misuse
end

-- True for a whole number from `least` on that a double has exactly.
function misuse.is_whole(value, least)
  return type(value) == "number" and value >= least and value < 2 ^ 53 and value % 1 == 0
end

return misuse
