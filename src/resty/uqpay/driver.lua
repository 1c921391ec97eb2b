-- driver.lua: steps all clients of a worker that have waiters, and tasks, which need
-- none. The light thread of a timer does so: no request can end it. If other code has
-- used up lua_max_running_timers or lua_max_pending_timers, a waiter drives instead: its
-- ngx.semaphore takes no such timer.
--
-- Nothing that outlives a request may point into its coroutine: nginx recycles it, with
-- the upvalues that are open in it. Timers get functions of this file, and tables.
-- SPDX-License-Identifier: MIT

local internal = require "uqpay.internal"
local semaphore = require "ngx.semaphore"

local clock = internal.clock -- ngx.now() is the wall clock, which may be set

local SHORTEST, LONGEST = 0.001, 0.005 -- seconds between two steps of a client ...
local SHARE = 20      -- ... this part of the time for which something has been expected
local REST = 0.05     -- seconds between two steps while nothing is, ...
local SWEEP = 0.02    -- ... and between two looks for those who are gone
local BUDGET = 0.004  -- seconds of a turn of the event loop that calls may use
local WOKEN = 32      -- calls that go on in a turn
local BEGUN = 4       -- of those that wait to begin, and of tasks, so many at least
local COLD = 32       -- calls of a client before its first answer: others wait ...
local PATIENCE = 0.2  -- ... for it, so many seconds at most
local BIRTH = 0.01    -- seconds that a timer may take to begin
local LATE = 0.5      -- seconds without a turn: the thread of the timer has ended, ...
local SHORT = 0.01    -- ... or the waiter who drove has
local TIMERS = 1      -- seconds until a timer is tried for again

local driver = {}

local clients = {} -- that somebody waits for
local tasks = {}
local place = 0    -- of the last client that was stepped
local task_place = 0 -- of the last task: they go from the end of the list to its start
local gate         -- where calls wait to begin
local cold         -- the client whose first answer they wait for
local steward      -- who drives: { bell =, due =, grace = }
local no_timer = 0 -- until then

-- ------------------------------------------------------------------------
-- the turn of nginx's event loop
-- ------------------------------------------------------------------------

local moment, began

-- Seconds since we were first on in this turn. nginx sets its time at each.
local function spent()
  local now = ngx.now()
  if now ~= moment then moment, began = now, clock() end
  return clock() - began
end

local function is_over()
  return spent() > BUDGET
end

local function lined_up()
  return gate and -gate:count() or 0
end

-- ------------------------------------------------------------------------
-- one turn of the driver
-- ------------------------------------------------------------------------

-- Seconds until the client is to be stepped again.
local function pause_of(client)
  local idle = internal.idle(client)
  if not idle then return REST end
  if idle > 0 then return math.min(idle, REST) end
  return math.min(math.max(-idle / SHARE, SHORTEST), LONGEST)
end

local function step_client(entry, now)
  local hub, record = entry.hub, entry.record
  if now - entry.swept >= SWEEP then
    entry.swept = now
    hub:forsake(record)
  end
  if hub.renew then hub.renew(now) end
  local before = #record.parked
  local more = hub:turn(record, WOKEN)
  local woken = before - #record.parked
  if not record.parked[1] then
    hub:retire(record)
  else
    entry.due = more and 0 or clock() + pause_of(hub.client)
  end
  return woken
end

-- Steps the clients whose time has come, another first each time. How many calls can go
-- on now.
local function step_clients(now)
  local woken = 0
  for _ = 1, #clients do
    if woken >= WOKEN or is_over() then break end
    place = place < #clients and place + 1 or 1
    local entry = clients[place]
    if not entry then break end
    if entry.due <= now then woken = woken + step_client(entry, now) end
  end
  return woken
end

-- The same for tasks; as many as there is time for, and some in any case.
local function step_tasks(now)
  local stepped = 0
  for _ = 1, #tasks do
    if stepped >= BEGUN and is_over() then break end
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

-- True if there has been an answer, so that connections are open, or none will come.
local function is_warm(hub)
  hub.warm = hub.warm or hub.closed or hub.client:stats().succeeded > 0
  return hub.warm
end

-- Lets some calls begin. Returns the seconds until others may.
local function open_gate(woken, waiting, now)
  if cold and (now >= cold.ends or is_warm(cold.hub)) then cold = nil end
  gate:post(math.min(cold and BEGUN or math.max(WOKEN - woken, BEGUN), waiting))
  return cold and LONGEST or SHORTEST
end

-- Steps what is due. Returns the seconds until something will be.
local function turn()
  local now = clock()
  local woken = step_clients(now)
  step_tasks(now)
  local waiting = lined_up()
  if waiting > 0 then return open_gate(woken, waiting, now) end
  cold = nil -- it may be closed, or garbage, before others wait
  local due = now + REST
  for _, list in ipairs { clients, tasks } do
    for _, entry in ipairs(list) do due = math.min(due, entry.due) end
  end
  return math.max(due - clock(), SHORTEST) -- 0 would be none without a patch of nginx
