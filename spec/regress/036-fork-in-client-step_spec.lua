-- client:step looked at the process when it began, and never again: after a fork within
-- a debug hook the child read its parent's answers. And in a child without calls it said
-- that one could be stepped.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

local prelude = [[
  local fork, uqpay = require "fork", require "uqpay"
  local client = uqpay.new {
    base_url = %q, ca_file = %q, token = %q, timeout = 20, amounts = "string",
  }
  local function finish(call)
    while not call:step() do client:step(20) end
    local balance, _, err = call:result()
    return balance and balance.available_balance or err.kind
  end
  local function say(...)
    print(...)
    io.stdout:flush()
  end
]]

-- Runs code in a child of its own, and returns what it printed.
local function run(code)
  local text = driver.output(driver.command("env", "LUA_CPATH=" .. package.cpath,
    os.getenv "UQPAY_LUA", "-e", prelude:format(sandbox.url, sandbox.ca_file,
    sandbox.token) .. code) .. " 2>&1; echo \"exit $?\"")
  local output, status = text:match "^(.*)exit (%d+)\n$"
  assert.equal("0", status, output)
  return output
end

describe("a child", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("forked by a debug hook within client:step leaves its parent the calls", function()
    sandbox.fault { kind = "delay", seconds = 0.6 }
    assert.equal("child\ttrue\tforked\nparent\t5000.25\tSGD 10000.00\t1\n", run [[
      local call = client:start_balance "USD"
      local pid
      local armed = false
      debug.sethook(function()
        if not armed then return end
        armed = false
        pid = fork.fork()
        -- the child has to end before the parent continues
        if pid ~= 0 then fork.wait(pid) end
      end, "l")
      -- the next line to run is the one within the wait
      armed = true client:step(20)
      debug.sethook()
      if pid == 0 then
        say("child", client:step(20), finish(call))
        fork.leave(0)
      end
      assert(pid)
      local amount = finish(call)
      local other = client:start_balance "SGD"
      say("parent", amount, "SGD " .. finish(other), client:stats().connections)
      client:close()
    ]])
  end)

  it("without calls has nothing to step", function()
    assert.equal("false\tnil\tnil\tnil\nforked\n", run [[
      assert(client:balance "USD")
      local pid = fork.fork()
      if pid == 0 then
        say(client:step(20), client:timeout(), client:ready(), client:pollfd())
        say(finish(client:start_balance "USD"))
        fork.leave(0)
      end
      fork.wait(pid)
    ]])
  end)

  it("has every call of its parent's to step, and each says so", function()
    sandbox.fault { kind = "delay", seconds = 0.3, times = 3 }
    assert.equal("true\t0\n1\tforked\n2\tforked\n3\tforked\nnil\tnil\n"
      .. "5000.25\t5000.25\t5000.25\n", run [[
      local calls = {}
      for n = 1, 3 do calls[n] = client:start_balance "USD" end
      local pid = fork.fork()
      if pid == 0 then
        say(client:step(20), client:timeout() == 0 and 0)
        local ids = {}
        for call in client.ready, client do ids[#ids + 1] = call:id() end
        table.sort(ids)
        for _, id in ipairs(ids) do
          assert(calls[id]:id() == id and calls[id]:step())
          say(id, finish(calls[id]))
        end
        say(client:ready(), client:timeout())
        fork.leave(0)
      end
      fork.wait(pid)
      say(finish(calls[1]), finish(calls[2]), finish(calls[3]))
      client:close()
    ]])
  end)
end)
