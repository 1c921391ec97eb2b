-- The libcurl that the module under test runs with: what some specs expect differs by its
-- version. Each place says since which, and why.

local uqpay = require "uqpay"

local libcurl = {}

-- at_least(8, 14, 1), at_least(8, 5)
function libcurl.at_least(...)
  local have = {}
  for number in uqpay.info().libcurl:gmatch "%d+" do
    have[#have + 1] = tonumber(number)
  end
  for n, wanted in ipairs { ... } do
    if have[n] ~= wanted then return (have[n] or 0) > wanted end
  end
  return true
end

return libcurl
