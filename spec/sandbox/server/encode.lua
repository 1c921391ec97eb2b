-- An item of the API as JSON. Written by hand: an amount's digits go out as they are
-- stored, as a string if quoted is set; no number is ever made. fields gives the order;
-- fields that the item lacks are left out.

local cjson = require "cjson.safe"

local amounts = {
  available_balance = true, margin_balance = true, frozen_balance = true,
  amount = true, ending_balance = true,
}

return function(item, fields, quoted, without)
  local members = {}
  for _, name in ipairs(fields) do
    local value = item[name]
    if value ~= nil and name ~= without then
      if quoted or not amounts[name] then value = cjson.encode(value) end
      members[#members + 1] = '"' .. name .. '":' .. value
    end
  end
  return "{" .. table.concat(members, ",") .. "}"
end
