-- One balance, and nothing else.
--
-- UQPAY_TOKEN      the access token
-- UQPAY_BASE_URL   another server than the public sandbox (optional)
-- UQPAY_CA_FILE    the authorities that it is trusted by (optional)

local uqpay = require "uqpay"

local client = uqpay.new {
  token = os.getenv "UQPAY_TOKEN",
  base_url = os.getenv "UQPAY_BASE_URL",
  ca_file = os.getenv "UQPAY_CA_FILE",
}

local balance, message = client:balance "USD"
if not balance then error(message, 0) end

print(balance.currency, balance.available_balance, balance.balance_status)
