-- A forked child that closed or collected a client with more than 128 calls in flight
-- cleaned up the handles beyond those that are kept for later calls. They are still its
-- parent's: with libcurl 8.23 the parent's calls on them got no answer.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"

local CODE = [[
  local fork = require "fork"
  local client = uqpay.new(options {
    client_id = false, api_key = false, token = sandbox.token, http_version = "1.1",
    timeout = 60, max_retries = 0,
  })
  sandbox.settings { hold = "all" }
  local calls = {}
  for n = 1, 160 do calls[n] = client:start_balance "USD" end
  wait_until(function() return #sandbox.requests() == #calls end,
    function() client:step(0.01) end)
  local pid = fork.fork()
  if pid == 0 then
    client:close()
    fork.leave(0)
  end
  fork.wait(pid)
  sandbox.settings { hold = "" }
  local finished = {}
  for n, call in ipairs(calls) do
    while not call:step() do client:step(20) end
    local balance, message = call:result()
    finished[n] = balance and { n = 1 } or { n = 2, nil, message }
  end
  good(finished)
]]

describe("a forked child that closes a client", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("leaves its parent all of 160 calls in flight", function() child.run(CODE) end)
end)
