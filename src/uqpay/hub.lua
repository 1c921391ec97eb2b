-- hub.lua: the registry of waiters of one client: which coroutine waits for which call. A
-- program without an event loop waits in client:step. Under a loop one driver waits on
-- the client's descriptor and wakes the waiters whose calls are due. (If each waiter
-- polled the descriptor, every event would wake all of them.)
--
-- A waiter is a table that serves one coroutine at a time: a list of the ids of its calls
-- that are due, and `calls`, those it waits for, by id.
-- SPDX-License-Identifier: MIT

local internal = require "uqpay.internal"

local SLICE = 0.25 -- seconds, the longest single wait in client:step

local Hub = {}
Hub.__index = Hub

-- Gives the results of the program's transport to the call: as those of pcall.
local function answer(job, ...)
  local hub = job.hub
  if not pcall(internal.answer, hub.client, job.number, ...) then -- out of memory
    internal.answer(hub.client, job.number)
  end
  local attend = hub.loop.attend
  if not attend then return end -- the client's descriptor is readable
  for _, driver in pairs(hub.drivers) do
    if driver.parked[1] then attend(driver) end
  end
end

-- Calls the program's transport, which may yield.
local function run_transport(job)
  answer(job, pcall(job.transport, job.request))
end

-- Lua 5.1 cannot yield within pcall. A loop may resume the inner coroutine by itself.
if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
  run_transport = function(job)
    local co = coroutine.create(function()
      answer(job, true, job.transport(job.request))
    end)
    local function resume(ok, ...)
      if not ok then return answer(job, false, ...) end
      if coroutine.status(co) == "dead" then return end
      return resume(coroutine.resume(co, coroutine.yield(...)))
    end
    resume(coroutine.resume(co))
  end
end

-- Sends a request by the program's transport in a coroutine of the loop. False: the
-- caller blocks, and calls it by itself. See binding/custom_transport.h.
local function serve(self, number, request)
  local loop = self.loop
  if not (loop.attend or loop.inside()) then return false end
  local job = {
    hub = self, number = number, request = request,
    transport = internal.user_value(self.client).transport,
  }
  loop.spawn(function() run_transport(job) end)
  return true
end

-- loop: nil, or the functions that loop.lua lists.
function Hub.new(client, loop)
  local self = setmetatable({
    client = client, loop = loop,
    drivers = {}, -- by what loop.inside returns: several loops may use a client
    waiters = setmetatable({}, { __mode = "v" }), -- by id; an abandoned waiter is garbage
  }, Hub)
  local values = internal.user_value(client)
  if loop and values.transport then
    values.serve = function(...) return serve(self, ...) end
    if values["clock.now"] then
      self.woken = setmetatable({}, { __mode = "k" }) -- waiters; true: it has not run yet
    end
  end
  return self
end

-- A waiter whose fields exist from the start: LuaJIT loses entries of a table that cannot
-- grow for lack of memory. taken: results that its iterator has returned, see Hub:wait.
function Hub.new_waiter()
  local waiter = {
    0, calls = {}, driver = false, place = 0, coroutine = false, thread = false,
    failure = false, taken = 0, parking = false,
  }
  waiter[1] = nil
  return waiter
end

-- Registers the waiter for the call or batch of that id: it gets the id when the call is
-- due, and keeps the call alive until then.
function Hub:expect(id, call, waiter)
  waiter.calls[id] = call
  self.waiters[id] = waiter -- the last: each of these lines may run out of memory
end

-- Ends a driver that nothing waits for any more. Ending it again does nothing.
function Hub:stop(driver)
  local watch = driver.watch
  if not watch then return end
  driver.watch = nil
  if self.drivers[driver.key] == driver then self.drivers[driver.key] = nil end
  watch.stop()
end

