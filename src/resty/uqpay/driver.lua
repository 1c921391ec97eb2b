-- driver.lua: one light thread a worker, the leader, steps all clients that have waiters,
-- and tasks, which need none. The leader is a timer's light thread, which the end of no
-- request can end. If other code has used up lua_max_running_timers or
-- lua_max_pending_timers, a waiter leads instead: ngx.semaphore takes no such timer.
--
-- Nothing that outlives a request may refer to its coroutine: nginx reuses coroutines,
-- and with them the upvalues that are still open. Timers get functions of this file, and
-- tables.
-- SPDX-License-Identifier: MIT

local internal = require "uqpay.internal"
local semaphore = require "ngx.semaphore"

local clock = internal.clock -- ngx.now() is the wall clock, which may be set

local SHORTEST, LONGEST = 0.001, 0.005 -- seconds between two steps of a client ...
local SHARE = 20      -- ... this part of the time for which an event has been expected
local REST = 0.05     -- seconds between two steps while no event is expected, ...
local SWEEP = 0.02    -- ... and between two searches for waiters whose request has ended
local SLICE = 0.004   -- seconds of one iteration of the event loop that calls may use
local MAX_WOKEN = 32  -- waiters woken in an iteration
local MIN_BEGUN = 4   -- calls admitted and tasks stepped in an iteration, at least
local COLD = 32       -- calls of a client before its first answer: further ones wait ...
local COLD_WAIT = 0.2 -- ... for the answer, so many seconds at most
local START_LIMIT = 0.01  -- seconds in which a timer must have started
local TIMER_GRACE = 0.5   -- seconds overdue: the timer's leader is dead ...
local WAITER_GRACE = 0.01 -- ... or the waiter that leads
local RETRY = 1       -- seconds until a timer is tried again

local driver = {}

local clients = {} -- that have waiters
local tasks = {}
local client_place = 0 -- of the client that was stepped last
local task_place = 0   -- of the task; tasks are stepped from the end of the list
local admission        -- semaphore on which calls wait to begin
local cold             -- { hub =, ends = }: the client whose first answer they wait for
local leader           -- the thread that steps: { semaphore =, due =, grace =, begun = }
local no_timer = 0     -- no timer is tried until then

-- ------------------------------------------------------------------------
-- the iteration of nginx's event loop
-- ------------------------------------------------------------------------

local iteration, began -- nginx's time, which it sets in each; ours at first use in it

-- Seconds since this module was first used in this iteration.
local function elapsed()
  local now = ngx.now()
  if now ~= iteration then iteration, began = now, clock() end
  return clock() - began
end

local function is_slice_used()
  return elapsed() > SLICE
end

-- Calls that wait for admission.
local function queued()
  return admission and -admission:count() or 0
end

-- ------------------------------------------------------------------------
-- one step of the leader
-- ------------------------------------------------------------------------

-- Seconds until the client is to be stepped again.
local function pause_of(client)
  local idle = internal.idle(client)
  if not idle then return REST end
  if idle > 0 then return math.min(idle, REST) end
  return math.min(math.max(-idle / SHARE, SHORTEST), LONGEST)
end

-- Returns how many waiters it has woken.
local function step_client(entry, now)
  local hub, record = entry.hub, entry.record
  if now - entry.swept >= SWEEP then
    entry.swept = now
    hub:cancel_dead_waiters(record)
  end
  if hub.renew then hub.renew(now) end
  local before = #record.parked
  local more = hub:step(record, MAX_WOKEN)
  local woken = before - #record.parked
  if not record.parked[1] then
    hub:stop(record)
  else
    entry.due = more and 0 or clock() + pause_of(hub.client)
  end
  return woken
end

-- Steps the clients that are due, beginning with another one each time. Returns how many
-- waiters it has woken.
local function step_clients(now)
  local woken = 0
  for _ = 1, #clients do
    if woken >= MAX_WOKEN or is_slice_used() then break end
    client_place = client_place < #clients and client_place + 1 or 1
    local entry = clients[client_place]
    if not entry then break end
    if entry.due <= now then woken = woken + step_client(entry, now) end
  end
  return woken
