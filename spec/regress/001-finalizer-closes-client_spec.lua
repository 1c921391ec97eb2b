-- Lua may run a finalizer at any of its allocations. One that closed the client while
-- `balance` was at work made it use memory that was freed.

local faulty = require "spec.support.faulty_driver"
local finalizers = require "spec.support.finalizers"
local fixture = require "spec.support.fixture"

local http = fixture.http

-- The same again and again: at the first, second, ... allocation the finalizer acts.
local close = [[
  local uqpay = require "uqpay"
  local seen = {}
  for number = 1, 1000 do
    local function hook() end
    local client = uqpay.new {
      base_url = %q, retry_delay = 0, timeout = 20, max_retries = 5,
      token = function(reason) return "token-" .. reason end,
      on_request = hook, on_response = hook, on_retry = hook,
    }
    arm(number, function(n) if n == number then client:close() end end)
    local ok, value, _, err = pcall(client.balance, client, "USD")
    local run = disarm()
    client:close()
    if run < number then break end
    seen[not ok and value or value and "balance" or err.kind] = true
  end
  for sort in pairs(seen) do print(sort) end
]]

local empty = [[
  local uqpay = require "uqpay"
  for number = 1, 1000 do
    local options = { token = "token", currency = "USD", base_url = "https://127.0.0.1/",
      ca_path = "/", app_info = { name = "n", version = "1" }, on_request = print,
      proxy = "http://127.0.0.1:1", retry_delay = 9 }
    arm(number, function(n)
      if n < number then return end
      for _, list in ipairs { options.app_info or {}, options } do
        for name in pairs(list) do list[name] = nil end
      end
      collectgarbage()
    end)
    local ok, client = pcall(uqpay.new, options)
    local run = disarm()
    assert(ok or client:find "bad option", client)
    if ok then print(tostring(client)) client:close() end
    if run < number then break end
  end
]]

local refused = { read = true, send = http('{"error":"token has expired"}', "401 No") }
local failing = { read = true, send = http("<html>", "502 Bad") }
local wrong = { read = true, keep = true, send = http(
  '{"type":"t","code":"c","message":"m","missing_fields":["a","b"]}', "400 Bad") }
local good = { read = true, keep = true, send = http(
  (fixture.body("1.5"):gsub("}$", ',"note":[1,null,"x"]}'))) }

-- The fault of each connection, and the outcomes of the call other than canceled.
local cases = {
  { "a balance", { good }, "balance" },
  { "an error", { wrong }, "invalid_request" },
  { "a new token", { refused, good }, "balance", "auth" },
  { "a retry", { failing, good }, "balance", "api" },
}

describe("a finalizer", function()
  after_each(faulty.stop)

  for _, case in ipairs(cases) do
    it("may close the client within a call that is to end in " .. case[1], function()
      local server = faulty.serve(case[2])
      local allowed = { canceled = 1, ["attempt to use a closed uqpay client"] = 2 }
      for n = 3, #case do allowed[case[n]] = n end
      local seen = {}
      local output = finalizers.run(close:format(server.url))
      for sort in output:gmatch "[^\n]+" do
        assert.is_truthy(allowed[sort], output)
        seen[sort] = true
      end
      assert.is_true(seen.canceled)
    end)
  end

  it("may empty the options while a client is made of them", function()
    local output = finalizers.run(empty)
    assert.is_true(#output > 0)
    for line in output:gmatch "[^\n]+" do
      assert.matches("^uqpay.client %(", line)
    end
  end)
end)
