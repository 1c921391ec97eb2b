-- Lua may run a finalizer at any of its allocations. One that closed the client while
-- `balance` was at work made it use memory that was freed.

local driver = require "spec.support.driver"
local faulty = require "spec.support.faulty_driver"

-- In the child: at every allocation there is a collection; each one finds one piece of
-- garbage, whose finalizer drops the next one. The one of this number acts.
local prelude = [[
  local uqpay = require "uqpay"
  local pieces, armed, left, act
  local function finalizer()
    if not armed then return end
    left = left - 1
    if left == 0 then act() end
    pieces[left] = nil
    collectgarbage "restart"    -- 5.2 rests after a finalizer
  end
  local function piece()
    if not newproxy then return setmetatable({}, { __gc = finalizer }) end
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = finalizer
    return proxy
  end
  local function arm(number, what)
    pieces, left, act = {}, number, what
    for n = 0, number do pieces[n] = piece() end
    collectgarbage("setpause", 0)
    collectgarbage("setstepmul", 1000000)
    if _VERSION == "Lua 5.4" then collectgarbage("incremental", 0, 1000, 30) end
    collectgarbage()
    armed = true
    pieces[number] = nil
    collectgarbage "restart"
  end
  local function disarm()
    armed = false
    collectgarbage("setpause", 200)
    return left <= 0
  end
]]

local function run(code, ...)
  local text = driver.output(driver.command("env", "LUA_PATH=" .. package.path,
    "LUA_CPATH=" .. package.cpath, os.getenv "UQPAY_LUA", "-e",
    prelude .. code:format(...)) .. " 2>&1; echo \"exit $?\"")
  local output, status = text:match "^(.*)exit (%d+)\n$"
  assert.equal("0", status, output)
  return output
end

-- The same again and again: at the first, second, ... allocation the finalizer acts.
local close = [[
  local seen = {}
  for number = 1, 1000 do
    local function hook() end
    local client = uqpay.new {
      base_url = %q, retry_delay = 0, timeout = 20, max_retries = 5,
      token = function(reason) return "token-" .. reason end,
      on_request = hook, on_response = hook, on_retry = hook,
    }
    arm(number, function() client:close() end)
    local ok, value, _, err = pcall(client.balance, client, "USD")
    local acted = disarm()
    client:close()
    if not acted then break end
    seen[not ok and value or value and "balance" or err.kind] = true
  end
  for sort in pairs(seen) do print(sort) end
]]

local empty = [[
  for number = 1, 1000 do
    local options = { token = "token", currency = "USD", base_url = "https://127.0.0.1/",
      ca_file = "/ca", app_info = { name = "n", version = "1" }, on_request = print,
      proxy = "http://127.0.0.1:1", retry_delay = 9 }
    arm(number, function()
      for _, list in ipairs { options.app_info or {}, options } do
        for name in pairs(list) do list[name] = nil end
      end
      collectgarbage()
    end)
    local ok, client = pcall(uqpay.new, options)
    local acted = disarm()
    assert(ok or client:find "bad option", client)
    if ok then print(tostring(client)) client:close() end
    if not acted then break end
  end
]]

local function http(status, body)
  return ("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s"):format(status, #body, body)
end

local refused = { read = true, send = http("401 No", '{"error":"token has expired"}') }
local failing = { read = true, send = http("502 Bad", "<html>") }
local wrong = { read = true, keep = true, send = http("400 Bad",
  '{"type":"t","code":"c","message":"m","missing_fields":["a","b"]}') }
local good = { read = true, keep = true, send = http("200 OK",
  '{"balance_id":"x","currency":"USD","available_balance":1.5,"margin_balance":2,'
  .. '"frozen_balance":3,"create_time":"a","last_trade_time":"b",'
  .. '"balance_status":"ACTIVE","note":[1,null,"x"]}') }

-- What each connection does, and how the call may end but for being canceled.
local cases = {
  { "a balance", { good }, "balance" },
  { "an error", { wrong }, "invalid_request" },
  { "a new token", { refused, good }, "balance", "auth" },
  { "a retry", { failing, good }, "balance", "api" },
}

describe("a finalizer", function()
  local server
  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  for _, case in ipairs(cases) do
    it("may close the client within a call that is to end in " .. case[1], function()
      server = faulty.start { case[2] }
      local allowed = { canceled = 1, ["attempt to use a closed uqpay client"] = 2 }
      for n = 3, #case do allowed[case[n]] = n end
      local seen = {}
      local output = run(close, server.url)
      for sort in output:gmatch "[^\n]+" do
        assert.is_truthy(allowed[sort], output)
        seen[sort] = true
      end
      assert.is_true(seen.canceled)
    end)
  end

  it("may empty the options while a client is made of them", function()
    for line in run(empty):gmatch "[^\n]+" do
      assert.matches("^uqpay.client %(", line)
    end
  end)
end)
