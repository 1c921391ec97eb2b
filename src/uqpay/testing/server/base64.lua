-- base64.lua: base64, and its form for URLs.
-- SPDX-License-Identifier: MIT

local base64 = {}

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local values = {}
for n = 1, 64 do values[alphabet:sub(n, n)] = n - 1 end

local function digit(value)
  return alphabet:sub(value + 1, value + 1)
end

-- The digits for one to three bytes.
local function group(bytes)
  local a, b, c = bytes:byte(1, 3)
  local value = a * 65536 + (b or 0) * 256 + (c or 0)
  local text = ""
  for _ = 1, 4 do
    text = digit(value % 64) .. text
    value = math.floor(value / 64)
  end
  return text:sub(1, #bytes + 1)
end

-- Without padding, "-" and "_" in the place of "+" and "/".
function base64.url(bytes)
  return (bytes:gsub("..?.?", group):gsub("[+/]", { ["+"] = "-", ["/"] = "_" }))
end

-- The bytes, or nil if the text is not base64 with padding.
function base64.decode(text)
  local digits, padding = text:match "^([%w+/]*)(=?=?)$"
  if not digits or #text % 4 ~= 0 then return nil end
  local bytes = (digits .. ("A"):rep(#padding)):gsub("....", function(four)
    local value = 0
    for one in four:gmatch "." do value = value * 64 + values[one] end
    return string.char(math.floor(value / 65536), math.floor(value / 256) % 256,
      value % 256)
  end)
  return bytes:sub(1, #bytes - #padding)
end

return base64
