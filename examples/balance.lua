-- One balance.
--
-- UQPAY_TOKEN, or          the access token; or
-- UQPAY_CLIENT_ID and      the credentials for a login
-- UQPAY_API_KEY
-- UQPAY_ENV                "sandbox" (the default) or "production"
-- UQPAY_BASE_URL           another server, instead of UQPAY_ENV (optional)
-- UQPAY_CA_FILE            a CA bundle, instead of the system's (optional)
--
-- `make sandbox` prints these for a server on this machine.

local uqpay = require "uqpay"

local client = uqpay.from_env()

local balance, message = client:balance "USD"
if not balance then error(message, 0) end

print(balance.currency, balance.available_balance, balance.balance_status)
