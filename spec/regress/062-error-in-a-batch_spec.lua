-- An error that was raised in a batch (out of memory, of a debug hook, of a finalizer
-- before Lua 5.4) left it inconsistent: queries were lost, or it waited for ever for
-- calls that had ended, or raised further errors of its own.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

-- Runs batches that run out of memory at their first, second, ... allocation, until one
-- does not, and each time asks for the rest. In a child that leaves without a word to
-- memory checkers: lua-cjson loses its buffer when it runs out of memory.
local starve = [[
  local fork, uqpay = require "fork", require "uqpay"
  local client = uqpay.new { base_url = %q, token = %q, max_retries = 0 }
  local queries = { "USD", "SGD", "usd", "USD", "ZZZ", "SGD" }
  local raised, kinds = 0, {}
  for n = 0, 5000 do
    local given, seen, told = 0, 0, 0
    local next_balance = client:batch(function()
      given = given + 1
      return queries[given]
    end, { concurrency = 3, progress = function() told = told + 1 end })
    local function run()
      local query, balance, _, err = next_balance()
      while query do
        seen = seen + 1
        if balance then assert(balance.currency == query) else kinds[err.kind] = true end
        query, balance, _, err = next_balance()
      end
    end
    collectgarbage "stop"
    local starved, ok, message = fork.starve(n, run)
    collectgarbage "restart"
    assert(ok or message:find("not enough memory", 1, true), message)
    if not ok then
      raised = raised + 1
      run()
    end
    -- an error raised in asking for a query is the last time that one is asked for
    assert(ok or given == #queries + 1 or given == seen, n .. ": " .. given)
    assert(seen == math.min(given, #queries), n .. ": " .. seen)
    assert(told == seen or starved)
    if not starved then break end
    assert(n < 5000)
  end
  assert(raised > 50)
  assert(kinds.memory and kinds.invalid_request)
  print "all"
  io.stdout:flush()
  fork.leave(0)
]]

describe("an error raised in a batch", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("for lack of memory loses no query", function()
    if jit then return end -- where it leaves even tables torn
    local code = starve:format(sandbox.http_url, sandbox.token)
    assert.equal("all\n", driver.output(driver.command("env",
      "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath, "timeout", "60",
      os.getenv "UQPAY_LUA", "-e", code) .. " 2>&1"))
  end)
end)
