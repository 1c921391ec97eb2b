-- encode.lua: an item of the API as JSON. An amount's digits go out as they are stored,
-- as a string if quoted is set or if there are none; no number is made of them. fields
-- gives the order; fields that the item lacks are left out.
-- SPDX-License-Identifier: MIT

local json = require "uqpay.testing.server.json"

local amounts = {
  available_balance = true, margin_balance = true, frozen_balance = true,
  amount = true, ending_balance = true,
}

return function(item, fields, quoted, without)
  local members = {}
  for _, name in ipairs(fields) do
    local value = item[name]
    if value ~= nil and name ~= without then
      if quoted or value == "" or not amounts[name] then value = json.encode(value) end
      members[#members + 1] = '"' .. name .. '":' .. value
    end
  end
  return "{" .. table.concat(members, ",") .. "}"
end
