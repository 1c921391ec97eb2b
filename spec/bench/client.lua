-- The client under test, as a contender: see contender.lua.

local contender = require "spec.bench.contender"
local uqpay = require "uqpay"

local function new()
  return uqpay.new {
    base_url = contender.url,
    token = contender.token,
    ca_file = contender.ca_file,
    http_version = contender.version,
    max_retries = 0,
  }
end

local function ask(client)
  local balance, message = client:balance "USD"
  if not balance then error(message) end
  return balance
end

if contender.in_flight == 0 then
  contender.run(function()
    local client = new()
    local balance = ask(client)
    client:close()
    return balance
  end)
elseif contender.in_flight == 1 then
  local client = new()
  contender.run(function() return ask(client) end)
else
  local client, asked, answered = new(), 0, 0
  local function currencies()
    asked = asked + 1
    if asked <= contender.total then return "USD" end
  end
  contender.pass(0)
  local options = { concurrency = contender.in_flight }
  for _, balance, message in client:batch(currencies, options) do
    if not balance then error(message) end
    answered = answered + 1
    contender.pass(answered)
  end
  assert(answered == contender.total)
end
