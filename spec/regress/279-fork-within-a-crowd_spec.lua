-- A forked child that closed or collected a client with more than 128 calls in flight
-- cleaned up the handles beyond those that are kept for later calls. They are still its
-- parent's: with libcurl 8.23 the parent's calls on them got no answer.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

local CODE = [[
  local fork, uqpay = require "fork", require "uqpay"
  local sandbox = require "spec.sandbox.sandbox".start()
  local client = uqpay.new {
    base_url = %q, token = %q, http_version = "1.1", timeout = 60, max_retries = 0,
  }
  sandbox.settings { hold = "all" }
  local calls = {}
  for n = 1, 160 do calls[n] = client:start_balance "USD" end
  local clock = require "uqpay.internal".clock
  local ends = clock() + 50
  while #sandbox.requests() < #calls do
    assert(clock() < ends, "timed out")
    client:step(0.01)
  end
  local pid = fork.fork()
  if pid == 0 then
    client:close()
    fork.leave(0)
  end
  fork.wait(pid)
  sandbox.settings { hold = "" }
  local good = 0
  for _, call in ipairs(calls) do
    while not call:step() do client:step(20) end
    if call:result() then good = good + 1 end
  end
  print(good)
]]

describe("a forked child that closes a client", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("leaves its parent all of 160 calls in flight", function()
    local env = os.getenv "UQPAY_SANDBOX_ENV" or driver.kept "sandbox".dir .. "/env"
    local text = driver.output(driver.command("env", "LUA_PATH=" .. package.path,
      "LUA_CPATH=" .. package.cpath, "UQPAY_SANDBOX_ENV=" .. env,
      "ASAN_OPTIONS=detect_leaks=0", os.getenv "UQPAY_LUA", "-e",
      CODE:format(sandbox.http_url, sandbox.token)) .. " 2>&1")
    assert.equal("160\n", text)
  end)
end)
