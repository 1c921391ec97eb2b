-- Several balances at once in libuv's loop, while other work runs in it. Environment
-- as in balances.lua.

local uv = require "luv"
local uqpay = require "uqpay.luv"

local client = uqpay.from_env()

local queries = {
  { currency = "USD" }, { currency = "SGD" },
  { currency = "USD", on_behalf_of = os.getenv "UQPAY_SUB_ACCOUNT" },
}
local answers, left, ticks = {}, #queries, 0

local timer = uv.new_timer()
timer:start(0, 1, function()
  ticks = ticks + 1
end)

for n, query in ipairs(queries) do
  coroutine.wrap(function()
    local balance, message = client:balance(query)   -- yields to the loop
    answers[n] = balance and balance.available_balance or message
    left = left - 1
    if left == 0 then timer:close() end
  end)()
end

uv.run()
client:close()

for n, query in ipairs(queries) do
  print(query.on_behalf_of or "master", query.currency, answers[n])
end
print("ticks at the same time:", ticks)
