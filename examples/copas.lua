-- Several balances at once in copas threads, while the program does other work between
-- the steps of copas. Environment as in balances.lua.

local copas = require "copas"
local uqpay = require "uqpay.copas"

local client = uqpay.from_env()

local queries = {
  { currency = "USD" }, { currency = "SGD" },
  { currency = "USD", on_behalf_of = os.getenv "UQPAY_SUB_ACCOUNT" },
}
local answers, left, ticks = {}, #queries, 0

for n, query in ipairs(queries) do
  copas.addthread(function()
    local balance, message = client:balance(query)   -- yields to copas
    answers[n] = balance and balance.available_balance or message
    left = left - 1
  end)
end

while left > 0 do   -- copas.loop() ends then, too; not that of copas 1
  ticks = ticks + 1
  copas.step(0.001)
end
client:close()

for n, query in ipairs(queries) do
  print(query.on_behalf_of or "master", query.currency, answers[n])
end
print("ticks at the same time:", ticks)
