-- A log line for every attempt, answer and retry. Hooks receive no secret and cannot
-- change a result. Environment as in balance.lua.

local uqpay = require "uqpay"

local function log(format, ...)
  print(format:format(...))
end

local client = uqpay.from_env {
  app_info = { name = "balance-report", version = "1.0" },
  on_request = function(info)
    log("%s %s attempt %d, key %s", info.method, info.url, info.attempt,
        info.idempotency_key)
  end,
  on_response = function(info)
    log("  %s in %.3f s, request %s", info.status or info.kind, info.elapsed,
        info.request_id or "-")
  end,
  on_retry = function(info)
    log("  retry in %.2f s: %s", info.wait, info.message)
  end,
}

print(assert(client:balance "USD").available_balance)
