-- Every example runs against the sandbox, as it stands, under the variables that
-- `make sandbox` prints (nginx.conf: in nginx_spec.lua).

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

local version = rawget(_G, "jit") and "LuaJIT" or _VERSION
local at_once = { "^master\tUSD\t5000%.25\n", "master\tSGD\t10000", "\tUSD\t111%.11\n",
                  "ticks at the same time:\t[1-9]%d*\n$" }

-- Examples that are skipped because a package is missing, and why.
local missing = {}
for _, loop in ipairs { "cqueues", "luv" } do
  if not driver.has_loop(loop) then
    missing[loop .. ".lua"] = "there is no package of " .. loop .. " for " .. version
  end
end
local major, why = driver.copas()
if not major then missing["copas.lua"] = why end

-- Patterns of what each example prints, in this order.
local expected = {
  ["balance.lua"] = { "^USD\t5000%.25\tACTIVE\n$" },
  ["balances.lua"] = { "master +USD +5000%.25 ", "master +SGD +10000%.00 ",
                       " USD +111%.11 " },
  ["amounts.lua"] = { "^USD\t5000%.25\t2026%-11%-02 01:05:00\n", "SGD\t10000%.00\t",
                      "USD\t111%.11\t", "total\t10%p000%.00 SGD\t1000000\n",
                      "total\t5%p111%.36 USD\t511136\n", "missing\t888%.64 USD\n",
                      "tenths\t100%.0\n$" },
  -- more of it in across_accounts_spec.lua
  ["accounts.lua"] = { "^account +status +available +margin +frozen\n",
                       " ACTIVE +SGD +222%.20 +0%.00 +22\n", " CLOSED +skipped\n",
                       "total +USD +2417743%.99 +2416%.06 +423%.74\n",
                       "8 accounts are not active\n$" },
  ["errors.lua"] = { "^USD\t5000%.25\n", "ZZZ\tinvalid_request\t", "HTTP 400 ",
                     "status 400\trequest %x+" },
  ["login.lua"] = { "^USD\t5000%.25\n",
                    "logins: 1; the token is good for 30 minutes\n$" },
  ["transactions.lua"] = { "^ADJUSTMENT +4 +%-1351%.82\n", "FEE +6 +11837%.36\n",
                           "TRANSFER_OUT +4 +14216%.16\n$" },
  ["token.lua"] = { "^reading the token: new\n", "5000%.25\n$" },
  ["hooks.lua"] = { "^POST https://%S+:%d+/api/v1/issuing/balances attempt 1, key ",
                    "  200 in %d+%.%d+ s, request %x+\n", "5000%.25\n$" },
  ["testing_spec.lua"] = { "\n7 successes / 0 failures / 0 errors / 0 pending" },
  ["cqueues.lua"] = at_once, ["luv.lua"] = at_once, ["copas.lua"] = at_once,
}

local folder
local unpack = table.unpack or unpack -- luacheck: ignore

-- The words of the command that runs an example: Lua, or busted.
local function program(example)
  local file = "examples/" .. example
  if not example:find "_spec" then return { os.getenv "UQPAY_LUA", file } end
  return { "sh", "spec/support/busted.sh", "-o", "plainTerminal", file }
end

local function run(example)
  local command = driver.command("sh", "-c", '. "$0" && exec env "$@"', sandbox.exports,
    "UQPAY_TOKEN_STORE=" .. folder .. "/tokens", "UQPAY_RATE_LIMIT=100000",
    "LUA_CPATH=" .. package.cpath, unpack(program(example)))
  return driver.output(command .. " 2>&1")
end

describe("the example", function()
  setup(function()
    sandbox.start()
    folder = driver.directory "examples"
  end)
  teardown(function()
    os.execute(driver.command("rm", "-rf", folder))
  end)
  before_each(sandbox.reset)

  for example in driver.output("ls examples"):gmatch "[^\n]+%.lua" do
    it(example .. " prints what it should", function()
      if missing[example] then
        pending(missing[example])
        return
      end
      local output = driver.pointed(run(example))
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
