-- What to do about each kind of error. Environment as in balance.lua.

local uqpay = require "uqpay"

local client = uqpay.from_env {
  timeout = 10,   -- seconds, over all attempts and the waits between them
}

local advice = {
  auth = "get a new token",
  permission = "ask for the product to be enabled, or use the right environment",
  invalid_request = "correct the request: a retry does not help",
  rate_limit = "slow down",
  timeout = "retry later",
  connect = "retry later",
  tls = "check ca_file and the server at that address",
}

for _, currency in ipairs { "USD", "ZZZ" } do
  local balance, message, err = client:balance(currency)
  if balance then
    print(currency, balance.available_balance)
  else
    print(currency, err.kind, advice[err.kind] or "report it")
    print("", message)
    print("", "status " .. tostring(err.status), "request " .. tostring(err.request_id))
  end
end
