-- The process was looked at when a call began, and never again: after a fork within
-- on_request or the token function the child sent its request on the parent's connection.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

local code = [[
  local fork, uqpay = require "fork", require "uqpay"
  local pid, armed
  local function split()
    if not armed then return end
    armed = false
    pid = fork.fork()
    -- the child has to end before the parent continues
    if pid ~= 0 then fork.wait(pid) end
  end
  local client = uqpay.new {
    base_url = %q, ca_file = %q, http_version = %q, timeout = 20, amounts = "string",
    %s
  }
  assert(client:balance "USD")
  armed = true
  local balance, message, err = client:balance "SGD"
  if pid == 0 then
    print("child", balance, err.kind, err.attempts)
    io.stdout:flush()
    fork.leave(0)
  end
  print("parent", balance and balance.available_balance, message)
  print("parent", client:balance "USD".available_balance)
  print("parent", client:stats().connections == 1)
  client:close()
]]

describe("a fork within a call", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  local places = {
    on_request = "token = %q, on_request = split,",
    ["the token function"] = "token = function() split() return %q end,",
  }

  for place, options in pairs(places) do
    for _, version in ipairs { "1.1", "2" } do
      it("in " .. place .. " leaves connection and answer to the parent, HTTP/"
        .. version, function()
        local text = driver.output(driver.command("env", "LUA_CPATH=" .. package.cpath,
          os.getenv "UQPAY_LUA", "-e", code:format(sandbox.url, sandbox.ca_file, version,
          options:format(sandbox.token))) .. " 2>&1; echo \"exit $?\"")
        assert.equal("child\tnil\tforked\t0\nparent\t10000.00\tnil\nparent\t5000.25\n"
          .. "parent\ttrue\nexit 0\n", text)
        local log = sandbox.requests()
        assert.equal(3, #log)
        for n = 1, 3 do assert.equal(log[1].connection, log[n].connection) end
      end)
    end
  end
end)
