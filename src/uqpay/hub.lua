-- hub.lua: who waits for which call of a client. A program without an event loop waits in
-- client:step; under a loop one driver waits on the client's descriptor, and wakes those
-- whose calls can go on. (If each waited on the descriptor, all would wake for each.)
--
-- A slot belongs to one waiter: a list of the ids of its calls that can be stepped. over
-- counts its calls that are over: a finalizer may use the iterator that waits.
-- SPDX-License-Identifier: MIT

local internal = require "uqpay.internal"

local SLICE = 0.25 -- seconds, the longest wait in one piece

local Hub = {}
Hub.__index = Hub

-- loop: nil, or the functions that loop.lua lists.
function Hub.new(client, loop)
  return setmetatable({
    client = client, loop = loop,
    drivers = {}, -- by what loop.inside gives: a client may be used in several loops
    slots = setmetatable({}, { __mode = "v" }), -- by id; those given up are not kept
  }, Hub)
end

-- A slot that has room for what will be in it: LuaJIT loses entries of a table that has
-- no memory to grow.
function Hub.slot()
  local slot = {
    0, calls = {}, driver = false, place = 0, waiter = false, thread = false,
    failure = false, over = 0,
  }
  slot[1] = nil
  return slot
end

-- slot is to get the id of the call, or batch, when that is due. It keeps the call until
-- then.
function Hub:expect(id, call, slot)
  slot.calls[id] = call
  self.slots[id] = slot -- the last: memory may end at each of these
end

-- Ends a driver, if it has not ended: nobody waits for it, or the client is closed.
function Hub:retire(driver)
  local watch = driver.watch
  if not watch then return end
  driver.watch = nil
  if self.drivers[driver.key] == driver then self.drivers[driver.key] = nil end
  watch.stop()
end

