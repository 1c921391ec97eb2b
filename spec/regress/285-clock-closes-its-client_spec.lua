-- A program's clock that closed its client, when a method of the client read it, left the
-- method with a client without a transport: client:timeout() and client:pollfd() crashed.

local driver = require "spec.support.driver"

local METHODS = { "timeout", "pollfd", "step", "ready", "events", "stats", "balance",
  "start_balance", "token" }

-- Runs in a child, which may crash. Prints what each method raised.
local CODE = [[
  local uqpay = require "uqpay"
  local closes
  for name in ("METHODS"):gmatch "%S+" do
    local client
    client = uqpay.new {
      token = "token-of-the-program",
      transport = function() return { status = 503 } end,
      clock = {
        now = function()
          if closes then client:close() end
          return 1
        end,
        sleep = function() end,
      },
    }
    local call = client:start_balance "USD"
    closes = true
    local argument = name:find "balance" and "USD" or nil
    print(name, select(2, pcall(client[name], client, argument)))
    print(call:step(), call:done(), (select(3, call:result())).kind)
    closes = false
  end
]]

describe("a clock that closes its client", function()
  it("makes the method raise that it is closed", function()
    local text = driver.output(driver.command("env", "LUA_INIT=",
      "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath, os.getenv "UQPAY_LUA",
      "-e", (CODE:gsub("METHODS", table.concat(METHODS, " ")))) .. " 2>&1")
    local expected = {}
    for n, name in ipairs(METHODS) do
      expected[n] = name .. "\tattempt to use a closed uqpay client\n"
        .. "true\ttrue\tcanceled\n"
    end
    assert.equal(table.concat(expected), text)
  end)
end)
