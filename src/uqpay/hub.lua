-- hub.lua: who waits for which call of a client. A program without an event loop waits in
-- client:step; under a loop one driver waits on the client's descriptor, and wakes those
-- whose calls can go on. (If each waited on the descriptor, all would wake for each.)
-- SPDX-License-Identifier: MIT

local Hub = {}
Hub.__index = Hub

-- loop: nil, or the functions that loop.lua lists.
function Hub.new(client, loop)
  return setmetatable({ client = client, loop = loop, slots = {}, parked = {} }, Hub)
end

-- slot, a list, is to get the id of the call when the call can be stepped.
function Hub:expect(call, slot)
  self.slots[call:id()] = slot
end

function Hub:wake(slot)
  if self.parked[slot] then
    self.parked[slot] = nil
    self.loop.wake(slot)
  end
end

local function dispatch(self)
  local client, slots = self.client, self.slots
  while not self.closed do
    local id = client:ready()
    if not id then return end
    local slot = slots[id]
    if slot then
      slots[id] = nil
      slot[#slot + 1] = id
      self:wake(slot)
    end
  end
end

-- Runs beside the others as long as one of them is parked.
local function drive(self)
  local watch = self.watch
  while not self.closed and next(self.parked) do
    watch.wait()
    if self.closed then return end
    local stepped, err = pcall(self.client.step, self.client)
    if stepped then
      dispatch(self)
    else
      self.failure = err
      for slot in pairs(self.parked) do self:wake(slot) end
    end
  end
  if not self.closed then
    self.watch = nil
    watch.stop()
  end
end

local function park(self, slot)
  self.parked[slot] = true
  if not self.watch then
    local fd = self.client:pollfd()
    if not fd then error("this system has no descriptor for an event loop to wait on") end
    self.watch = self.loop.watch(fd)
    self.loop.spawn(function() drive(self) end)
  end
  if self.parked[slot] then self.loop.park(slot) end
  local failure = self.failure
  if failure then
    self.failure = nil
    error(failure, 0)
  end
end

-- Waits until the slot has an id in it, or the client is closed.
function Hub:wait(slot)
  while #slot == 0 and not self.closed do
    if self.loop and self.loop.inside() then
      park(self, slot)
    else
      self.client:step(3600)
      dispatch(self)
    end
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
  self.closed = true
  if self.watch then self.watch.stop() end
  self.client:close()
  for slot in pairs(self.parked) do self:wake(slot) end
end

return Hub
