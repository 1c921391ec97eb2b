-- A login that ran out of memory behind one of its hooks left alone the calls which that
-- hook had started: nothing woke them until their deadline.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

-- Each allocation of a call whose login fails is refused in turn.
local CODE = [[
  local fork, uqpay = require "fork", require "uqpay"
  local clock = require "uqpay.internal".clock
  local raised = 0

  local function drive(client, call, seconds)
    local ends = clock() + seconds
    while not call:done() and clock() < ends do
      client:step(0.05)
      for due in client.ready, client do due:step() end
    end
    return call:done()
  end

  local function try(n, hook)
    local second
    local options = { base_url = %q, client_id = %q, api_key = %q, max_retries = 1,
      retry_delay = 0.001, timeout = 20 }
    local client
    options[hook] = function() second = second or client:start_balance "USD" end
    client = uqpay.new(options)
    local first = client:start_balance "USD"
    collectgarbage "stop"
    local starved, ok, message = fork.starve(n, function()
      drive(client, first, 20)
    end, 2)
    collectgarbage "restart"
    assert(ok or message:find("not enough memory", 1, true), message)
    if not ok then raised = raised + 1 end
    if second then assert(drive(client, second, 10), hook .. " " .. n) end
    client:close()
    return starved
  end

  for _, hook in ipairs { "on_response", "on_retry" } do
    local n = 0
    while try(n, hook) do n = n + 1 end
  end
  assert(raised > 20)
  print "all"
  io.stdout:flush()
  fork.leave(0)
]]

describe("a login that runs out of memory", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("leaves no call alone that its hooks have started", function()
    if rawget(_G, "jit") then return end -- where it leaves even tables torn
    sandbox.fault { kind = "status", status = 503, endpoint = "token", times = 100000 }
    assert.equal("all\n", driver.output(driver.command("env",
      "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath, "timeout", "60",
      os.getenv "UQPAY_LUA", "-e",
      CODE:format(sandbox.http_url, sandbox.client_id, sandbox.api_key)) .. " 2>&1"))
  end)
end)
