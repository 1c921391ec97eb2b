-- A token that is read where another program leaves it: for every call, and once more
-- when the API refuses it. A second result, its end in Unix seconds, would have it kept
-- until a minute before. UQPAY_TOKEN_FILE names the file; the rest is as in balance.lua.

local uqpay = require "uqpay"

local function read_token(reason)   -- "new", "expired" or "rejected"
  print("reading the token: " .. reason)
  local file, message = io.open(os.getenv "UQPAY_TOKEN_FILE" or "token.txt")
  if not file then return nil, message end
  local token = file:read "*l"      -- without the line end
  file:close()
  return token
end

local client = uqpay.from_env { token = read_token }

print(assert(client:balance "USD").available_balance)
