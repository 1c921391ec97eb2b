-- pages.lua: lists in pages: their arguments, their answers, and faulty forms of these.
-- SPDX-License-Identifier: MIT

local encode = require "uqpay.testing.server.encode"
local json = require "uqpay.testing.server.json"
local query = require "uqpay.testing.server.query"

local pages = {}

local function number(args, name, low, high)
  local text = args[name]
  if not text then return nil, name .. ": is required" end
  local value = text:find "^%d+$" and #text < 10 and tonumber(text)
  if not value or value < low or high and value > high then
    return nil, name .. ": must be an integer "
      .. (high and "from " .. low .. " to " .. high or "of at least " .. low)
  end
  return value
end

-- The page that a request asks for, with all its arguments; or nil and a message. The
-- smallest page_size is least (10 if nil). Unknown arguments are ignored.
function pages.wanted(request, least)
  local args, wrong = query.parse(request.query)
  if not args then return nil, wrong end
  local page = { args = args, endpoint = request.endpoint }
  page.size, wrong = number(args, "page_size", least or 10, 100)
  if not page.size then return nil, wrong end
  page.number, wrong = number(args, "page_number", 1)
  if not page.number then return nil, wrong end
  return page
end

-- The list changes while it is read: with every page that is asked for, one more item
-- stands in front of it ("shift"), or one less ("shrink").
local function moved(world, items, page, id)
  local how = world.state.settings.pages
  if how ~= "shift" and how ~= "shrink" or #items == 0 then return items end
  local counts = world.state.pages
  local before = counts[page.endpoint] or 0
  counts[page.endpoint] = before + 1
  local list = {}
  for n = before, 1, -1 do
    if how == "shrink" then break end
    local item = {}
    for name, value in pairs(items[1]) do item[name] = value end
    item[id] = ("00000000-0000-4000-8000-%012x"):format(n)
    list[#list + 1] = item
  end
  for n = how == "shrink" and before + 1 or 1, #items do list[#list + 1] = items[n] end
  return list
end

-- How a total can look; nil leaves it out.
local totals = {
  right = json.number,
  zero = function() return "0" end,
  negative = function() return "-1" end,
  huge = function() return "1000000000" end,
  fraction = function(n) return json.number(n + 0.5) end,
  string = function(n) return '"' .. json.number(n) .. '"' end,
  null = function() return "null" end,
  missing = function() return nil end,
}

-- How data can look; nil leaves it out.
local datas = {
  array = function(list) return "[" .. table.concat(list, ",") .. "]" end,
  odd_item = function(list)
    list[math.max(#list, 1)] = "5"
    return "[" .. table.concat(list, ",") .. "]"
  end,
  object = function() return "{}" end,
  string = function() return '"[]"' end,
  null = function() return "null" end,
  missing = function() return nil end,
}

-- A page of the items (all of them, in order); fields names their members, the first of
-- them is the id.
function pages.answer(world, page, items, fields)
  local settings = world.state.settings
  items = moved(world, items, page, fields[1])
  local first, count = (page.number - 1) * page.size, #items
  local page_count = math.ceil(count / page.size)
  if settings.pages == "repeat" then
    first, count, page_count = 0, 1000000 * page.size, 1000000
  end
  local list, last = {}, math.min(first + page.size, #items)
  for n = first + 1, last do
    local without = n == last and settings.item_without
    list[#list + 1] = encode(items[n], fields, settings.amounts ~= "number", without)
  end
  local members = {}
  local function member(name, text)
    if text ~= nil then members[#members + 1] = '"' .. name .. '":' .. text end
  end
  member("total_pages", totals[settings.total_pages](page_count))
  member("total_items", totals[settings.total_items](count))
  member("data", datas[settings.data](list))
  return {
    status = 200, body = "{" .. table.concat(members, ",") .. "}",
    headers = { ["content-type"] = "application/json" },
  }
end

return pages
