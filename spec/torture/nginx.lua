-- nginx.lua REQUESTS WORKERS...: so many requests to an nginx with resty.uqpay, for each
-- number of workers. Clients of nginx reset and close, light threads exit and are killed,
-- the upstream fails; in the first two thirds workers are killed and the configuration is
-- loaded again. UQPAY_SEED repeats the choices, not the moments.
--
-- A request that was not given up, and whose worker was not killed, gets the right
-- balance, or an error that a fault explains, within its timeout. The error log has
-- nothing worse than warnings but what nginx writes of killed workers. Nothing grows:
-- descriptors, timers, the memory of Lua, entries of the shared dictionary.

local driver = require "spec.support.driver"
local nginx = require "spec.support.nginx"
local random = require "spec.support.random"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local visits = require "spec.torture.visits"

local REQUESTS = tonumber(arg[1])
local TIMEOUT = 10      -- seconds, of calls to good accounts; see nginx_worker.lua
local FAULTY = 3        -- the same for the account and the clients that meet faults
local LATE = 4          -- seconds that a request may take beyond its timeout
local STALL = 0.9       -- seconds: what waits for nothing but an answer takes less, ...
local STALLED = 0.005   -- ... but for this share of it
local SIGNAL = 1        -- seconds until workers know of a reload
local MOST = 40         -- visits at once
local GROWTH = 384      -- KiB of Lua's memory
local RESIDENT = 8192   -- KiB of a worker's
local CONNECTIONS = 8 * 4 -- kept by clients, at most, in each worker
local ENTRIES = 64      -- tokens, balances, failures, locks: a few for each client
local QUEUED = 12       -- faults that wait

local draw = random.generator()
for _ = 1, 5 do draw(1) end -- the first numbers of neighbours are much alike

local function chance(percent) return draw(1000) <= percent * 10 end
local function pick(list) return random.pick(draw, list) end
local function seconds(least, most)
  return least + (most - least) * draw(1000000) / 1000000
end

local passed, failed = 0, 0

local function check(condition, what, ...)
  if condition then
    passed = passed + 1
    return true
  end
  failed = failed + 1
  if failed <= 30 then print("FAILED: " .. what:format(...)) end
end

local function set(words)
  local all = {}
  for word in words:gmatch "%S+" do all[word] = true end
  return all
end

-- ---------------------------------------------------------------------------------------
-- what is asked, and what meets faults
-- ---------------------------------------------------------------------------------------

local amounts = {}  -- by account: a list of { currency, amount }
local names = { other = "other", master = "master" }

local function learn(name)
  names[name] = names[name] or sandbox[name]
  amounts[name] = {}
  for n, balance in ipairs(sandbox.balances(names[name])) do
    if n <= 3 then amounts[name][n] = { balance.currency, balance.available_balance } end
  end
  assert(amounts[name][1], name)
end

-- Those of calls on behalf of sub_account.
local account_faults = {
  { kind = "drop_before" }, { kind = "drop_after" }, { kind = "truncate" },
  { kind = "html" }, { kind = "empty" }, { kind = "redirect" },
  { kind = "status", status = 400, store = false },
  { kind = "status", status = 503, store = false, times = 3 },
  { kind = "answer", body = "{" }, { kind = "answer", body = "{}" },
  { kind = "huge", bytes = 1100000 },
  { kind = "delay", seconds = 0.3 }, { kind = "hang", seconds = 4 },
}
local account_kinds = set "invalid_request decode schema protocol too_large timeout"

local login_faults = {
  { kind = "drop_before" }, { kind = "status", status = 503, times = 3 },
  { kind = "delay", seconds = 0.5 }, { kind = "hang", seconds = 2 },
  { kind = "answer", body = "{" }, { kind = "html" },
}
local login_kinds = set "connect decode protocol timeout api"

local limit_faults = {
  { kind = "rate_limit", retry_after = "1" }, { kind = "status", status = 429 },
}
local limit_kinds = set "rate_limit timeout"

-- Clients whose good calls wait for no login, lock or pause.
local waits_for_answers = set "plain http1 token"

local function order(list, match, endpoint)
  if #sandbox.faults() >= QUEUED then return end
  local fault = { match = match, endpoint = endpoint }
  for name, value in pairs(pick(list)) do fault[name] = value end
  sandbox.fault(fault)
end

local clients = { "plain", "plain", "http1", "token", "login", "shared", "cache", "cache",
  "faulty", "limited" }
local ways = { "one", "one", "one", "one", "threads", "batch", "object", "kill", "leave",
  "leave_later" }
