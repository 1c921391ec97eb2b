-- Several balances at once in a cqueues controller, while other work runs in it.
-- Environment as in balances.lua.

local cqueues = require "cqueues"
local uqpay = require "uqpay.cqueues"

local client = uqpay.from_env()

local queries = {
  { currency = "USD" }, { currency = "SGD" },
  { currency = "USD", on_behalf_of = os.getenv "UQPAY_SUB_ACCOUNT" },
}
local answers, left, ticks = {}, #queries, 0
local controller = cqueues.new()

for n, query in ipairs(queries) do
  controller:wrap(function()
    local balance, message = client:balance(query)   -- yields to the controller
    answers[n] = balance and balance.available_balance or message
    left = left - 1
  end)
end

controller:wrap(function()
  while left > 0 do
    ticks = ticks + 1
    cqueues.sleep(0.001)
  end
end)

assert(controller:loop())
client:close()

for n, query in ipairs(queries) do
  print(query.on_behalf_of or "master", query.currency, answers[n])
end
print("ticks at the same time:", ticks)
