-- hub.lua: who waits for which call of a client. A program without an event loop waits in
-- client:step; under a loop one driver waits on the client's descriptor, and wakes those
-- whose calls can go on. (If each waited on the descriptor, all would wake for each.)
--
-- A slot belongs to one waiter: a list of the ids of its calls that can be stepped.
-- SPDX-License-Identifier: MIT

local internal = require "uqpay.internal"

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

-- slot is to get the id of the call when the call can be stepped. It keeps the call until
-- then.
function Hub:expect(call, slot)
  local id = call:id()
  slot.calls = slot.calls or {}
  slot.calls[id] = call
  self.slots[id] = slot -- the last: memory may end at each of these
end

-- Ends a driver, if it has not ended: nobody waits for it, or the client is closed.
local function retire(self, driver)
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
  slot.driver = nil
  if driver ~= self.running and not parked[1] then retire(self, driver) end
end

-- The coroutine that a loop has to resume: coxpcall, the pcall for Lua 5.1 that can be
-- yielded across, runs others within it.
local function outermost()
  local coxpcall = package.loaded.coxpcall
  local running = type(coxpcall) == "table" and coxpcall.running or coroutine.running
  return (running())
end

local park

-- Does the waiter wait? If it could not yield (in a hook, or where Lua 5.1 cannot), it
-- has gone on with an error, and may wait for something else by now.
local function is_waiting(self, slot)
  if self.loop.waits then return self.loop.waits(slot) end
  local waiter = slot.waiter
  if coroutine.status(waiter) ~= "suspended" then return false end
  local level, frame = 0, debug.getinfo(waiter, 0, "f")
  while frame and frame.func ~= park do
    level = level + 1
    frame = debug.getinfo(waiter, level, "f")
  end
  return frame ~= nil
end

local function wake(self, slot, failure)
  if not slot.driver then return end
  self:leave(slot)
  if is_waiting(self, slot) then
    slot.failure = failure
    self.loop.wake(slot) -- the waiter may run at once, and park again
  end
end

-- Wakes all that are parked with the driver. Those woken may park others meanwhile.
local function wake_all(self, driver, failure)
  local slots = {}
  for n, slot in ipairs(driver.parked) do slots[n] = slot end
  for _, slot in ipairs(slots) do wake(self, slot, failure) end
end

-- Cancels the calls of those that a driver's loop has ended while they were parked.
local function forsake(self, driver)
  local gone = {}
  for _, slot in ipairs(driver.parked) do
    if not self.loop.waits(slot) then gone[#gone + 1] = slot end
  end
  for _, slot in ipairs(gone) do
    self:leave(slot)
    for id, call in pairs(slot.calls) do
      self.slots[id], slot.calls[id] = nil, nil
      call:cancel()
    end
  end
end

-- Tells the waiters which calls can be stepped; so many at most. True: there may be more.
local function dispatch(self, limit)
  local told = 0
  while not self.closed and told ~= limit do
    local id = self.client:ready()
    if not id then return false end
    local slot = self.slots[id]
    if slot then
      told = told + 1
      self.slots[id], slot.calls[id] = nil, nil
      slot[#slot + 1] = id
      wake(self, slot)
    else
      internal.pass(self.client, id) -- somebody waits for it elsewhere
      self.passed = true
    end
  end
  return not self.closed
end

local function step(self, limit)
  if self.closed then return false end
  self.client:step()
  return dispatch(self, limit)
end

-- Runs beside the others as long as one of them is parked.
local function drive(self, driver)
  local watch, more = driver.watch, false
  while driver.parked[1] and driver.watch do
    if watch.wait(more) then forsake(self, driver) end
    local before = self.running
    self.running = driver
    local stepped, result = pcall(step, self, watch.limit)
    more = stepped and result
    if not stepped then wake_all(self, driver, result) end
    self.running = before
  end
  retire(self, driver)
end

-- Waits, maybe in vain, for the slot to get an id. False: the loop cannot wait for it.
function park(self, slot, key)
  local driver = self.drivers[key]
  local fd = not driver and (self.loop.obstacle or self.client:pollfd())
  if fd then
    driver = { key = key, parked = {}, watch = self.loop.watch(fd, self) }
    self.drivers[key] = driver
  elseif not driver then
    return false
  end
  if slot.driver ~= driver then
    self:leave(slot)
    slot.driver, slot.place = driver, #driver.parked + 1
    driver.parked[slot.place] = slot
  end
  slot.waiter, slot.thread = coroutine.running(), outermost()
  if fd then self.loop.spawn(function() drive(self, driver) end) end
  self.loop.park(slot)
  local failure = slot.failure
  if failure then
    slot.failure = nil
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

-- Waits until the slot has an id in it, or the client is closed.
function Hub:wait(slot)
  local alone = not self.loop -- the program may have been told of our calls, and we ...
  if alone then internal.recall(self.client) end
  while #slot == 0 and not self.closed do
    local key = self.loop and self.loop.inside()
    local driver = self.drivers[key or false]
    if driver and driver.watch.dead and driver.watch.dead() then
      retire(self, driver)
      step(self)
    end
    if not (key and self.drivers[key]) then dispatch(self) end -- nobody else will
    local obstacle = not key and self.loop and self.loop.obstacle
    if obstacle then error(obstacle "the iterator", 0) end
    if #slot == 0 and not self.closed and not (key and park(self, slot, key)) then
      self.client:step(3600)
    end
  end
  if alone and self.passed then
    self.passed = nil
    internal.recall(self.client) -- ... of its
  end
end

-- Waits for the call, and returns its results.
function Hub:await(call)
  local slot = {}
  while not call:done() do
    self:expect(call, slot)
    self:wait(slot)
    slot[1] = nil
    call:step()
  end
  return call:result()
end

-- Closes the client: nobody waits any longer.
function Hub:close()
  local drivers = self.drivers
  self.closed, self.drivers = true, {}
  for _, driver in pairs(drivers) do retire(self, driver) end
  self.client:close()
  for _, driver in pairs(drivers) do wake_all(self, driver) end
end

return Hub
