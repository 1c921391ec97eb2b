-- LuaSocket, LuaSec and lua-cjson with a connection that is kept. Neither library does
-- that by itself: socket.http and ssl.https open a new one for each request, so here is
-- the bit of HTTP that a careful user would write by hand. Lua 5.1 to 5.4 and LuaJIT.

local contender = require "spec.bench.contender"
local cjson = require "cjson"
local socket = require "socket"
local ssl = require "ssl"

local scheme, host, port, path = contender.url:match "^(%w+)://([^:/]+):(%d+)(.*)$"

local function connect()
  local connection = assert(socket.tcp())
  connection:settimeout(30)
  assert(connection:connect(host, tonumber(port)))
  connection:setoption("tcp-nodelay", true)
  if scheme == "http" then return connection end
  connection = assert(ssl.wrap(connection, {    -- checks no host name
    mode = "client", protocol = "any", options = { "all" },
    verify = "peer", cafile = contender.ca_file,
  }))
  connection:settimeout(30)
  assert(connection:dohandshake())
  return connection
end

local connection = connect()

contender.run(function()
  assert(connection:send(table.concat {
    "POST ", path, "/v1/issuing/balances HTTP/1.1\r\n",
    "Host: ", host, ":", port, "\r\n",
    "Content-Type: application/json\r\n",
    "x-auth-token: Bearer ", contender.token, "\r\n",
    "x-idempotency-key: ", contender.key(), "\r\n",
    "Content-Length: ", #contender.body, "\r\n\r\n",
    contender.body,
  }))
  assert(connection:receive "*l" == "HTTP/1.1 200 OK")
  local headers = {}
  for line in function() return assert(connection:receive "*l") end do
    if line == "" then break end
    local name, value = line:match "^([^:]+):%s*(.-)%s*$"
    headers[name:lower()] = value
  end
  local text = assert(connection:receive(tonumber(headers["content-length"])))
  return cjson.decode(text)
end)
