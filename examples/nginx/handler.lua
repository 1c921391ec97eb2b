-- The handlers of examples/nginx.conf: balances as JSON, a health check, and counters for
-- Prometheus. Loaded by init_by_lua; each worker opens connections of its own.

local cjson = require "cjson"
local uqpay = require "resty.uqpay"

local handler = {}

local client = uqpay.from_env {
  shared = "uqpay", cache = { ttl = 2, stale = 60 },
  timeout = 10, amounts = "string",
}

-- Our status for a kind of error; 502 for all others: the failure is UQPAY's or ours, and
-- the end user's request is not to blame. What a login (endpoint "token") is refused for
-- is never the end user's doing.
local statuses = { rate_limit = 503, timeout = 504 }
local of_requests = { invalid_request = 400, not_found = 404 }

local function status_of(err)
  return statuses[err.kind] or err.endpoint ~= "token" and of_requests[err.kind] or 502
end

local function say(status, value)
  ngx.status = status
  ngx.say(cjson.encode(value))
end

-- /balance/USD, /balance/USD?account=<id of a connected account>
function handler.balance()
  local balance, message, err = client:balance(ngx.var.currency,
    { on_behalf_of = ngx.var.arg_account })
  if balance then
    return say(200, balance)
  elseif err.kind == "invalid_request" and err.attempts == 0 then -- nothing was sent
    return say(400, { kind = err.kind, message = message })
  end
  ngx.log(ngx.WARN, message)
  if err.kind == "rate_limit" then
    ngx.header["Retry-After"] = math.ceil(err.retry_after or 1)
  end
  say(status_of(err), { kind = err.kind, request_id = err.request_id })
end

-- Whether there is a token to ask with; all workers share it, so this asks UQPAY rarely.
function handler.health()
  local token, _, err = client:token()
  say(token and 200 or 503,
    { status = token and "up" or "down", kind = err and err.kind })
end

-- A scrape comes to one worker: each leaves its counts where all find them.
local function publish()
  if ngx.worker.exiting() then return end -- its number is another's
  ngx.shared.metrics:set(ngx.worker.id(), cjson.encode(client:stats()))
end

function handler.metrics()
  publish()
  local lines = {}
  for worker = 0, ngx.worker.count() - 1 do
    local counts = cjson.decode(ngx.shared.metrics:get(worker) or "{}")
    for name, count in pairs(counts) do
      lines[name] = lines[name] or { ("# TYPE uqpay_%s_total counter"):format(name) }
      table.insert(lines[name], ('uqpay_%s_total{worker="%d"} %.0f'):format(name, worker,
        count))
    end
  end
  for _, list in pairs(lines) do ngx.say(table.concat(list, "\n")) end
end

-- The token is there, and a connection open, before the first request needs them.
function handler.start_worker()
  ngx.timer.at(0, function() client:token() end)
  ngx.timer.every(5, publish)
end

return handler
