-- Under an event loop and the program's clock, time passed to the end of the next call's
-- wait before the coroutine of a call whose wait was over had run: that call was late,
-- and lost its retry.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

-- The call with a timeout of 10 s is retried after 1 s, the others after 20 and 25 s.
local CODE = [[
  local now = 1000
  local c = client {
    max_retries = 1, transport = function(request)
      local currency = request.body:match '"currency":"(%u+)"'
      local wait = ({ USD = 1, SGD = 20, EUR = 25 })[currency]
      say(currency, "at", math.floor(now))
      return { status = 503, headers = { ["retry-after"] = wait }, body = "" }
    end,
    clock = {
      now = function() return now end,
      sleep = function(seconds) now = now + seconds end,
    },
  }
  local currencies = { "USD", "SGD", "EUR" }
  each(3, function(n)
    local _, _, err = c:balance(currencies[n], { timeout = n == 1 and 10 or 30 })
    say(currencies[n], err.attempts, err.kind)
  end)
  run()
]]

local EXPECTED = [[
USD	at	1000
SGD	at	1000
EUR	at	1000
USD	at	1001
USD	2	api
SGD	at	1020
SGD	2	api
EUR	at	1025
EUR	2	api
]]

-- A step of a call object took the notice that the driver of the loop waited for.
local STEPPED = [[
  local now, ended = 1000, 0
  local c = client {
    max_retries = 1, transport = function()
      return { status = 503, headers = { ["retry-after"] = 5 }, body = "" }
    end,
    clock = {
      now = function() return now end,
      sleep = function(seconds) now = now + seconds end,
    },
  }
  local object
  go(function()
    object = c:start_balance("USD", { timeout = 300 })
    for _ = 1, 20 do
      object:step()
      sleep(0)
    end
  end)
  go(function()
    c:balance("USD", { timeout = 300 })
    say("ended", math.floor(now))
  end)
  run()
]]

local function run(loop, code)
  local env = os.getenv "UQPAY_SANDBOX_ENV" or driver.kept "sandbox".dir .. "/env"
  return driver.output(driver.command("env", "ASAN_OPTIONS=detect_leaks=0",
    "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath,
    "UQPAY_SANDBOX_ENV=" .. env, "timeout", "10", os.getenv "UQPAY_LUA",
    "spec/support/loops.lua", loop, code) .. " 2>&1")
end

describe("under the program's clock", function()
  setup(function() sandbox.start() end)

  local copas = driver.copas()
  local loops = { "cqueues", "luv", copas and copas < 4 and "copas" or "copas4" }
  for n, loop in ipairs(loops) do
    it("each call of a loop of " .. loop .. " is retried after its wait", function()
      if n < 3 and not driver.has_loop(loop) then return pending("no package of it") end
      assert.equal(EXPECTED, run(loop, CODE))
    end)

    it("a call of a loop of " .. loop .. " ends beside one that is stepped", function()
      if n < 3 and not driver.has_loop(loop) then return pending("no package of it") end
      assert.equal("ended\t1005\n", run(loop, STEPPED))
    end)
  end
end)
