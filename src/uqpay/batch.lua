-- batch.lua: client:balances, many balances a few at a time, in order of completion.
-- SPDX-License-Identifier: MIT

local Hub = require "uqpay.hub"
local internal = require "uqpay.internal"

-- A function that gives the items of a list, and their number.
local function items(list)
  local n = 0
  return function()
    n = n + 1
    return list[n]
  end, #list
end

-- A query is over: its call bears the results, or there is none and failure says why.
local function finish(self, query, call, failure)
  local tail = self.tail + 1
  self.tail = tail
  self.finished[tail] = { query = query, call = call, failure = failure }
end

local function start(self, query)
  local call, failure = internal.start(self.client, self.calls, query)
  if not call or call:done() then
    finish(self, query, call, failure)
    return
  end
  local id = call:id()
  self.count = self.count + 1
  self.running[id], self.queries[id] = call, query
  self.held = call:attempts() == 0 and id -- by the rate limit: so would be the next
  self.hub:expect(call, self.slot)
end

-- Starts calls while there is room, beside those whose results are being handed out.
local function fill(self, handing)
  while self.source and not self.held
    and self.count + self.tail - self.head - handing < self.concurrency do
    local source = self.source
    self.source = nil -- if it raises an error, it is not asked again
    local query = source()
    if query == nil then return end
    if internal.closed(self.client) then
      self.closed = true
      return
    end
    self.source = source
    start(self, query)
  end
end

local function step(self, id)
  local call = self.running[id]
  if call:step() then
    finish(self, self.queries[id], call)
    self.count = self.count - 1
    self.running[id], self.queries[id] = nil, nil
  else
    self.hub:expect(call, self.slot)
  end
  if self.held == id and (call:done() or call:attempts() > 0) then self.held = false end
end

-- Waits until a call can go on, and lets it.
local function wait(self)
  local slot = self.slot
  if internal.closed(self.client) then
    for id in pairs(self.running) do slot[#slot + 1] = id end
  else
    self.hub:wait(slot)
  end
  for n = 1, #slot do
    local id = slot[n]
    slot[n] = nil
    step(self, id)
  end
end

local function report(self, failed)
  self.done = self.done + 1
  if failed then self.failed = self.failed + 1 end
  if not self.progress then return end
  local elapsed = internal.clock() - self.started
  local rate = elapsed > 0 and self.done / elapsed or 0
  local ends
  if self.total and rate > 0 then ends = os.time() + (self.total - self.done) / rate end
  local ok = pcall(self.progress, {
    done = self.done, failed = self.failed, total = self.total, rate = rate, ends = ends,
  })
  if not ok then internal.hook_failed(self.client) end
end

-- The next query that is over, with what became of it.
local function deliver(self)
  while self.head == self.tail do
    fill(self, 0)
    if self.head == self.tail then
      if self.count == 0 then
        if self.closed then error("attempt to use a closed uqpay client", 0) end
        return nil
      end
      wait(self)
    end
  end
  fill(self, 1) -- so that the calls go on while the caller works
  local head = self.head + 1
  local over = self.finished[head]
  self.finished[head] = nil
  self.head = head
  if over.call then
    local balance, message, err = over.call:result()
    report(self, not balance)
    if balance then return over.query, balance end
    return over.query, nil, message, err
  end
  report(self, true)
  return over.query, nil, over.failure.message, over.failure
end

-- Ends the calls in flight: a loop that is left early needs their answers no more.
local function close(self)
  self.source = nil
  for id, call in pairs(self.running) do
    call:cancel()
    self.running[id], self.queries[id] = nil, nil
  end
  self.count = 0
  self.hub:leave(self.slot)
end

-- client:balances(queries [, options]), read and checked: called tells iterators from
-- lists, calls is what internal.start wants to know of the options.
return function(client, queries, called, calls, concurrency, progress)
  local peer = internal.peer(client)
  peer.hub = peer.hub or Hub.new(client)
  local source, total = queries, nil
  if not called then source, total = items(queries) end
  local batch = {
    client = client, hub = peer.hub, calls = calls, concurrency = concurrency,
    source = source, total = total, progress = progress,
    running = {}, queries = {}, count = 0, -- those in flight, by id; their number
    held = false, slot = {},
    finished = {}, head = 0, tail = 0, -- finished[head + 1 .. tail] wait to be handed out
    done = 0, failed = 0, started = internal.clock(),
  }
  return function() return deliver(batch) end, nil, nil,
    setmetatable({}, { __close = function() close(batch) end })
end
