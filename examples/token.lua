-- A token from a file that another program writes: read for every call, and once more
-- when the API rejects it. With a second result, the expiry in Unix seconds, the client
-- would keep it until a minute before that. UQPAY_TOKEN_FILE names the file; the rest is
-- as in balance.lua.

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
