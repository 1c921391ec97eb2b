-- A handler that watches one balance: 200 while it is high enough, 503 if it is low, 502
-- if it is not known. testing.conf tests it.

local cjson = require "cjson"
local uqpay = require "uqpay"

-- Returns the handler for a client of resty.uqpay.
return function(client, currency, least)
  least = uqpay.amount(least)
  return function()
    local balance, message, err = client:balance(currency, { amounts = "exact" })
    if balance then
      local low = balance.available_balance < least
      ngx.status = low and 503 or 200
      return ngx.say(cjson.encode {
        low = low, available = tostring(balance.available_balance),
      })
    end
    ngx.log(ngx.WARN, message)
    ngx.status = 502
    ngx.say(cjson.encode { kind = err.kind })
  end
end
