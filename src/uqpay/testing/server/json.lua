-- json.lua: JSON text. Bodies of the API are the same bytes on every Lua: keys are
-- sorted, whole numbers have no fraction.
-- SPDX-License-Identifier: MIT

-- An instance of its own: the program's configuration of cjson has no effect here.
local cjson = require "cjson.safe".new()

local json = { null = cjson.null, decode = cjson.decode }

local array = {}

-- Marks a list, so that an empty one is "[]".
function json.array(list)
  return setmetatable(list, array)
end

local escapes = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n",
  ["\r"] = "\\r", ["\t"] = "\\t",
}

-- All but printable ASCII without the quote and the backslash, and bytes from 128 on. A
-- NUL in a pattern ends it on Lua 5.1.
local unsafe = "[^\32\33\35-\91%]\94-\126\128-\255]"

local function escape(byte)
  return escapes[byte] or ("\\u%04x"):format(byte:byte())
end

function json.string(text)
  return '"' .. text:gsub(unsafe, escape) .. '"'
end

function json.number(number)
  return ("%.14g"):format(number)
end

local function is_list(value)
  return getmetatable(value) == array or value[1] ~= nil
end

local function list_text(list)
  local items = {}
  for n, item in ipairs(list) do items[n] = json.encode(item) end
  return "[" .. table.concat(items, ",") .. "]"
end

local function object_text(object)
  local names, members = {}, {}
  for name in pairs(object) do names[#names + 1] = name end
  table.sort(names)
  for n, name in ipairs(names) do
    members[n] = json.string(name) .. ":" .. json.encode(object[name])
  end
  return "{" .. table.concat(members, ",") .. "}"
end

local writers = {
  string = json.string, number = json.number, boolean = tostring,
  table = function(value)
    return is_list(value) and list_text(value) or object_text(value)
  end,
}

function json.encode(value)
  if value == json.null then return "null" end
  return writers[type(value)](value)
end

local function has_lists(value)
  for _, member in pairs(value) do
    if type(member) == "table" and getmetatable(member) == array then return true end
  end
end

-- The same for large values of which the order of keys does not matter: only an array at
-- the top, or directly below it, may be empty.
function json.encode_fast(value)
  if type(value) ~= "table" then return json.encode(value) end
  if getmetatable(value) == array then
    local items = {}
    for n, item in ipairs(value) do items[n] = assert(cjson.encode(item)) end
    return "[" .. table.concat(items, ",") .. "]"
  elseif not has_lists(value) then
    return assert(cjson.encode(value))
  end
  local members = {}
  for name, member in pairs(value) do
    members[#members + 1] = json.string(name) .. ":" .. json.encode_fast(member)
  end
  return "{" .. table.concat(members, ",") .. "}"
end

return json
