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
                       "total +USD +7810873%.11 +4737%.17 +432%.56\n",
                       "8 accounts are not active\n$" },
  ["errors.lua"] = { "^USD\t5000%.25\n", "ZZZ\tinvalid_request\t", "HTTP 400 ",
                     "status 400\trequest %x+" },
  ["login.lua"] = { "^USD\t5000%.25\n",
                    "logins: 1; the token is good for 30 minutes\n$" },
  ["transactions.lua"] = { "^ADJUSTMENT +4 +11362%.47\n", "FEE +3 +10285%.49\n",
                           "TRANSFER_OUT +9 +8745%.77\n$" },
  ["token.lua"] = { "^reading the token: new\n", "5000%.25\n$" },
  ["hooks.lua"] = { "^POST https://%S+:%d+/api/v1/issuing/balances attempt 1, key ",
                    "  200 in %d+%.%d+ s, request %x+\n", "5000%.25\n$" },
  ["cqueues.lua"] = at_once, ["luv.lua"] = at_once, ["copas.lua"] = at_once,
}

local folder

local function run(example)
  local command = driver.command("sh", "-c", '. "$0" && exec env "$@"', sandbox.exports,
    "UQPAY_TOKEN_STORE=" .. folder .. "/tokens", "UQPAY_RATE_LIMIT=100000",
    "LUA_CPATH=" .. package.cpath, os.getenv "UQPAY_LUA", "examples/" .. example)
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
