-- random_server.lua: the API as random.lua has it, on loopback: a server that answers,
-- refuses, cuts, hangs and answers late. Prints its port; ends when its input does.
--
-- The first folder of a request's path is the number of a storm, and the seed of the
-- generator that decides what its requests meet. A request below /<number>/calm ends the
-- storm: from then on every request is answered, also those that wait for an answer.

local random = require "spec.support.random"
local socket = require "socket"

local HANG = 5 -- seconds that a request without an answer keeps its connection

local balance = '{"balance_id":"b%d","currency":"USD","available_balance":1.5,'
  .. '"margin_balance":0,"frozen_balance":0,"create_time":"","last_trade_time":"",'
  .. '"balance_status":"ACTIVE"}'
local transaction = '{"transaction_id":"t%d","transaction_type":"FEE",'
  .. '"transaction_status":"COMPLETED","currency":"USD","amount":1.5,'
  .. '"create_time":"2026-03-21T17:17:32+08:00"}'
local account = '{"account_id":"a%d","status":"ACTIVE","business_code":["ISSUING"]}'

local storms = {} -- by number

local function storm_of(number)
  local storm = storms[number]
  if not storm then
    storm = { draw = random.generator(tonumber(number)), logins = 0 }
    storms[number] = storm
  end
  return storm
end

local function http(status, body, headers)
  return ("HTTP/1.1 %d Status\r\n%sContent-Length: %d\r\n\r\n%s"):format(status,
    headers or "", #body, body)
end

-- ---------------------------------------------------------------------------------------
-- answers

local PAGES, PAGE = 3, 2

local function page(item, target)
  local number = tonumber(target:match "page_number=(%d+)") or 1
  local items = {}
  for n = 1, PAGE do items[n] = item:format(number * PAGE + n) end
  return ('{"total_pages":%d,"total_items":%d,"data":[%s]}'):format(PAGES, PAGES * PAGE,
    table.concat(items, ","))
end

-- A token, whose life may be so short that it is renewed during the storm.
local function login(storm)
  storm.logins = storm.logins + 1
  local lives = { "1800", "1", "4", "30", "-5", "null" }
  local life = storm.calm and "1800" or random.pick(storm.draw, lives)
  local at = life == "null" and life or ("%.0f"):format(os.time() + tonumber(life))
  return ('{"auth_token":"token-%d","expired_at":%s}'):format(storm.logins, at)
end

local function answer(storm, request)
  local target = request.target
  if target:find "/connect/token" then return login(storm) end
  if request.method == "POST" then return balance:format(1) end
  return page(target:find "transactions" and transaction
    or target:find "accounts" and account or balance, target)
end

-- ---------------------------------------------------------------------------------------
-- what a request meets: the bytes that are sent, and when; cut: the connection ends then

local refused = '{"code":"unauthorized","message":"token has expired"}'
local faults = {
  function() return { send = http(401, refused) } end,
  function() return { send = http(403, refused) } end,
  function() return { send = http(400, '{"type":"t","code":"c","message":"m"}') } end,
  function() return { send = http(429, "{}") } end,
  function() return { send = http(429, "{}", "Retry-After: 1\r\n") } end,
  function() return { send = http(500, "{}") } end,
  function() return { send = http(503, "") } end,
  function() return { send = "", cut = true } end,
  function() return { send = "", cut = true, reset = true } end,
  function(good) return { send = good:sub(1, -3), cut = true } end,
  function(good) return { send = good, cut = true } end,
  function(good) return { send = good, after = 0.02 } end,
  function(good) return { send = good, after = 0.3 } end,
  function() return { send = "", after = HANG, cut = true } end,
  function() return { send = "HTTP/1.1 200 OK\r\n", after = HANG, cut = true } end,
  function() return { send = http(200, "{") } end,
  function() return { send = http(200, "{}") } end,
}

local function meet(request)
  local storm = storm_of(request.target:match "^/(%d+)/" or "0")
  if request.target:find "^/%d+/calm/" then storm.calm = true end
  local good = http(200, answer(storm, request))
  if storm.calm or storm.draw(100) <= 55 then return { send = good } end
  local met = random.pick(storm.draw, faults)(good)
  met.storm, met.good = storm, good
  return met
end

-- ---------------------------------------------------------------------------------------
-- connections

local connections = {} -- socket -> connection

local function close(connection)
  local one = connection.socket
  if connection.reset then one:setoption("linger", { on = true, timeout = 0 }) end
  one:close()
  connections[one] = nil
end

-- The next whole request, or nil.
local function next_request(connection)
  local head, last = connection.unread:match "^(.-\r\n\r\n)()"
  if not head then return nil end
  local length = tonumber(head:lower():match "\r\ncontent%-length:%s*(%d+)") or 0
  if #connection.unread < last - 1 + length then return nil end
  connection.unread = connection.unread:sub(last + length)
  local method, target = head:match "^(%S+) (%S+)"
  return { method = method, target = target }
end

local function deliver(connection, met)
  connection.socket:settimeout(5)
  connection.socket:send(met.send)
  connection.socket:settimeout(0)
  connection.reset = met.reset
  if met.cut then close(connection) end
end

-- Requests, one after the other, until one is answered later.
local function serve(connection)
  while connections[connection.socket] and not connection.met do
    local request = next_request(connection)
    if not request then return end
    local met = meet(request)
    if met.after then
      connection.met, connection.at = met, socket.gettime() + met.after
    else
      deliver(connection, met)
    end
  end
end

local function receive(connection)
  local bytes, err, part = connection.socket:receive(65536)
  connection.unread = connection.unread .. (bytes or part)
  if err == "closed" then close(connection) else serve(connection) end
end

local function accept(listener)
  local client = listener:accept()
  if not client then return end
  client:settimeout(0)
  client:setoption("tcp-nodelay", true)
  connections[client] = { socket = client, unread = "" }
end

local function answer_late(connection)
  local met = connection.met
  connection.met = nil
  if met.storm.calm then met = { send = met.good } end
  deliver(connection, met)
  if connections[connection.socket] then serve(connection) end
end

-- ---------------------------------------------------------------------------------------

local listener = assert(socket.bind("127.0.0.1", 0, 512))
listener:settimeout(0)
print((select(2, listener:getsockname())))
io.stdout:flush()

local input = { getfd = function() return 0 end, dirty = function() return false end }
while true do
  local now, wait, list = socket.gettime(), HANG, { input, listener }
  for one, connection in pairs(connections) do
    list[#list + 1] = one
    if connection.met then wait = math.min(wait, math.max(0, connection.at - now)) end
  end
  local ready = socket.select(list, nil, wait)
  if ready[input] then break end
  if ready[listener] then accept(listener) end
  local due = {}
  for one, connection in pairs(connections) do
    if ready[one] or connection.met then due[connection] = ready[one] or false end
  end
  for connection, readable in pairs(due) do
    if readable then receive(connection) end
    local met = connections[connection.socket] and connection.met
    if met and (met.storm.calm or connection.at <= socket.gettime()) then
      answer_late(connection)
    end
  end
end