local accounts = { "master", "other_sub_account", "many_sub_account" }

local function say_url(plan)
  return ("/%s?c=%s&w=%s&a=%s&u=%s&t=%g%s"):format(plan.access and "access" or "call",
    plan.client, plan.way, plan.account, plan.question[1], plan.timeout,
    plan.give_up and chance(50) and "&quiet" or "")
end

-- ---------------------------------------------------------------------------------------
-- a run
-- ---------------------------------------------------------------------------------------

local Run = {}
Run.__index = Run

-- The end of a request that is given up: at once, or at some moment.
local function draw_end()
  if not chance(35) then return nil end
  return chance(50) and 0 or pick { 0.001, 0.003, 0.01, 0.03, 0.1 }
end

function Run:plan()
  local plan = { run = self, client = pick(clients), way = pick(ways),
    account = pick(accounts), timeout = TIMEOUT, give_up = draw_end() }
  if plan.client == "limited" then
    plan.account, plan.timeout, plan.kinds = "other", FAULTY, limit_kinds
    if plan.way == "batch" then plan.way = "one" end -- a batch waits for its pace
    if chance(5) then order(limit_faults, { ["x-auth-token"] = self.limited }) end
  elseif plan.client == "faulty" then
    plan.timeout, plan.kinds = FAULTY, login_kinds
    if chance(5) then
      order(login_faults, { ["x-client-id"] = sandbox.second_client_id }, "token")
    end
  elseif chance(20) then
    plan.account, plan.timeout, plan.kinds = "sub_account", FAULTY, account_kinds
    if chance(30) then
      order(account_faults, { ["x-on-behalf-of"] = names.sub_account })
    end
  end
  plan.access = not plan.way:find "leave" and chance(10)
  plan.question = pick(amounts[plan.account])
  plan.limit = (plan.way == "batch" and 4 or 1) * plan.timeout + LATE
  plan.path = say_url(plan)
  plan.settle = self.settle
  self.made, self.flying = self.made + 1, self.flying + 1
  return plan
end

local lines_of = { threads = 4, batch = 4 }

-- Why the body is not right; nil if it is.
local function fault_of(plan, body)
  local lines = driver.lines(body)
  local wanted = plan.question[1] .. " " .. plan.question[2]
  if plan.way:find "leave" then
    return lines[2] ~= "left" and #lines .. " lines, " .. tostring(lines[2]) or nil
  end
  if #lines - 1 ~= (lines_of[plan.way] or 1) then return #lines .. " lines" end
  for n = 2, #lines do
    if lines[n] ~= wanted then
      local kind = lines[n]:match "^([%l_]+): "
      if not (kind and plan.kinds and plan.kinds[kind]) then return lines[n] end
      plan.explained = true
    end
  end
end

-- True if the worker of a request that was lost had been killed, or one that ends did not
-- begin it.
local function is_excused(run, plan, body)
  local pid = body:match "^(%d+)\n"
  if pid then return run.killed[pid] end
  return plan.begun <= run.killed_at + SIGNAL or plan.begun <= run.reloaded_at + SIGNAL
end

function Run.settle(plan, body, lost)
  local self, took = plan.run, visits.now() - plan.begun
  self.flying = self.flying - 1
  local function fail(why)
    check(false, "%s: %s (%.2f s)", plan.path, why, took)
  end
  if lost == "given up" then
    self.given_up = self.given_up + 1
    return
  elseif lost then
    self.lost = self.lost + 1
    if is_excused(self, plan, body) then return end
    return fail("lost: " .. lost .. ", worker " .. (body:match "^%d+" or "unknown"))
  end
  local why = fault_of(plan, body)
  if why then return fail(why) end
  passed = passed + 1
  if plan.explained then self.explained = self.explained + 1 end
  if took > plan.limit - LATE / 2 then fail "too late" end
  if not plan.kinds and waits_for_answers[plan.client] then
    self.plain = self.plain + 1
    self.longest = math.max(self.longest, took)
    if took > STALL and not is_excused(self, plan, "") then
      self.stalled = self.stalled + 1
    end
  end
end

function Run:visit()
  if chance(50) then
    local plan = self:plan()
    return visits.spawn(function() visits.http1(self.http, plan) end)
  end
  local plans, at = {}, visits.now() + pick { 0, 0, 0.002, 0.05 }
  for n = 1, draw(8) do
    plans[n] = self:plan()
    plans[n].at = at
    at = at + pick { 0, 0, 0, 0.001, 0.02 }
  end
  local cut = chance(10) and seconds(0, 0.1) or nil
  visits.spawn(function() visits.http2(self.h2, plans, cut) end)