end

-- ------------------------------------------------------------------------
-- who drives
-- ------------------------------------------------------------------------

local function is_needed()
  return clients[1] or tasks[1] or lined_up() > 0
end

-- grace: seconds behind its next turn after which it is taken for dead.
local function new_steward(grace)
  return { bell = semaphore.new(), due = clock(), grace = grace }
end

-- Drives as long as that is needed and no other thread does; a waiter, until it is told
-- or that moment has come.
local function drive(me, waiter, ends)
  repeat
    local start = clock()
    spent() -- so that `began` is of this turn, whatever it does
    local pause = turn()
    local now = clock()
    if waiter and (waiter.told or now >= ends) then break end
    -- Of timers that are due nginx runs all before it accepts one connection: behind a
    -- long turn it has as long for itself.
    pause = math.max(pause, math.min(now - start, REST))
    if now - start > SHORTEST then
      ngx.update_time() -- or the wait would have begun before the turn
      moment = ngx.now()
    end
    me.due = now + pause
    -- After a timeout this is another turn, even within the same millisecond.
    if not me.bell:wait(pause) then moment = nil end
  until steward ~= me or not is_needed()
  if steward == me then steward = nil end
end

local function run(_, me)
  if not is_needed() then
    if steward == me then steward = nil end
    return
  end
  steward, me.begun, me.grace = me, true, LATE
  drive(me)
end

-- Sees to it that somebody drives. The seconds for which that can be relied on; nil:
-- nobody does.
local function attendance()
  local now = clock()
  if steward then
    local left = steward.due + steward.grace - now
    if left > 0 then return math.max(left, SHORTEST) end
    if not steward.begun then no_timer = now + TIMERS end
    steward = nil
  end
  if now < no_timer then return nil end
  local me = new_steward(BIRTH)
  if ngx.timer.at(0, run, me) then
    steward = me
    return BIRTH
  end
  no_timer = now + TIMERS -- each try may be an alert in the log
  return nil
end

-- Wakes the thread that drives, unless it wakes within these seconds.
local function ring(seconds)
  if steward and steward.bell:count() < 0 and steward.due > clock() + seconds then
    steward.bell:post()
  end
end

-- Waits for a later turn of the event loop.
local function line_up()
  local limit = attendance()
  if limit then
    gate = gate or semaphore.new()
    gate:wait(limit)
  else
    ngx.sleep(SHORTEST)
    moment = nil
  end
end

-- ------------------------------------------------------------------------
-- for those who wait
-- ------------------------------------------------------------------------

-- What a hub has of this file: see watch in uqpay/loop.lua.
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

-- The client of the record is to be stepped now, and as long as somebody is parked with
-- it.
function driver.attend(record)
  local entry = record.watch
  entry.record, entry.due = record, 0
  if not entry.place then
    entry.place = #clients + 1
    clients[entry.place] = entry
  end
  ring(is_warm(entry.hub) and 0 or LONGEST)
end

-- task:step(now) is called when task.due has come, until it returns true.
function driver.begin(task)
  tasks[#tasks + 1] = task
  ring(0)
end

-- Waits until tell(waiter), so many seconds at most; may return early.
function driver.wait(waiter, seconds)
  local limit = attendance()
  if limit then
    waiter.semaphore:wait(math.min(limit, seconds))
  else
    local me = new_steward(SHORT)
    steward, me.begun, waiter.drives = me, true, me
    drive(me, waiter, clock() + seconds)
    waiter.drives = nil
  end
  if waiter.told and is_over() then line_up() end
end

-- Like wait, but returns at once if another thread drives.
function driver.help(waiter, seconds)
  while attendance() do
    if waiter.told or steward.begun then return end
    ngx.sleep(SHORTEST) -- until the timer begins, or is late
  end
  driver.wait(waiter, seconds)
end

-- Wakes all that wait for it.
function driver.tell(waiter)
  waiter.told = true
  local waiting = -waiter.semaphore:count()
  if waiting > 0 then waiter.semaphore:post(waiting) end
  if waiter.drives then waiter.drives.bell:post() end
end

-- True if somebody waits for it. A waiter that drives may have been killed in its wait:
-- then its next turn is overdue.
function driver.is_waiting(waiter)
  local me = waiter.drives
  return waiter.semaphore:count() < 0 or me and clock() < me.due + LATE
end

-- Waits until another call of the hub may begin: in this turn of the event loop there is
-- no time left, or too many wait for the first answer.
function driver.enter(hub)
  local record = hub.drivers[true]
  local full = lined_up() > 0
  if record and #record.parked >= COLD and not is_warm(hub) then
    hub.patience = hub.patience or clock() + PATIENCE
    cold, full = cold or { hub = hub, ends = hub.patience }, true
  end
  while full or is_over() do
    full = false
    line_up()
  end
end

return driver
