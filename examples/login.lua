-- A login by client_id and api_key. All runs of the program share its token, as cron jobs
-- and command-line tools should: see "Sharing a token between processes" in the README.
--
-- UQPAY_TOKEN_STORE   the file for the token (optional)
--
-- The rest is as in balance.lua, without UQPAY_TOKEN: a token store is for logins.

local uqpay = require "uqpay"

local path = os.getenv "UQPAY_TOKEN_STORE" or os.getenv "HOME" .. "/.uqpay-tokens"

local client = uqpay.from_env { token_store = uqpay.file_store(path) }

local balance, message = client:balance "USD"
if not balance then error(message, 0) end   -- "login failed: ..." if it was the login
print(balance.currency, balance.available_balance)

local _, ends = assert(client:token())
print(("logins: %d; the token is good for %.0f minutes"):format(client:stats().logins,
  (ends - os.time()) / 60))

client:close()
