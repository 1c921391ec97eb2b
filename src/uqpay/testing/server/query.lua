-- query.lua: query strings, decoded strictly, so that mistakes of a client show.
-- SPDX-License-Identifier: MIT

local query = {}

-- A "+" is a blank in a query string; what is meant as a plus has to come as %2B.
local function decode(text)
  if text:gsub("%%%x%x", ""):find("%", 1, true) then return nil end
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

-- A table of names and values, or nil and a message.
function query.parse(text)
  local args = {}
  for pair in (text or ""):gmatch "[^&]+" do
    local raw_name, raw_value = pair:match "^([^=]+)=(.*)$"
    local name, value = raw_name and decode(raw_name), raw_value and decode(raw_value)
    if not name or not value then return nil, "query: malformed: " .. pair end
    if args[name] then return nil, name .. ": must not be repeated" end
    args[name] = value
  end
  return args
end

return query