-- Takes the slot from the driver that it is parked with. A driver that is not running
-- would not notice that it was the last.
function Hub:leave(slot)
  local driver = slot.driver
  if not driver then return end
  local parked = driver.parked -- a list: keys that come and go make a table slow
  local last = parked[#parked]
  parked[slot.place], last.place = last, slot.place
  parked[#parked] = nil
  slot.driver = false
  if driver ~= self.running and not parked[1] then self:retire(driver) end
end

-- The coroutine that a loop has to resume: coxpcall, the pcall for Lua 5.1 that can be
-- yielded across, runs others within it.
local function outermost()
  local coxpcall = package.loaded.coxpcall
  local running = type(coxpcall) == "table" and coxpcall.running or coroutine.running
  return (running())
end

local park

-- Is the coroutine within that?
local function is_in_park(waiter)
  local level, frame = 0, debug.getinfo(waiter, 0, "f")
  while frame and frame.func ~= park do
    level = level + 1
    frame = debug.getinfo(waiter, level, "f")
  end
  return frame ~= nil
end

-- Does the waiter wait? If it could not yield (in a hook, or where Lua 5.1 cannot), it
-- has gone on with an error, and may wait for something else by now. Without memory to
-- look it is believed to: nobody would wake it again.
local function is_waiting(self, slot)
  if self.loop.waits then return self.loop.waits(slot) end
  if coroutine.status(slot.waiter) ~= "suspended" then return false end
  local looked, found = pcall(is_in_park, slot.waiter)
  return found or not looked
end

local function wake(self, slot, failure)
  if not slot.driver then return end
  local waiting = is_waiting(self, slot) -- first: it may raise an error
  self:leave(slot)
  if waiting then
    slot.failure = failure
    self.loop.wake(slot) -- the waiter may run at once, and park again
  end
end

-- Wakes all that are parked with the driver. Those woken may park others meanwhile, who
-- come behind them. Takes no memory: there may be none.
local function wake_all(self, driver, failure)
  local parked = driver.parked
  for n = #parked, 1, -1 do
    if parked[n] then wake(self, parked[n], failure) end
  end
end

-- Cancels the calls of those that a driver's loop has ended while they were parked.
function Hub:forsake(driver)
  local gone = {}
  for _, slot in ipairs(driver.parked) do
    if not self.loop.waits(slot) then gone[#gone + 1] = slot end
  end
  for _, slot in ipairs(gone) do
    self:leave(slot)
    for id, call in pairs(slot.calls) do
      slot[#slot + 1] = id -- if he is there all the same, he is told of it
      self.slots[id], slot.calls[id] = nil, nil
      call:cancel()
    end
  end
end

-- Tells the waiters which calls can be stepped; so many at most. True: there may be more.
local function dispatch(self, limit)
  local told = 0
  while not self.closed and told ~= limit do
    local id = internal.next(self.client)
    if not id then return false end
    local slot = self.slots[id]
    if slot then
      told = told + 1
      slot[#slot + 1] = id -- first: it may raise an error
      self.slots[id], slot.calls[id] = nil, nil
      wake(self, slot)
    end
  end
  return not self.closed
end

local function step(self, limit)
  if self.closed then return false end
  self.client:step()
  return dispatch(self, limit)
end

-- Steps the client for a driver, and wakes so many at most. True: there may be more.
function Hub:turn(driver, limit)
  local before = self.running
  self.running = driver
  local stepped, result = pcall(step, self, limit)
  if not stepped then
    wake_all(self, driver, result)
  end
  self.running = before
  return stepped and result
end

-- Runs beside the others as long as one of them is parked.
local function drive(self, driver)
  local watch = driver.watch
  driver.co = coroutine.running()
  while driver.parked[1] and driver.watch do
    watch.wait()
    self:turn(driver)
  end
  self:retire(driver)
end

-- A driver whose coroutine has died (of a lack of memory, as its loop has told) may have
-- missed what the others wait for.
local function bury(self, driver)
  if self.running == driver then self.running = nil end
  wake_all(self, driver, "what waited for this client's calls has died of an error")
  self:retire(driver)
end

-- The driver of that key; nil: the loop cannot have one.
local function driver_of(self, key)
  local driver = self.drivers[key]
  if driver and driver.co and coroutine.status(driver.co) == "dead" then
    bury(self, driver)
    driver = nil
  end
  if driver then return driver end
  local watched = self.loop.attend and self or self.client:pollfd()
  if not watched then return nil end
  driver = { key = key, parked = {}, watch = self.loop.watch(watched) }
  self.drivers[key] = driver
  return driver
end

-- Parks the slot with the driver of that key, which will wake it when a call of it can be
-- stepped. False: the loop cannot wait for it.
function Hub:join(slot, key)
  local driver = driver_of(self, key)
  if not driver then return false end
  if slot.driver ~= driver then
    self:leave(slot)
    local parked = driver.parked
    slot.driver, slot.place = false, #parked + 1
    parked[slot.place] = slot
    slot.driver = driver -- the last: memory may end before
  end
  if self.loop.attend then
    self.loop.attend(driver)
  elseif not driver.spawned then
    self.loop.spawn(function() drive(self, driver) end)
    driver.spawned = true
  end
  return true
end

-- Waits, maybe in vain, for the slot to get an id; see Hub:wait. False: the loop cannot
-- wait for it.
function park(self, slot, key, over)
  slot.waiter, slot.thread, slot.failure = coroutine.running(), outermost(), false
  if not self:join(slot, key) then return false end
  if slot.over ~= over then
    self:leave(slot)
    return true
  end
  self.loop.park(slot)
  local failure = slot.failure
  if failure then
    slot.failure = false
    error(failure, 0)
  end
  return true
end

-- A slot serves one waiter at a time.
function Hub:check(slot)
  local other = slot.driver and slot.waiter ~= coroutine.running()
  if other and is_waiting(self, slot) then
    error("another coroutine waits for the same iterator", 0)
  end
end

-- Waits until the slot has an id in it, the client is closed, or other than `over` of the
-- slot's calls are over.
function Hub:wait(slot, over)
  while #slot == 0 and slot.over == over and not self.closed do
    local key = self.loop and self.loop.inside()
    local driver = self.drivers[key or false]
    if driver and driver.watch.dead and driver.watch.dead() then
      self:retire(driver)
      step(self)
      wake_all(self, driver) -- they look for another driver
    end
    if not (key and self.drivers[key]) then -- nobody else will
      dispatch(self)
    end
    local obstacle = not key and self.loop and self.loop.obstacle
    if obstacle then error(obstacle "the iterator", 0) end
    if #slot == 0 and slot.over == over and not self.closed
      and not (key and park(self, slot, key, over)) then
      self.client:step(SLICE)
    end
  end
end

-- Waits for the call, and returns its results.
function Hub:await(call)
  local slot = Hub.slot()
  while not call:done() do
    self:expect(call:id(), call, slot)
    self:wait(slot, 0)
    slot[1] = nil
    call:step()
  end
  return call:result()
end

-- Closes the client: nobody waits any longer.
function Hub:close()
  local drivers = self.drivers
  self.closed, self.drivers = true, {}
  for _, driver in pairs(drivers) do self:retire(driver) end
  self.client:close()
  for _, driver in pairs(drivers) do wake_all(self, driver) end
end

return Hub
