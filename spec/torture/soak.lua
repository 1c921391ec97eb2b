-- soak.lua [BALANCES]: so many balances (100,000) from the sandbox over HTTP/1.1, and as
-- many over HTTP/2; one in twenty meets a fault. What was asked, answered, failed, sent
-- and received must add up to the last one, and nothing may grow.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local uqpay = require "uqpay"

local TOTAL = tonumber(arg[1]) or 100000
local ROUND = 1000      -- between two looks at the sums
local EVERY = 20
local WARM = 10         -- rounds before memory is looked at
local GROWTH = 2048     -- KiB, over 100,000: 20 bytes lost a call would be seen

-- What may happen, but for a 429, which would slow the client down. "again": the request
-- is sent once more; a kind: the call ends with it; "ok": neither.
local faults = {
  { "again", { kind = "drop_before" } },
  { "invalid_request", { kind = "status", status = 400, store = false } },
  { "again", { kind = "truncate" } },
  { "decode", { kind = "answer", body = "{" } },
  { "again", { kind = "status", status = 503, store = false } },
  { "ok", { kind = "delay", seconds = 0.005 } },
  { "protocol", { kind = "redirect" } },
  { "again", { kind = "drop_after" } },
  { "too_large", { kind = "huge", bytes = 1100000 } },
  { "again", { kind = "html" } },
  { "schema", { kind = "answer", body = "{}" } },
  { "decode", { kind = "empty" } },
}

local passed, failed = 0, 0

local function check(what, wanted, got)
  if wanted == got then
    passed = passed + 1
  else
    failed = failed + 1
    print(("FAILED: %s: %s wanted, %s got"):format(what, wanted, got))
  end
end

local function status_of(name)
  local file = assert(io.open "/proc/self/status")
  local value = file:read "*a":match(name .. ":%s+(%d+)")
  file:close()
  return tonumber(value)
end

local function descriptors()
  return #driver.lines(driver.output "ls /proc/$PPID/fd")
end

-- Orders the faults of a round for those that ask on behalf of another. Returns how many
-- there are of each outcome.
local turn = 0
local function order(n)
  local list, outcomes = {}, { drops = 0 }
  for i = 1, n do
    turn = turn + 1
    local outcome, fault = faults[turn % #faults + 1][1], {}
    for name, value in pairs(faults[turn % #faults + 1][2]) do fault[name] = value end
    fault.match = { ["x-on-behalf-of"] = sandbox.sub_account }
    list[i] = fault
    outcomes[outcome] = (outcomes[outcome] or 0) + 1
    if fault.kind:find "^drop" then outcomes.drops = outcomes.drops + 1 end
  end
  sandbox.fault(list)
  return outcomes
end

local function query(n)
  local other = n % EVERY == 0
  return { currency = "USD", on_behalf_of = other and sandbox.sub_account or nil }
end

-- Each way calls done(query, balance, message, err) for every one.
local ways = {}

function ways.blocking(client, done)
  for n = 1, ROUND do
    local asked = query(n)
    done(asked, client:balance(asked))
  end
end

function ways.batch(client, done)
  local n = 0
  local function source()
    n = n + 1
    return n <= ROUND and query(n) or nil
  end
  for asked, balance, message, err in client:batch(source, { concurrency = 16 }) do
    done(asked, balance, message, err)
  end
end

local function round(client, way, sums)
  sandbox.reset()
  local outcomes = order(ROUND / EVERY)
  local before, answered, kinds = client:stats(), 0, {}
  way(client, function(asked, balance, message, err)
    if balance then
      answered = answered + 1
      local wanted = asked.on_behalf_of and 111.11 or 5000.25
      if balance.available_balance ~= wanted then check("a balance", wanted, message) end
    else
      kinds[err.kind] = (kinds[err.kind] or 0) + 1
    end
  end)
  local after, arrived = client:stats(), math.floor(sandbox.counts().endpoints.balance)
  local lost = 0
  for outcome, n in pairs(outcomes) do
    if outcome ~= "ok" and outcome ~= "again" and outcome ~= "drops" then
      check("failures of the kind " .. outcome, n, kinds[outcome])
      lost = lost + n
    end
  end
  check("answers", ROUND - lost, answered)
  check("calls", ROUND, after.calls - before.calls)
  check("successes", answered, after.succeeded - before.succeeded)
  check("failures", lost, after.failed - before.failed)
  check("requests that arrived", ROUND + (outcomes.again or 0), arrived)
  check("faults left", 0, #sandbox.faults())
  -- libcurl itself repeats a request whose kept connection ends before an answer
  local attempts = after.attempts - before.attempts
  local silent = arrived - attempts
  check("attempts within bounds", true, silent >= 0 and silent <= outcomes.drops)
  for name, n in pairs { asked = ROUND, answered = answered, failed = lost,
    arrived = arrived, attempts = attempts } do sums[name] = (sums[name] or 0) + n end
end

local function soak(version, url)
  local client = uqpay.new { base_url = url, ca_file = sandbox.ca_file,
    token = sandbox.token, http_version = version, max_retries = 100,
    retry_delay = 0.001, retry_delay_max = 0.002, timeout = 600 }
  local start, sums, first, most = socket.gettime(), {}
  for n = 1, TOTAL / ROUND do
    round(client, n % 2 == 0 and ways.blocking or ways.batch, sums)
    collectgarbage()
    collectgarbage()
    local now = { memory = status_of "VmRSS", descriptors = descriptors(),
      threads = status_of "Threads" }
    if n <= WARM then first = now end
    most = most and n > WARM and {
      memory = math.max(most.memory, now.memory),
      descriptors = math.max(most.descriptors, now.descriptors),
      threads = math.max(most.threads, now.threads),
    } or now
  end
  check("descriptors stay", true, most.descriptors <= first.descriptors + 16)
  check("threads stay", first.threads, most.threads)
  check("memory stays", true, most.memory <= first.memory + GROWTH)
  client:close()
  print(("%s: asked %d, answered %d, failed %d; attempts %d, arrived %d; %.0f s"):format(
    version, sums.asked, sums.answered, sums.failed, sums.attempts, sums.arrived,
    socket.gettime() - start))
  print(("%s: resident %d KiB after %d rounds, at most %d; descriptors %d, at most %d;"
    .. " threads %d, at most %d"):format(version, first.memory, WARM, most.memory,
    first.descriptors, most.descriptors, first.threads, most.threads))
end

sandbox.start()
soak("1.1", sandbox.http_url)
soak("2", sandbox.url)
sandbox.stop()
print(("runs: %d\n%d passed, %d failed"):format(2 * TOTAL, passed, failed))
os.exit(failed == 0 and 0 or 1)
