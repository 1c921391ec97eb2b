-- lua-http and lua-cjson. Its request:go opens a new connection for each request, so
-- connections are kept by hand here, one for each call in flight. Lua 5.1, 5.2, LuaJIT.

local contender = require "spec.bench.contender"
local cjson = require "cjson"
local cqueues = require "cqueues"
local client = require "http.client"
local headers = require "http.headers"
local tls = require "http.tls"

local scheme, host, port, path = contender.url:match "^(%w+)://([^:/]+):(%d+)(.*)$"
local context = tls.new_client_context()
context:getStore():add(contender.ca_file)

local function connect()
  return assert(client.connect({
    host = host, port = tonumber(port), version = 1.1,
    tls = scheme == "https", ctx = context,
  }, 30))
end

local function ask(connection)
  local stream = assert(connection:new_stream())
  local request = headers.new()
  request:append(":method", "POST")
  request:append(":scheme", scheme)
  request:append(":authority", host .. ":" .. port)
  request:append(":path", path .. "/v1/issuing/balances")
  request:append("content-type", "application/json")
  request:append("content-length", tostring(#contender.body))
  request:append("x-auth-token", "Bearer " .. contender.token)
  request:append("x-idempotency-key", contender.key())
  assert(stream:write_headers(request, false, 30))
  assert(stream:write_chunk(contender.body, true, 30))
  local answer = assert(stream:get_headers(30))
  assert(answer:get ":status" == "200")
  local text = assert(stream:get_body_as_string(30))
  return cjson.decode(text)
end

if contender.in_flight == 1 then
  local connection = connect()
  contender.run(function() return ask(connection) end)
else
  local queue, asked, answered = cqueues.new(), 0, 0
  contender.pass(0)
  for _ = 1, contender.in_flight do
    queue:wrap(function()
      local connection = connect()
      while asked < contender.total do
        asked = asked + 1
        assert(ask(connection).currency == "USD")
        answered = answered + 1
        contender.pass(answered)
      end
    end)
  end
  assert(queue:loop())
  assert(answered == contender.total)
end
