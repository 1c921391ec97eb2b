-- A call object that one controller of cqueues polls was not woken when another
-- controller's coroutine, which waited for a call of the same client, drove the client as
-- it finished: the call waited for seconds, until something else happened.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

-- The slow call is in flight all the time: the first controller drives the client.
local CODE = [[
  local cqueues = require "cqueues"
  local clock = require "uqpay.internal".clock
  local c = client { http_version = "1.1" }
  c:balance "USD"
  sandbox.fault { kind = "delay", seconds = 0.2,
    match = { ["x-on-behalf-of"] = sandbox.sub_account } }
  sandbox.fault { kind = "delay", hold = true, seconds = 20,
    match = { ["x-on-behalf-of"] = sandbox.other_sub_account } }
  local one, two = cqueues.new(), cqueues.new()
  local begun, slow = clock()
  one:wrap(function()
    slow = c:balance("USD", { on_behalf_of = sandbox.other_sub_account })
  end)
  two:wrap(function()
    local call = c:start_balance("USD", { on_behalf_of = sandbox.sub_account })
    while not call:step() do cqueues.poll(call) end
    local seconds = clock() - begun
    say(call:result() and "polled", seconds < 2 and "in time" or seconds)
    sandbox.release()
  end)
  local ends = clock() + 30
  while not (one:empty() and two:empty()) and clock() < ends do
    assert(one:step(0.01))
    assert(two:step(0))
  end
  say(slow and "slow")
]]

describe("a call object polled in one controller of cqueues", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("is woken while another controller drives the client", function()
    if not driver.has_loop "cqueues" then
      return pending("no package of it for " .. _VERSION)
    end
    local env = os.getenv "UQPAY_SANDBOX_ENV" or driver.kept "sandbox".dir .. "/env"
    local text = driver.output(driver.command("env", "ASAN_OPTIONS=detect_leaks=0",
      "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath,
      "UQPAY_SANDBOX_ENV=" .. env, "timeout", "60", os.getenv "UQPAY_LUA",
      "spec/support/loops.lua", "cqueues", CODE) .. " 2>&1")
    assert.equal("polled\tin time\nslow\n", text)
  end)
end)
