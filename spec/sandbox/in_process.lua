-- Controls a sandbox in the spec's own process, by the functions of
-- spec/sandbox/sandbox.lua. Its clock moves by sleeps only, see `clock`.
--
--   local sandbox = require "spec.sandbox.in_process"
--   sandbox.reset()
--   uqpay.new(sandbox.options { max_retries = 0 })

local cjson = require "cjson"
local control = require "uqpay.testing.server.control"
local json = require "uqpay.testing.server.json"
local orders = require "spec.sandbox.orders"
local testing = require "uqpay.testing"

local sandbox = {}

local own = testing.sandbox()

sandbox.transport, sandbox.clock, sandbox.world = own.transport, own.clock, own.world

-- As over the control address: values are copies, of the types that JSON has.
local function call(method, path, order)
  local place, query = path:match "^([^?]*)%??(.*)$"
  local args = order or {}
  if method == "GET" then args = { account = query:match "^account=(.*)$" } end
  local value, _, wrong = control.run(own.world, method, place, args)
  if not value then error(("sandbox: %s %s: %s"):format(method, path, wrong), 0) end
  return cjson.decode(json.encode_fast(value))
end

function sandbox.start()
  for name, value in own.world:facts():gmatch "([%w_]+)=([^\n]*)" do
    sandbox[name] = value
  end
  sandbox.url = "https://sandbox.invalid/api"
  return sandbox
end

function sandbox.reset()
  sandbox.start()
  call("POST", "/reset")
end

-- Options of a client with the token of the server's clients in specs.
function sandbox.options(options)
  local all = { token = sandbox.token }
  for name, value in pairs(options or {}) do all[name] = value end
  return own:options(all)
end

orders(sandbox, call)

return sandbox.start()