-- Removes the waiter from its driver's list. A driver that is not running would not
-- notice that the list is empty, so it is stopped here.
function Hub:unpark(waiter)
  local driver = waiter.driver
  if not driver then return end
  local parked = driver.parked -- a list: keys that come and go make a table slow
  local last = parked[#parked]
  parked[waiter.place], last.place = last, waiter.place
  parked[#parked] = nil
  waiter.driver = false
  if driver ~= self.running and not parked[1] then self:stop(driver) end
end

-- The coroutine that the loop has to resume. coxpcall, a pcall for Lua 5.1 that allows
-- yields, runs coroutines of its own within it.
local function outermost()
  local coxpcall = package.loaded.coxpcall
  local running = type(coxpcall) == "table" and coxpcall.running or coroutine.running
  return (running())
end

local suspend

-- True if the coroutine is within suspend.
local function is_in_suspend(co)
  local level, frame = 0, debug.getinfo(co, 0, "f")
  while frame and frame.func ~= suspend do
    level = level + 1
    frame = debug.getinfo(co, level, "f")
  end
  return frame ~= nil
end

-- True if the waiter is still suspended here. A waiter that could not yield (in a hook,
-- or where Lua 5.1 cannot) has left with an error, and its coroutine may wait for
-- something else. Out of memory: assume true, or it would never be resumed.
local function is_waiting(self, waiter)
  if self.loop.waits then return self.loop.waits(waiter) end
  if coroutine.status(waiter.coroutine) ~= "suspended" then return false end
  local looked, found = pcall(is_in_suspend, waiter.coroutine)
  return found or not looked
end

local function wake(self, waiter, failure)
  if not waiter.driver then return end
  local waiting = is_waiting(self, waiter) -- first: it may raise an error
  self:unpark(waiter)
  if waiting or waiter.parking then waiter.failure = failure end
  if not waiting then return end
  if self.woken and self.woken[waiter] ~= nil then self.woken[waiter] = true end
  self.loop.wake(waiter) -- it may run at once, and park again
end

-- Wakes all waiters of the driver. One that parks in the meantime is added at the end of
-- the list. Allocates nothing: there may be no memory.
local function wake_all(self, driver, failure)
  local parked = driver.parked
  for n = #parked, 1, -1 do
    if parked[n] then wake(self, parked[n], failure) end
  end
end

-- Cancels the calls of waiters whose coroutine the loop has ended while they were parked.
function Hub:cancel_dead_waiters(driver)
  local dead = {}
  for _, waiter in ipairs(driver.parked) do
    if not self.loop.waits(waiter) then dead[#dead + 1] = waiter end
  end
  for _, waiter in ipairs(dead) do
    self:unpark(waiter)
    for id, call in pairs(waiter.calls) do
      waiter[#waiter + 1] = id -- due, in case the coroutine is alive after all
      self.waiters[id], waiter.calls[id] = nil, nil
      call:cancel()
    end
  end
end

local function wake_due(self, limit)
  local woken = 0
  while not self.closed and woken ~= limit do
    local id = internal.next_due(self.client)
    if not id then return false end
    local waiter = self.waiters[id]
    if waiter then
      woken = woken + 1
      waiter[#waiter + 1] = id -- first: it may raise an error
      self.waiters[id], waiter.calls[id] = nil, nil
      wake(self, waiter)
    else
      internal.pass(self.client, id) -- others may wait for the descriptor
    end
  end
  return not self.closed
end

-- Wakes the waiters of the calls that are due, `limit` of them at most. True: there may
-- be more. An error (of a debug hook, or out of memory) loses no wake-up.
local function dispatch(self, limit)
  local ok, more = pcall(wake_due, self, limit)
  if ok then return more end
  internal.recall(self.client)
  error(more, 0)
end

-- True if a waiter that was woken has not run yet: its call may be late after a wait.
local function has_woken(self)
  for _, woken in pairs(self.woken) do
    if woken then return true end
  end
  return false
end

local function step_client(self, limit)
  if self.closed then return false end
  if self.woken and not has_woken(self) then internal.pass_time(self.client) end
  self.client:step()
  return dispatch(self, limit)
end

-- Steps the client for a driver, and wakes `limit` waiters at most. True: there may be
-- more. An error is raised in the waiters.
function Hub:step(driver, limit)
  local before = self.running
  self.running = driver
  local stepped, result = pcall(step_client, self, limit)
  if not stepped then
    wake_all(self, driver, result)
  end
  self.running = before
  return stepped and result
end

-- Under the program's clock, makes the client's descriptor readable if the calls wait for
-- time only: a step lets it pass, when the waiters that were woken have run.
local function notify_of_time(self)
  if self.woken and not self.closed then internal.notify_of_time(self.client) end
end

-- The driver's coroutine: runs while a waiter is parked with it.
local function drive(self, driver)
  local watch = driver.watch
  driver.coroutine = coroutine.running()
  while driver.parked[1] and driver.watch do
    notify_of_time(self)
    watch.wait()
    self:step(driver)
  end
  self:stop(driver)
end

-- The driver's coroutine has died (out of memory, which its loop has reported): it may
-- have missed calls that are due. Its waiters get an error, the next one a new driver.
local function drop_dead_driver(self, driver)
  if self.running == driver then self.running = nil end
  wake_all(self, driver, "the coroutine that waited for this client's calls has died")
  self:stop(driver)
end

-- The driver for that key, or a new one; nil: the loop cannot have one.
local function driver_of(self, key)
  local driver = self.drivers[key]
  if driver and driver.coroutine and coroutine.status(driver.coroutine) == "dead" then
    drop_dead_driver(self, driver)
    driver = nil
  end
  if driver then return driver end
  local watched = self.loop.attend and self or self.client:pollfd()
  if not watched then return nil end
  driver = { key = key, parked = {}, watch = self.loop.watch(watched) }
  self.drivers[key] = driver
  return driver
end

-- Adds the waiter to the list of the driver for that key, which wakes it when one of its
-- calls is due. False: the loop cannot have a driver.
function Hub:park(waiter, key)
  local driver = driver_of(self, key)
  if not driver then return false end
  if waiter.driver ~= driver then
    self:unpark(waiter)
    local parked = driver.parked
    waiter.driver, waiter.place = false, #parked + 1
    parked[waiter.place] = waiter
    waiter.driver = driver -- the last: memory may run out before
  end
  if self.loop.attend then
    self.loop.attend(driver)
  elseif not driver.spawned then
    self.loop.spawn(function() drive(self, driver) end)
    driver.spawned = true
  end
  return true
end

-- Suspends the running coroutine until the waiter gets an id. May return early (spurious
-- wake-up). False: the loop cannot have a driver.
function suspend(self, waiter, key, taken)
  waiter.coroutine, waiter.thread = coroutine.running(), outermost()
  waiter.failure, waiter.parking = false, true
  local parked = self:park(waiter, key)
  waiter.parking = false
  if not parked then return false end
  if waiter.taken ~= taken or not waiter.driver then -- a new driver woke it
    self:unpark(waiter)
  else
    if self.woken then self.woken[waiter] = false end
    self.loop.park(waiter)
    if self.woken then self.woken[waiter] = nil end
  end
  local failure = waiter.failure
  if failure then
    waiter.failure = false
    error(failure, 0)
  end
  return true
end

-- Raises if another coroutine is suspended with the waiter.
function Hub:check(waiter)
  local other = waiter.driver and waiter.coroutine ~= coroutine.running()
  if other and is_waiting(self, waiter) then
    error("another coroutine waits for the same iterator", 0)
  end
end

-- Other code may have closed what the driver watches: its waiters look for another one.
local function stop_unwatched_driver(self, driver)
  if not (driver and driver.watch.dead and driver.watch.dead()) then return end
  self:stop(driver)
  step_client(self)
  wake_all(self, driver)
end

-- Raises if the loop allows neither to wait here nor to block.
local function check_obstacle(self)
  local obstacle = self.loop and self.loop.obstacle
  if obstacle then error(obstacle "the iterator", 0) end
end

local function has_to_wait(self, waiter, taken)
  return #waiter == 0 and waiter.taken == taken and not self.closed
end

-- Waits until the waiter has an id, or the client is closed. taken: the waiter's count
-- before its iterator found that it has to wait. A finalizer that runs here may use the
-- same iterator and take the last result; then there is nothing to wait for.
function Hub:wait(waiter, taken)
  while has_to_wait(self, waiter, taken) do
    local key = self.loop and self.loop.inside() or false
    stop_unwatched_driver(self, self.drivers[key])
    if not self.drivers[key] then dispatch(self) end -- no driver does this
    if not key then check_obstacle(self) end
    if has_to_wait(self, waiter, taken)
      and not (key and suspend(self, waiter, key, taken)) then
      self.client:step(SLICE)
    end
  end
end

-- Waits for the call, and returns its results.
function Hub:await(call)
  local waiter = Hub.new_waiter()
  while not call:done() do
    self:expect(call:id(), call, waiter)
    self:wait(waiter, 0)
    waiter[1] = nil
    call:step()
  end
  return call:result()
end

-- Closes the client, and wakes all its waiters.
function Hub:close()
  local drivers = self.drivers
  self.closed, self.drivers = true, {}
  for _, driver in pairs(drivers) do self:stop(driver) end
  self.client:close()
  for _, driver in pairs(drivers) do wake_all(self, driver) end
end

return Hub
