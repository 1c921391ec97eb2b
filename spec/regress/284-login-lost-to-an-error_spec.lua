-- A login that ran out of memory in the step of one call failed the call that had begun
-- it: "its token was dropped before it could be used". It begins another one.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

-- The second call takes the answer of the login that the first has begun, and each of its
-- allocations is refused in turn.
local CODE = [[
  local fork, uqpay = require "fork", require "uqpay"
  local clock = require "uqpay.internal".clock
  local raised = 0

  local function try(n)
    local client = uqpay.new { base_url = %q, client_id = %q, api_key = %q, timeout = 20 }
    local first, second = client:start_balance "USD", client:start_balance "SGD"
    while not second:dirty() do client:step(1) end
    collectgarbage()
    collectgarbage "stop"
    local starved, ok = fork.starve(n, function() second:step() end, STRIKES)
    collectgarbage "restart"
    if not ok then raised = raised + 1 end
    local ends = clock() + 10
    while not first:step() and clock() < ends do client:step(0.2) end
    local balance, message, err = first:result()
    assert(balance or err.kind == "memory", message)
    client:close()
    return starved
  end

  local n = 0
  while try(n) do n = n + 1 end
  print(raised > 3 and "all" or raised)
  io.stdout:flush()
  fork.leave(0)
]]

describe("a login that an error has ended", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("is begun again by the calls that wait for it", function()
    if rawget(_G, "jit") then return end -- where a lack of memory leaves tables torn
    -- Newer ones collect garbage, and try again.
    local strikes = _VERSION == "Lua 5.1" and "1" or "2"
    assert.equal("all\n", driver.output(driver.command("env",
      "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath, "timeout", "60",
      os.getenv "UQPAY_LUA", "-e", (CODE:format(sandbox.http_url, sandbox.client_id,
      sandbox.api_key):gsub("STRIKES", strikes))) .. " 2>&1"))
  end)
end)
