-- threads.lua PROGRAM [THREADS [ROUNDS]]: runs threads.c beside a sandbox.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

sandbox.start()

local prelude = ([[
  local uqpay = require "uqpay"
  local function client(changes)
    local options = { base_url = %q, ca_file = %q, token = %q, timeout = 120 }
    for name, value in pairs(changes or {}) do options[name] = value end
    return uqpay.new(options)
  end
]]):format(sandbox.url, sandbox.ca_file, sandbox.token)

-- Each its own answers: the amounts differ by account and currency.
local code = prelude .. ([[
  local wanted = { USD = 5000.25, SGD = 10000 }
  local c = client { on_response = function() collectgarbage() end }
  for currency, amount in pairs(wanted) do
    assert(assert(c:balance(currency)).available_balance == amount)
  end
  assert(select(3, c:balance "ZZZ").kind)
  local n = 0
  for query, balance, message in c:batch({ "USD", "SGD", "USD" }, { concurrency = 3 })
    do
    assert(assert(balance, message).available_balance == wanted[query])
    n = n + 1
  end
  assert(n == 3)
  c:close()
  local in_clear = client { base_url = %q, amounts = "exact" }
  assert(tostring(assert(in_clear:balance "USD").available_balance) == "5000.25")
  assert(uqpay.uuid() ~= uqpay.uuid())
  assert(select(3, client { base_url = "https://127.0.0.1:1/api", max_retries = 0 }
    :balance "USD").kind == "connect")
  in_clear:start_balance "USD"      -- in flight when the state is closed
]]):format(sandbox.http_url)

local last = prelude .. [[
  local c = client { base_url = "https://nobody.invalid/api" }
  Call = c:start_balance "USD"
  c:step(0)
]]

local status = os.execute(driver.command(arg[1], arg[2] or 32, arg[3] or 5, code, last))
sandbox.stop()
os.exit((status == true or status == 0) and 0 or 1)