end

-- ---------------------------------------------------------------------------------------
-- what happens to the server
-- ---------------------------------------------------------------------------------------

function Run:kill()
  local pid = pick(self.server:workers())
  self.server:signal("KILL", pid)
  self.killed[pid], self.killed_at = true, visits.now()
  self.kills = self.kills + 1
end

function Run:reload()
  self.reloaded_at = visits.now()
  self.server:signal "HUP"
  self.reloads = self.reloads + 1
end

-- All tokens end. True if they did: a call that sees two of them end may fail.
function Run:expire()
  local now = visits.now()
  if now - self.idle_at > 3 or now - self.expired_at < 3 then return false end
  sandbox.expire_minted()
  self.expired_at = now
  return true
end

-- Kills a worker now, or a moment after logins have begun: it may have the lock.
function Run:threaten()
  if not chance(40) or not self:expire() then return self:kill() end
  sandbox.fault { kind = "delay", seconds = 0.3, endpoint = "token", times = 2,
    match = { ["x-client-id"] = sandbox.client_id } }
  visits.spawn(function()
    visits.sleep(0.1)
    self:kill()
  end)
end

-- Makes so many requests, in waves with pauses between.
function Run:storm(requests, wild)
  local ends, most, wave = self.made + requests, MOST, 0
  local due = { threaten = math.huge, reload = math.huge, expire = visits.now() + 3 }
  if wild then
    due.threaten, due.reload = visits.now() + 1, visits.now() + seconds(1, 3)
  end
  local every = { threaten = { 0.5, 3 }, reload = { 2, 6 }, expire = { 4, 8 } }
  visits.run(function()
    local now = visits.now()
    if now >= wave then
      most = chance(30) and 0 or draw(MOST)
      wave = now + (most == 0 and seconds(0.02, 0.2) or seconds(0.1, 0.5))
    end
    if visits.count() == 0 then self.idle_at = now end
    for name, at in pairs(due) do
      if now >= at then
        self[name](self)
        due[name] = now + seconds(every[name][1], every[name][2])
      end
    end
    for _ = 1, 5 do
      if visits.count() < most and self.made < ends then self:visit() end
    end
    return self.made >= ends and visits.count() == 0
  end)
end

-- ---------------------------------------------------------------------------------------
-- when it is calm
-- ---------------------------------------------------------------------------------------

local function status_of(pid, name)
  local file = assert(io.open("/proc/" .. pid .. "/status"))
  local value = file:read "*a":match(name .. ":%s+(%d+)")
  file:close()
  return tonumber(value)
end

function Run:ask_state()
  local peer = assert(socket.connect("127.0.0.1", self.http))
  peer:settimeout(30)
  peer:send "GET /state HTTP/1.0\r\n\r\n"
  local text = peer:receive "*a" or ""
  peer:close()
  local pid, running, pending, memory, entries =
    text:match "(%d+) (%d+) (%d+) (%d+) (%d+)\n$"
  return pid, { running = tonumber(running), pending = tonumber(pending),
    memory = tonumber(memory), entries = tonumber(entries) }
end

-- What all workers say, by their ids, and how many timers they have; nil if there are
-- more or fewer workers than there should be. The kernel chooses who is asked.
function Run:ask_all()
  if #self.server:workers() ~= self.count then return nil, 0 end
  local states, found, timers = {}, 0, 0
  for _ = 1, 100 * self.count do
    local pid, state = self:ask_state()
    if pid and not states[pid] then
      states[pid], found = state, found + 1
      timers = timers + state.running + state.pending
    end
    if found == self.count then return states, timers end
  end
  return nil, timers
end

-- What each worker has, by its id, once old ones are gone and no timer is left.
function Run:calm()
  local states, timers
  local give_up = visits.now() + 45
  repeat
    socket.sleep(0.2)
    states, timers = self:ask_all()
  until states and timers == 0 or visits.now() > give_up
  if not check(states, "not all workers answer, or there are too many") then return {} end
  check(timers == 0, "%d timers are left", timers)
  for pid, state in pairs(states) do
    state.descriptors = #driver.lines(driver.output("ls /proc/" .. pid .. "/fd"))
    state.resident = status_of(pid, "VmRSS")
    check(state.entries <= ENTRIES, "%d entries are in the dictionary", state.entries)
  end
  return states
end

