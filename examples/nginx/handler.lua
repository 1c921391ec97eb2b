-- The handlers of examples/nginx.conf: balances as JSON, a health check, counters and a
-- histogram for Prometheus. Loaded by init_by_lua; each worker opens its own connections.

local cjson = require "cjson"
local uqpay = require "resty.uqpay"

local handler = {}

-- Seconds; the upper ends of the histogram's buckets.
local buckets = { 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, math.huge }

-- Counts the duration of an attempt in the dictionary of all workers. Each count is of
-- one bucket only; they are summed when they are read.
local function observe(info)
  local metrics, n = ngx.shared.metrics, 1
  while info.elapsed > buckets[n] do n = n + 1 end
  metrics:incr(info.endpoint .. n, 1, 0)
  metrics:incr(info.endpoint, info.elapsed, 0)
end

local client = uqpay.from_env {
  shared = "uqpay", cache = { ttl = 2, stale = 60 },
  timeout = 10, amounts = "string", on_response = observe,
}

-- HTTP status for a kind of error; 502 for all others: a failure of UQPAY or of this
-- server, not of the end user. Neither is a rejected login (endpoint "token").
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

-- "up" if there is a token. All workers share it, so this rarely calls UQPAY.
function handler.health()
  local token, _, err = client:token()
  say(token and 200 or 503,
    { status = token and "up" or "down", kind = err and err.kind })
end

-- One worker answers a scrape: each worker publishes its counts in the dictionary.
local function publish()
  if ngx.worker.exiting() then return end -- a new worker has its number
  ngx.shared.metrics:set(ngx.worker.id(), cjson.encode(client:stats()))
end

local function say_histogram(endpoint)
  local metrics, name = ngx.shared.metrics, "uqpay_attempt_duration_seconds"
  local count = 0
  for n, le in ipairs(buckets) do
    count = count + (metrics:get(endpoint .. n) or 0)
    ngx.say(('%s_bucket{endpoint="%s",le="%s"} %d'):format(name, endpoint,
      le == math.huge and "+Inf" or le, count))
  end
  ngx.say(('%s_sum{endpoint="%s"} %.6f'):format(name, endpoint,
    metrics:get(endpoint) or 0))
  ngx.say(('%s_count{endpoint="%s"} %d'):format(name, endpoint, count))
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
  ngx.say "# TYPE uqpay_attempt_duration_seconds histogram"
  for _, endpoint in ipairs { "balance", "token" } do say_histogram(endpoint) end
end

-- Gets the token and opens a connection before the first request needs them.
function handler.start_worker()
  ngx.timer.at(0, function() client:token() end)
  ngx.timer.every(5, publish)
end

return handler