end

-- Steps the tasks that are due: as many as the slice allows, MIN_BEGUN at least.
local function step_tasks(now)
  local stepped = 0
  for _ = 1, #tasks do
    if stepped >= MIN_BEGUN and is_slice_used() then break end
    task_place = task_place > 1 and math.min(task_place - 1, #tasks) or #tasks
    local task = tasks[task_place]
    if not task then break end
    if task.due <= now then
      stepped = stepped + 1
      if task:step(now) then
        tasks[task_place] = tasks[#tasks]
        tasks[#tasks] = nil
      end
    end
  end
end

-- True if the client has had an answer, so that it has open connections, or is closed.
local function is_warm(hub)
  hub.warm = hub.warm or hub.closed or hub.client:stats().succeeded > 0
  return hub.warm
end

-- Lets some of the queued calls begin. Returns the seconds until others may.
local function admit(woken, waiting, now)
  if cold and (now >= cold.ends or is_warm(cold.hub)) then cold = nil end
  local most = cold and MIN_BEGUN or math.max(MAX_WOKEN - woken, MIN_BEGUN)
  admission:post(math.min(most, waiting))
  return cold and LONGEST or SHORTEST
end

-- Steps all that is due. Returns the seconds until something will be.
local function step()
  local now = clock()
  local woken = step_clients(now)
  step_tasks(now)
  local waiting = queued()
  if waiting > 0 then return admit(woken, waiting, now) end
  cold = nil -- its client may be closed, or garbage, before other calls wait
  local due = now + REST
  for _, list in ipairs { clients, tasks } do
    for _, entry in ipairs(list) do due = math.min(due, entry.due) end
  end
  return math.max(due - clock(), SHORTEST) -- 0 needs a patch of nginx
end

-- ------------------------------------------------------------------------
-- the leader
-- ------------------------------------------------------------------------

local function is_needed()
  return clients[1] or tasks[1] or queued() > 0
end

-- grace: seconds by which its next step may be overdue before it counts as dead.
local function new_leader(grace)
  return { semaphore = semaphore.new(), due = clock(), grace = grace }
end

-- Leads while that is needed and no other thread does; a waiter, until it is woken or
-- that time has come.
local function lead(me, waiter, ends)
  repeat
    local start = clock()
    elapsed() -- so that `began` is of this iteration, whatever steps do
    local pause = step()
    local now = clock()
    if waiter and (waiter.woken or now >= ends) then break end
    -- nginx runs all due timers before accepting; after a long step, rest equally long.
    pause = math.max(pause, math.min(now - start, REST))
    if now - start > SHORTEST then
      ngx.update_time() -- or the wait would have begun before the step
      iteration = ngx.now()
    end
    me.due = now + pause
    -- After a timeout this is another iteration, even within the same millisecond.
    if not me.semaphore:wait(pause) then iteration = nil end
  until leader ~= me or not is_needed()
  if leader == me then leader = nil end
end

-- The timer's handler.
local function run(_, me)
  if not is_needed() then
    if leader == me then leader = nil end
    return
  end
  leader, me.begun, me.grace = me, true, TIMER_GRACE
  lead(me)
end

-- Starts a timer if there is no leader. Returns the seconds for which a leader can be
-- relied on; nil: none.
local function ensure_leader()
  local now = clock()
  if leader then
    local left = leader.due + leader.grace - now
    if left > 0 then return math.max(left, SHORTEST) end
    if not leader.begun then no_timer = now + RETRY end
    leader = nil
  end
  if now < no_timer then return nil end
  local me = new_leader(START_LIMIT)
  if ngx.timer.at(0, run, me) then
    leader = me
    return START_LIMIT
  end
  no_timer = now + RETRY -- each failure may be an alert in the log
  return nil
end

-- Wakes the leader, unless it wakes within these seconds.
local function wake_leader(seconds)
  if leader and leader.semaphore:count() < 0 and leader.due > clock() + seconds then
    leader.semaphore:post()
  end
end

-- Waits for a later iteration of the event loop.
local function wait_for_admission()
  local limit = ensure_leader()
  if limit then
    admission = admission or semaphore.new()
    admission:wait(limit)
  else
    ngx.sleep(SHORTEST)
    iteration = nil
  end
end

-- Runs a job once. The handler of its timer, and of the light thread in place of that.
local function run_job(_, job)
  if job.begun then return end
  job.begun, job.due = true, 0
  job.run()
end

-- The job as a task of the leader: nginx drops a timer if too many run.
local function step_job(job, now)
  if job.begun then return true end
  if now >= no_timer then no_timer = now + RETRY end
  ngx.thread.spawn(run_job, false, job)
  return true
end

-- Runs f in a light thread that no request ends; in one of the leader's if other code has
-- used up nginx's timers. f must not be made where a thread may be killed.
function driver.spawn(f)
  local now = clock()
  local job = { run = f, begun = false, due = now, step = step_job }
  local timed = now >= no_timer and ngx.timer.at(0, run_job, job)
  if timed then job.due = now + START_LIMIT end
  driver.start_task(job)
end

-- ------------------------------------------------------------------------
-- for waiters: { semaphore =, woken = }
-- ------------------------------------------------------------------------

-- What the hub's driver keeps of this file: see watch in uqpay/loop.lua.
function driver.watch(hub)
  local entry = { hub = hub, due = 0, swept = 0, place = false }
  function entry.stop()
    local last = clients[#clients]
    if not entry.place then return end
    clients[entry.place], last.place = last, entry.place
    clients[#clients] = nil
    entry.place = false
  end
  return entry
end

-- Has the client of the hub's driver stepped, soon and while waiters are parked with it.
function driver.attend(record)
  local entry = record.watch
  entry.record, entry.due = record, 0
  if not entry.place then
    entry.place = #clients + 1
    clients[entry.place] = entry
  end
  wake_leader(is_warm(entry.hub) and 0 or LONGEST)
end

-- Has task:step(now) called whenever task.due has come, until it returns true.
function driver.start_task(task)
  tasks[#tasks + 1] = task
  wake_leader(0)
end

-- Waits until driver.wake(waiter), so many seconds at most. May return early.
function driver.wait(waiter, seconds)
  local limit = ensure_leader()
  if limit then
    waiter.semaphore:wait(math.min(limit, seconds))
  else
    local me = new_leader(WAITER_GRACE)
    leader, me.begun, waiter.leads = me, true, me
    lead(me, waiter, clock() + seconds)
    waiter.leads = nil
  end
  if waiter.woken and is_slice_used() then wait_for_admission() end
end

-- Leads until driver.wake(waiter), so many seconds at most, if no other thread does.
function driver.lead_if_needed(waiter, seconds)
  while ensure_leader() do
    if waiter.woken or leader.begun then return end
    ngx.sleep(SHORTEST) -- until the timer starts, or is late
  end
  driver.wait(waiter, seconds)
end

-- Wakes all threads that wait with it.
function driver.wake(waiter)
  waiter.woken = true
  local waiting = -waiter.semaphore:count()
  if waiting > 0 then waiter.semaphore:post(waiting) end
  if waiter.leads then waiter.leads.semaphore:post() end
end

-- True if a thread waits with it. A waiter that leads may have been killed in its wait:
-- then its next step is overdue.
function driver.is_waiting(waiter)
  local me = waiter.leads
  return waiter.semaphore:count() < 0 or me and clock() < me.due + TIMER_GRACE
end

-- Waits until another call of the hub may begin: not while the slice of this iteration is
-- used up, or too many calls wait for the client's first answer.
function driver.admit(hub)
  local record = hub.drivers[true]
  local full = queued() > 0
  if record and #record.parked >= COLD and not is_warm(hub) then
    hub.cold_until = hub.cold_until or clock() + COLD_WAIT
    cold, full = cold or { hub = hub, ends = hub.cold_until }, true
  end
  while full or is_slice_used() do
    full = false
    wait_for_admission()
  end
end

return driver