-- Returns a summary.
local function compare(first, last)
  local most = { descriptors = 0, memory = 0, resident = 0, entries = 0 }
  for pid, now in pairs(last) do
    local before = first[pid]
    if check(before, "worker %s is gone", pid) then
      check(now.descriptors <= before.descriptors + CONNECTIONS,
        "%d descriptors became %d", before.descriptors, now.descriptors)
      check(now.memory <= before.memory + GROWTH, "%d KiB of Lua's became %d",
        before.memory, now.memory)
      check(now.resident <= before.resident + RESIDENT, "%d KiB resident became %d",
        before.resident, now.resident)
      for name in pairs(most) do
        most[name] = math.max(most[name], now[name] - before[name])
      end
    end
  end
  return ("%d descriptors, %d KiB of Lua's, %d KiB resident, %d entries"):format(
    most.descriptors, most.memory, most.resident, most.entries)
end

-- Lines that are worse than warnings and not about killed workers.
local function check_log(text)
  local kinds = {}
  for line in text:gmatch "[^\n]+" do
    if line:find "%[emerg%]" or line:find "%[alert%]" or line:find "%[crit%]"
      or line:find "%[error%]" then
      local about_kill = line:find "exited on signal 9"
        or line:find "shared memory zone .* was locked by %d+"
      if not about_kill then
        local kind = line:gsub("^%S+ %S+ ", ""):gsub("%d+", "N"):sub(1, 300)
        if not kinds[kind] then kinds[#kinds + 1] = kind end
        kinds[kind] = (kinds[kind] or 0) + 1
      end
    end
  end
  for _, kind in ipairs(kinds) do
    check(false, "logged, %d times: %s", kinds[kind], kind)
  end
  check(#kinds == 0, "the error log has lines")
end

function Run:configuration(port)
  local facts = {}
  for name, value in pairs(sandbox) do
    if type(value) == "string" then
      facts[#facts + 1] = ("%s = %q"):format(name, value)
    end
  end
  self.http, self.h2 = port, nginx.free_port()
  local here = driver.output "pwd":match "[^\n]+"
  local values = { modules = nginx.load_modules(), workers = self.count, http = self.http,
    h2 = self.h2, paths = nginx.package_paths(here .. "/?.lua"),
    facts = table.concat(facts, ", ") }
  return (driver.content "spec/torture/nginx.conf":gsub("@(%l%w*)@", values))
end

local function run(count)
  local self = setmetatable({ count = count, made = 0, flying = 0, given_up = 0, lost = 0,
    explained = 0, plain = 0, stalled = 0, longest = 0, kills = 0, reloads = 0,
    killed = {}, killed_at = 0, reloaded_at = 0, expired_at = 0, idle_at = visits.now() },
    Run)
  sandbox.reset()
  for _, name in ipairs { "master", "other", "sub_account", "other_sub_account",
    "many_sub_account" } do learn(name) end
  self.limited = "Bearer " .. sandbox.other_token
  local start = visits.now()
  self.server = nginx.start { workers = count,
    conf = function(port) return self:configuration(port) end }
  self:storm(math.ceil(REQUESTS * 0.65), true)
  self:calm()
  self:storm(math.ceil(REQUESTS * 0.1))
  local first = self:calm()
  self:storm(math.ceil(REQUESTS * 0.25))
  local grown = compare(first, self:calm())
  check(self.stalled <= 2 + self.plain * STALLED,
    "%d of %d requests that only wait for answers took more than %g s, up to %.2f",
    self.stalled, self.plain, STALL, self.longest)
  check(self.flying == 0, "%d requests are not settled", self.flying)
  check_log(self.server:log())
  self.server:stop()
  print(("%d workers: %d requests in %.0f s: %d given up, %d lost with their workers, "
    .. "%d errors that faults explain; %d workers killed, %d reloads"):format(count,
    self.made, visits.now() - start, self.given_up, self.lost, self.explained,
    self.kills, self.reloads))
  print(("  of %d that only wait for answers %d took more than %g s, the longest %.2f; "
    .. "growth at most %s"):format(self.plain, self.stalled, STALL, self.longest, grown))
  return self.made
end

io.stdout:setvbuf "line"
print(("seed %d"):format(random.seed))
sandbox.start()
local runs = 0
for n = 2, #arg do runs = runs + run(tonumber(arg[n])) end
sandbox.stop()
if failed > 30 then print(("(%d more)"):format(failed - 30)) end
print(("runs: %d\n%d passed, %d failed"):format(runs, passed, failed))
if failed > 0 then
  print(("once more: make torture-nginx SEED=%d"):format(random.seed))
end
os.exit(failed == 0 and 0 or 1)
