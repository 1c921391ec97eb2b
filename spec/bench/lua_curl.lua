-- lua-curl and lua-cjson, as a careful user would write it: one handle, reused. It
-- has no multi handle, so there is one call after another. Lua 5.1, 5.2 and LuaJIT.

local contender = require "spec.bench.contender"
local cjson = require "cjson"
local curl = require "curl"

local parts
local easy = curl.easy_init()
easy:setopt(curl.OPT_URL, contender.url .. "/v1/issuing/balances")
easy:setopt(curl.OPT_CAINFO, contender.ca_file)
easy:setopt(curl.OPT_HTTP_VERSION, curl.HTTP_VERSION_1_1)
easy:setopt(curl.OPT_TIMEOUT, 30)
easy:setopt(curl.OPT_FAILONERROR, 1)    -- no function returns the status
easy:setopt(curl.OPT_WRITEFUNCTION, function(bytes)
  parts[#parts + 1] = bytes
  return #bytes
end)

contender.run(function()
  parts = {}
  easy:setopt(curl.OPT_HTTPHEADER, {
    "Content-Type: application/json",
    "x-auth-token: Bearer " .. contender.token,
    "x-idempotency-key: " .. contender.key(),
  })
  easy:setopt(curl.OPT_POSTFIELDS, contender.body)
  easy:setopt(curl.OPT_POSTFIELDSIZE, #contender.body)
  local code, message = easy:perform()
  assert(code == 0, message)
  return cjson.decode(table.concat(parts))
end)
