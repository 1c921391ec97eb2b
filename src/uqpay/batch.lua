-- batch.lua: client:balances, many balances a few at a time, in order of completion.
--
-- Finalizers may use the iterator that is at work, wherever something is allocated: what
-- that can change is looked at again afterwards. So each call is handed out once.
-- SPDX-License-Identifier: MIT

local Hub = require "uqpay.hub"
local internal = require "uqpay.internal"

-- A function that gives the items of a list that had so many when the batch began.
local function items(list, total)
  local n = 0
  return function()
    n = n + 1
    local query = rawget(list, n)
    if query == nil and n <= total then
      error(("queries[%d] is nil: the list was changed"):format(n), 0)
    end
    return query
  end
end

-- A query is over: its call has the results. Allocates nothing but room for it.
local function finish(self, entry)
  local tail = self.tail + 1
  self.finished[tail] = entry
  self.tail = tail
  self.slot.over = self.slot.over + 1
end

-- Starts the call of a query. Gives its id, or nil if it is over.
local function begin(self, entry)
  local call = internal.start(self.client, self.calls, entry.query, self.refused)
  entry.call = call
  if call:done() then return finish(self, entry) end
  local id = call:id()
  self.torn = true -- until it is expected
  self.running[id] = entry
  self.count = self.count + 1
  return id
end

local function start(self)
  local entry = { query = false, call = false }
  local query = self.query
  if query == nil then return end
  entry.query, self.query = query, nil -- it is ours alone, unless it cannot be started
  local torn = self.torn
  local started, id = pcall(begin, self, entry)
  if not started then
    self.query = query
    error(id, 0)
  end
  if not id then return end
  local call = entry.call
  self.held = call:attempts() == 0 and id -- by the rate limit: so would be the next
  self.hub:expect(call, self.slot)
  self.torn = torn
end

-- Starts calls while there is room, beside those whose results are being handed out.
local function fill(self, handing)
  while (self.source or self.query ~= nil) and not self.held
    and self.count + self.tail - self.head - handing < self.concurrency do
    if self.query == nil then
      local source = self.source
      if not source then return end
      self.source = nil -- if it raises an error, it is not asked again
      local query, failure = source()
      if not query and failure ~= nil then error(failure, 0) end -- it is not complete
      if query == nil then return end
      self.source, self.query = source, query
    end
    if internal.closed(self.client) then
      self.source, self.query, self.closed = nil, nil, true
      return
    end
    start(self)
  end
end

local function step(self, id)
  local entry = self.running[id]
  if not entry then return end -- it was there twice, and is over
  local call = entry.call
  self.stepped = call
  local over = call:step()
  self.stepped = nil
  if self.held == id and (over or call:attempts() > 0) then self.held = false end
  if self.running[id] ~= entry then return end
  if over then
    finish(self, entry)
    self.count = self.count - 1
    self.running[id] = nil
  else
    self.hub:expect(call, self.slot)
  end
end

-- Waits until a call can go on, and lets it. After an error (out of memory, of a debug
-- hook or a finalizer) nobody knows who can, and so all may.
local function wait(self, over)
  local slot = self.slot
  self.hub:check(slot)
  if self.torn or internal.closed(self.client) then
    for n = #slot, 1, -1 do slot[n] = nil end
    for id in pairs(self.running) do slot[#slot + 1] = id end
  end
  self.torn = true
  self.hub:wait(slot, over)
  local n = 1
  while slot[n] do -- a hook of one can wait, and be told of more
    self.torn = true
    step(self, slot[n])
    n = n + 1
  end
  for i = n - 1, 1, -1 do slot[i] = nil end
  self.torn = false
end

local function tell(self)
  local elapsed = internal.clock() - self.started
  local rate = elapsed > 0 and self.done / elapsed or 0
  local ends
  if self.total and rate > 0 then ends = os.time() + (self.total - self.done) / rate end
  self.progress {
    done = self.done, failed = self.failed, total = self.total, rate = rate, ends = ends,
  }
end

local function report(self, failed)
  self.done = self.done + 1
  if failed then self.failed = self.failed + 1 end
  if self.progress and not pcall(tell, self) then internal.hook_failed(self.client) end
end

-- The next query that is over, with what became of it.
local function deliver(self)
  if internal.stepping(self.calls, self.stepped) then
    error("a hook must not use the iterator that it runs for", 0)
  end
  repeat
    while self.head == self.tail do
      fill(self, 0)
      local over = self.slot.over -- first: from now on a finalizer may end more
      if self.head == self.tail then
        if self.count == 0 then
          if self.closed then error("attempt to use a closed uqpay client", 0) end
          return nil
        end
        wait(self, over)
      end
    end
    fill(self, 1) -- so that the calls go on while the caller works
  until self.head < self.tail -- the source or a finalizer may have used the iterator
  local head = self.head + 1
  local over = self.finished[head]
  self.finished[head], self.head = nil, head -- first: it is ours alone from now on
  local got, balance, message, err = pcall(over.call.result, over.call)
  if not got then -- out of memory: it is handed out later
    finish(self, over)
    error(balance, 0)
  end
  report(self, not balance)
  if balance then return over.query, balance end
  return over.query, nil, message, err
end

-- Ends the calls in flight: a loop that is left early needs their answers no more.
local function close(self)
  self.source, self.query = nil, nil
  for id, entry in pairs(self.running) do
    entry.call:cancel()
    self.running[id] = nil
  end
  self.count = 0
  self.hub:leave(self.slot)
end

-- client:balances(queries [, options]), read and checked: total is the length of a list,
-- nil of a function; calls is what internal.start wants to know of the options, and
-- refused says why none of the queries can be sent.
return function(client, queries, total, calls, refused, concurrency, progress)
  local peer = internal.peer(client)
  peer.hub = peer.hub or Hub.new(client)
  local source = total and items(queries, total) or queries
  local batch = {
    client = client, hub = peer.hub, calls = calls, refused = refused,
    concurrency = concurrency, source = source, total = total, progress = progress,
    running = {}, count = 0, -- queries and calls in flight, by id; their number
    query = nil,    -- the next, if the source has given it already
    held = false, slot = Hub.slot(),
    torn = false,   -- the slot may lack some that can go on
    stepped = nil,  -- the call that is being stepped
    finished = {}, head = 0, tail = 0, -- finished[head + 1 .. tail] wait to be handed out
    done = 0, failed = 0, started = internal.clock(),
  }
  return function() return deliver(batch) end, nil, nil,
    setmetatable({}, { __close = function() close(batch) end })
end
