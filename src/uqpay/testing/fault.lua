-- fault.lua: the faults of sandbox:fail, in words of the user, as orders of the core.
-- SPDX-License-Identifier: MIT

local json = require "uqpay.testing.server.json"
local misuse = require "uqpay.testing.server.misuse"

local function one_of(words)
  local set, list = {}, {}
  for word in words:gmatch "%S+" do
    set[word] = true
    list[#list + 1] = '"' .. word .. '"'
  end
  return set, table.concat(list, ", ")
end

local function check_word(name, value, words)
  local set, list = one_of(words)
  if not set[value] then return name .. " must be one of " .. list end
end

local function check_type(name, value, wanted)
  if type(value) ~= wanted then
    return ("%s must be a %s, got %s"):format(name, wanted,
      value == nil and "nil" or "a " .. type(value))
  end
end

local function check_seconds(name, value)
  local wrong = check_type(name, value, "number")
  if not wrong and not (value >= 0 and value < math.huge) then
    wrong = name .. " must be a number of seconds"
  end
  return wrong
end

-- A body of its own takes the place of what the others would be in.
local function body_alone(fault)
  for _, name in ipairs { "message", "code", "shape" } do
    if fault[name] ~= nil then return name .. " has no effect with body" end
  end
end

-- By the field that names the fault, how the order is filled; each returns what is wrong
-- with the value.
local fill = {}

function fill.status(order, value, fault)
  local wrong = check_type("status", value, "number")
  if wrong then return wrong end
  if value < 200 or value > 999 or value % 1 ~= 0 then
    return "status must be a whole number from 200 to 999"
  end
  order.kind, order.status = "status", value
  order.message, order.code, order.body = fault.message, fault.code, fault.body
  if fault.body ~= nil then return body_alone(fault) end
  -- of the usual shapes only B has a number
  order.shape = fault.shape or fault.code ~= nil and "B" or nil
end

-- Before the request was worked on, or after it: then the work is done.
function fill.lost(order, value)
  order.kind = value == "after" and "drop_after" or "drop_before"
  return check_word("lost", value, "before after")
end

function fill.slow(order, value)
  order.kind, order.seconds = "delay", value
  return check_seconds("slow", value)
end

-- true: in the middle of the body; a number: after so many bytes.
function fill.cut(order, value)
  order.kind = "truncate"
  if value == true then return nil end
  order.bytes = value
  if not misuse.is_whole(value, 0) then
    return "cut must be true or a whole number of bytes"
  end
end

local odd = {
  garbage = "garbage", html = "html", empty = "empty", redirect = "redirect",
  processing = "processing", huge = "huge",
}

function fill.odd(order, value, fault)
  order.kind, order.body = odd[value] or "answer", nil
  if value == "body" then
    order.body = fault.body
    return check_type("body", fault.body, "string")
  elseif fault.body ~= nil then
    return 'body has no effect with odd = "' .. tostring(value) .. '"'
  end
  return check_word("odd", value, "garbage html empty redirect processing huge body")
end

-- A failure of the wire. A timeout takes as long as the client waits.
function fill.kind(order, value, fault)
  order.kind, order.error, order.message = "wire", value, fault.message
  if value == "timeout" then
    order.kind, order.error, order.message, order.seconds = "hang", nil, nil, 1e9
  end
  return check_word("kind", value, "connect dns tls timeout protocol")
end

local general = {
  times = true, skip = true, endpoint = true, account = true, headers = true,
  retry_after = true, message = true, code = true, body = true,
  shape = true,
}

-- Fields that only some faults have.
local belongs = {
  message = one_of "status kind", code = one_of "status", shape = one_of "status",
  body = one_of "status odd",
  headers = one_of "status odd slow", retry_after = one_of "status odd slow",
}

-- The field that names the fault, or nil and a message.
local function name_of(fault)
  local found
  for name in pairs(fault) do
    if fill[name] then
      if found then return nil, "only one of " .. name .. " and " .. found end
      found = name
    elseif not general[name] then
      return nil, "unknown field: " .. tostring(name)
    end
  end
  if not found then
    return nil, "one of status, lost, slow, cut, odd and kind is needed"
  end
  for name in pairs(fault) do
    if belongs[name] and not belongs[name][found] then
      return nil, name .. " has no effect with " .. found
    end
  end
  return found
end

local function check_count(name, value, least)
  if value ~= nil and not misuse.is_whole(value, least) then
    return ("%s must be a whole number from %d"):format(name, least)
  end
end

-- True if it can be the value of a header.
local function is_line(value)
  return type(value) == "string" and not value:gsub("\t", ""):find "%c"
end

local function check_wait(wait)
  if type(wait) == "number" then return check_seconds("retry_after", wait) end
  if wait ~= nil and not is_line(wait) then
    return "retry_after must be a number of seconds or a string"
  end
end

local function check_headers(fault)
  local headers = fault.headers
  if headers == nil then return nil end
  local wrong = check_type("headers", headers, "table")
  if wrong then return wrong end
  for name, value in pairs(headers) do
    if type(name) ~= "string" or not name:find "^[%w!#$%%&'*+.^_`|~-]+$" then
      return "headers: not the name of a header: " .. tostring(name)
    elseif not is_line(value) then
      return ("headers: %s must be a string of one line"):format(name)
    end
  end
end

local function headers_of(fault)
  local headers = {}
  for name, value in pairs(fault.headers or {}) do headers[name] = value end
  if fault.retry_after ~= nil then
    local value = fault.retry_after
    headers["retry-after"] = type(value) == "number" and json.number(value) or value
  end
  return next(headers) ~= nil and headers or nil
end

-- The order of a fault, or nil and a message. Without an endpoint it applies to all
-- requests but logins: a test seldom knows when they come. account_id finds the id of a
-- connected account.
return function(fault, account_id)
  if type(fault) ~= "table" then
    return nil, "a table expected, got a " .. type(fault)
  end
  local name, wrong = name_of(fault)
  if not name then return nil, wrong end
  local order = {
    times = fault.times, skip = fault.skip, endpoint = fault.endpoint or "api",
    headers = fault.headers,
  }
  wrong = check_wait(fault.retry_after) or check_headers(fault)
    or check_count("times", fault.times, 1) or check_count("skip", fault.skip, 0)
    or fill[name](order, fault[name], fault)
  if wrong then return nil, wrong end
  order.headers = headers_of(fault)
  if fault.account ~= nil then
    local id = account_id(fault.account)
    if not id then
      return nil, "not a connected account: " .. tostring(fault.account)
    end
    order.match = { [":account"] = id }
  end
  return order
end
