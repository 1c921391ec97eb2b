-- Every example runs against the sandbox, as it stands.

local driver = require "spec.support.driver"
local sandbox = require "spec.support.sandbox"

-- What each example prints: patterns, in this order.
local expected = {
  ["balance.lua"] = { "^USD\t5000%.25\tACTIVE\n$" },
  ["balances.lua"] = { "master +USD +5000%.25 ", "master +SGD +10000%.00 ",
                       " USD +111%.11 " },
  ["errors.lua"] = { "^USD\t5000%.25\n", "ZZZ\tinvalid_request\t", "HTTP 400 ",
                     "status 400\trequest %x+" },
  ["token.lua"] = { "^reading the token: new\n", "5000%.25\n$" },
  ["hooks.lua"] = { "^POST https://%S+:%d+/api/v1/issuing/balances attempt 1, key ",
                    "  200 in %d+%.%d+ s, request %x+\n", "5000%.25\n$" },
}

local function run(example)
  local file = assert(io.open(sandbox.token_file, "w"))
  file:write(sandbox.token, "\n")
  file:close()
  local command = driver.command("env", "UQPAY_BASE_URL=" .. sandbox.url,
    "UQPAY_CA_FILE=" .. sandbox.ca_file, "UQPAY_TOKEN=" .. sandbox.token,
    "UQPAY_TOKEN_FILE=" .. sandbox.token_file,
    "UQPAY_SUB_ACCOUNT=" .. sandbox.sub_account,
    "LUA_CPATH=" .. package.cpath, os.getenv "UQPAY_LUA", "examples/" .. example)
  return driver.output(command .. " 2>&1")
end

describe("the example", function()
  setup(function()
    sandbox.start()
    sandbox.token_file = os.tmpname()
  end)
  teardown(function() os.remove(sandbox.token_file) end)
  before_each(sandbox.reset)

  for example in driver.output("ls examples"):gmatch "[^\n]+" do
    it(example .. " prints what it should", function()
      local output = run(example)
      assert.is_truthy(expected[example], "no expectation for " .. example)
      local at = 1
      for _, pattern in ipairs(expected[example]) do
        local _, last = output:find(pattern, pattern:sub(1, 1) == "^" and 1 or at)
        assert.is_truthy(last, pattern .. " not found in:\n" .. output)
        at = last + 1
      end
    end)
  end
end)
