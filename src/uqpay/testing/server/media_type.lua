-- media_type.lua: the header Content-Type of requests.
-- SPDX-License-Identifier: MIT

local media_type = {}

-- In lower case without parameters; nil if it is missing, or came twice.
local function name_of(request)
  local value = request.headers["content-type"]
  return type(value) == "string" and value:lower():match "^%s*([^;%s]*)" or nil
end

function media_type.is_json(request)
  return name_of(request) == "application/json"
end

-- A form, as a browser sends it.
function media_type.is_form(request)
  local name = name_of(request) or ""
  return name == "application/x-www-form-urlencoded" or name:find "^multipart/" ~= nil
end

return media_type
