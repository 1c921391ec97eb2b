-- requests.lua: the requests that arrived, in the form of sandbox:requests, and
-- assertions about them, whose messages list them.
-- SPDX-License-Identifier: MIT

local accounts = require "uqpay.testing.server.accounts"
local endpoints = require "uqpay.testing.server.endpoints"
local journal = require "uqpay.testing.server.journal"
local json = require "uqpay.testing.server.json"
local misuse = require "uqpay.testing.server.misuse"
local query = require "uqpay.testing.server.query"
local record = require "uqpay.testing.server.record"

local fail = misuse.fail

local requests = {}

-- The arguments of a request: of its query, or the members of its body.
local function fields_of(entry)
  local body = entry.body ~= "" and json.decode(entry.body)
  return type(body) == "table" and body or query.parse(entry.query) or {}
end

local function shown(world, entry)
  local request = record.copy(entry)
  request.fields = fields_of(entry)
  -- nil for a header that came twice, too
  local function header(name)
    local value = entry.headers[name]
    return type(value) == "string" and value or nil
  end
  local behalf = header "x-on-behalf-of"
  request.account = behalf and accounts.id_of(world, behalf) or behalf
  request.token = (header "x-auth-token" or ""):match "^Bearer (.+)$"
  request.idempotency_key = header "x-idempotency-key"
  return request
end

-- A value of the request by the name that a filter uses.
local function value_of(request, name)
  local value = request[name]
  if value == nil then value = request.fields[name] end
  if value == nil then value = request.headers[name:lower()] end
  return value
end

-- Arguments of a query are text, which a number may stand for.
local function equal(value, wanted)
  return value == wanted
    or type(wanted) == "number" and type(value) == "string" and tonumber(value) == wanted
end

-- Whether it is a request for the account of the token itself.
local function is_own(request)
  return request.account == nil and request.endpoint ~= nil
    and request.endpoint ~= "token"
end

local function fits(request, filter)
  for name, wanted in pairs(filter) do
    local own = name == "account" and wanted == record.merchants.master
    if own and not is_own(request)
      or not own and not equal(value_of(request, name), wanted) then
      return false
    end
  end
  return true
end

local known = {}
for name in ([[n endpoint method path query headers body fields account token
  idempotency_key status fault time ended body_bytes minted connection server
  connection_requests currency page_size page_number start_time end_time
  transaction_type transaction_status transaction_id
  host accept authorization]]):gmatch "%S+" do
  known[name] = true
end

-- A name that no request can have would make an assertion that nothing arrived succeed.
-- Headers with a hyphen in their names may be the user's.
local function check_names(filter)
  for name in pairs(filter) do
    if type(name) ~= "string" or not known[name] and not name:find("-", 1, true) then
      fail("unknown field of a request: %s", tostring(name))
    end
  end
end

-- A filter: nil, the name of an endpoint, or a table of names and values. Returns a
-- table, in which an account is named by its id.
local function filter_of(world, filter)
  if filter == nil then return {} end
  if type(filter) == "string" then filter = { endpoint = filter } end
  if type(filter) ~= "table" then
    fail("a table or the name of an endpoint expected, got a %s", type(filter))
  end
  check_names(filter)
  local all = {}
  for name, value in pairs(filter) do all[name] = value end
  if all.endpoint ~= nil and not endpoints[all.endpoint] then
    fail("unknown endpoint: %s", tostring(all.endpoint))
  end
  if all.account ~= nil then
    all.account = accounts.id_of(world, all.account)
    if not all.account then fail("unknown account: %s", tostring(filter.account)) end
  end
  return all
end

-- The requests that fit the filter, oldest first.
function requests.list(world, filter)
  filter = filter_of(world, filter)
  local list = {}
  for _, entry in ipairs(journal.requests(world)) do
    local request = shown(world, entry)
    if fits(request, filter) then list[#list + 1] = request end
  end
  return list
end

local function pairs_text(object)
  local names, parts = {}, {}
  for name in pairs(object) do names[#names + 1] = tostring(name) end
  table.sort(names)
  for n, name in ipairs(names) do
    parts[n] = name .. " = " .. (type(object[name]) == "string"
      and ("%q"):format(object[name]) or tostring(object[name]))
  end
  return table.concat(parts, ", ")
end

local function line_of(request)
  local parts = { ("  %d. %s"):format(request.n, request.endpoint or request.path) }
  local fields = pairs_text(request.fields)
  if fields ~= "" then parts[2] = fields end
  if request.account then parts[#parts + 1] = "account = " .. request.account end
  local result = request.status and json.number(request.status) or "no answer"
  if request.fault then result = result .. " (" .. request.fault .. ")" end
  parts[#parts + 1] = "-> " .. result
  return table.concat(parts, "  ")
end

local most_lines = 100

-- The last requests, for a message.
local function all_lines(world)
  local list, lines = requests.list(world), {}
  for n = math.max(1, #list - most_lines + 1), #list do
    lines[#lines + 1] = line_of(list[n])
  end
  local left = world.state.log.last - #lines
  if left > 0 then
    local text = "  (%d before these; the last %d are remembered)"
    table.insert(lines, 1, text:format(left, #list))
  end
  return #lines == 0 and "no request arrived" or "arrived:\n" .. table.concat(lines, "\n")
end

local function described(filter)
  return next(filter) == nil and "requests" or "requests with " .. pairs_text(filter)
end

-- Raises unless exactly so many requests fit the filter.
function requests.assert_count(world, count, filter)
  if not misuse.is_whole(count, 0) then
    fail("a whole number of requests expected, got %s", type(count) == "number"
      and tostring(count) or "a " .. type(count))
  end
  filter = filter_of(world, filter)
  local found = #requests.list(world, filter)
  if found ~= count then
    fail("expected %d %s, got %d; %s", count, described(filter), found, all_lines(world))
  end
end

-- Raises unless a request for the endpoint fits the fields. Returns the last that does.
function requests.assert_called(world, endpoint, fields)
  if not endpoints[endpoint] then fail("unknown endpoint: %s", tostring(endpoint)) end
  if fields ~= nil and type(fields) ~= "table" then
    fail("a table of fields expected, got a %s", type(fields))
  end
  local filter = { endpoint = endpoint }
  for name, value in pairs(fields or {}) do filter[name] = value end
  filter = filter_of(world, filter)
  local list = requests.list(world, filter)
  if #list == 0 then
    fail("expected %s, got none; %s", described(filter), all_lines(world))
  end
  return list[#list]
end

-- Raises if a fault is not used up.
function requests.assert_no_faults_left(world)
  local left = {}
  for n, fault in ipairs(world.state.faults) do left[n] = "  " .. json.encode(fault) end
  if #left > 0 then
    fail("faults that no request has met:\n%s", table.concat(left, "\n"))
  end
end

return requests
