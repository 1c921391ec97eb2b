-- LuaSocket, LuaSec and lua-cjson as they come: socket.http and ssl.https open a new
-- connection for each request. Lua 5.1 to 5.4 and LuaJIT.

local contender = require "spec.bench.contender"
local cjson = require "cjson"
local ltn12 = require "ltn12"
local http = require(contender.url:find "^https:" and "ssl.https" or "socket.http")

contender.run(function()
  local parts = {}
  local _, status = assert(http.request {
    url = contender.url .. "/v1/issuing/balances",
    method = "POST",
    headers = {
      ["content-type"] = "application/json",
      ["content-length"] = #contender.body,
      ["x-auth-token"] = "Bearer " .. contender.token,
      ["x-idempotency-key"] = contender.key(),
    },
    source = ltn12.source.string(contender.body),
    sink = ltn12.sink.table(parts),
    verify = "peer",    -- checks no host name
    cafile = contender.ca_file,
  })
  assert(status == 200, status)
  return cjson.decode(table.concat(parts))
end)
