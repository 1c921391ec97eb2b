-- batch.lua: client:balances, many balances a few at a time, in order of completion.
-- SPDX-License-Identifier: MIT

local Hub = require "uqpay.hub"
local internal = require "uqpay.internal"

local CONCURRENCY, CONCURRENCY_MAX = 32, 1000

local function bad(option, expected)
  error(("bad option '%s' to 'balances' (%s)"):format(option, expected), 0)
end

-- The function that gives the next query, and how many there are if that is known.
local function source_of(queries)
  local meta = getmetatable(queries)
  if type(queries) == "function" or type(meta) == "table" and meta.__call then
    return queries
  elseif type(queries) ~= "table" then
    error("bad argument #1 to 'balances' (list or iterator function expected, got "
      .. type(queries) .. ")", 0)
  end
  local n = 0
  return function()
    n = n + 1
    return queries[n]
  end, #queries
end

local function concurrency_of(value)
  if value == nil then return CONCURRENCY end
  if type(value) ~= "number" or value < 1 or value > CONCURRENCY_MAX or value % 1 ~= 0 then
    bad("concurrency", "a whole number from 1 to " .. CONCURRENCY_MAX)
  end
  return value
end

local function progress_of(value)
  if value ~= nil and type(value) ~= "function" then bad("progress", "function expected") end
  return value
end

-- The options that each call is started with.
local function call_options(client, options)
  local calls = {}
  for name, value in pairs(options or {}) do
    if name ~= "concurrency" and name ~= "progress" then calls[name] = value end
  end
  for _, name in ipairs { "currency", "idempotency_key" } do
    if calls[name] ~= nil then bad(name, "it belongs to a query") end
  end
  internal.check(client, "balances", calls)
  calls.queued = true
  return calls
end

-- The arguments of start_balance for a query.
local function arguments(self, query)
  if type(query) ~= "table" then return query, self.options end
  local merged = {}
  for name, value in pairs(self.options) do merged[name] = value end
  for name, value in pairs(query) do merged[name] = value end
  return merged
end

-- A query is over: its call bears the results, or there is none and failure says why.
local function finish(self, query, call, failure)
  local tail = self.tail + 1
  self.tail = tail
  self.finished[tail] = { query = query, call = call, failure = failure }
end

local function start(self, query)
  local started, call = pcall(self.client.start_balance, self.client,
    arguments(self, query))
  if not started then -- a query that is none must not stop the others
    if internal.closed(self.client) then error(call, 0) end
    finish(self, query, nil, internal.failure(tostring(call)))
    return
  end
  if call:done() then
    finish(self, query, call)
    return
  end
  local id = call:id()
  self.running = self.running + 1
  self.calls[id], self.queries[id] = call, query
  self.held = call:attempts() == 0 and id -- by the rate limit: so would be the next
  self.hub:expect(call, self.slot)
end

-- Starts calls while there is room.
local function fill(self)
  while self.source and not self.held
    and self.running + self.tail - self.head < self.concurrency do
    local query = self.source()
    if query == nil then
      self.source = nil
    else
      start(self, query)
    end
  end
end

local function step(self, id)
  local call = self.calls[id]
  if call:step() then
    finish(self, self.queries[id], call)
    self.running = self.running - 1
    self.calls[id], self.queries[id] = nil, nil
  else
    self.hub:expect(call, self.slot)
  end
  if self.held == id and (call:done() or call:attempts() > 0) then self.held = false end
end

-- Waits until a call can go on, and lets it.
local function wait(self)
  local _, any = next(self.calls)
  if any:done() then -- the client was closed
    for id in pairs(self.calls) do step(self, id) end
    return
  end
  local slot = self.slot
  self.hub:wait(slot)
  for n = 1, #slot do
    step(self, slot[n])
    slot[n] = nil
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
  pcall(self.progress, {
    done = self.done, failed = self.failed, total = self.total, rate = rate, ends = ends,
  })
end

-- The next query that is over, with what became of it.
local function deliver(self)
  while self.head == self.tail do
    fill(self)
    if self.head == self.tail then
      if self.running == 0 then return nil end
      wait(self)
    end
  end
  local head = self.head + 1
  local over = self.finished[head]
  self.finished[head] = nil
  self.head = head
  fill(self) -- so that the calls go on while the caller works
  if over.call then
    local balance, message, err = over.call:result()
    report(self, not balance)
    return over.query, balance, message, err
  end
  report(self, true)
  return over.query, nil, over.failure.message, over.failure
end

-- Ends the calls in flight: a loop that is left early needs their answers no more.
local function close(self)
  self.source = nil
  for id, call in pairs(self.calls) do
    call:cancel()
    self.calls[id], self.queries[id] = nil, nil
  end
  self.running = 0
  self.hub:leave(self.slot)
end

-- client:balances(queries [, options])
return function(client, queries, options)
  if options ~= nil and type(options) ~= "table" then
    error("bad argument #2 to 'balances' (table expected, got " .. type(options) .. ")", 0)
  end
  options = options or {}
  local peer = internal.peer(client)
  peer.hub = peer.hub or Hub.new(client)
  local source, total = source_of(queries)
  local batch = {
    client = client, hub = peer.hub, source = source, total = total,
    options = call_options(client, options),
    concurrency = concurrency_of(options.concurrency),
    progress = progress_of(options.progress), started = internal.clock(),
    calls = {}, queries = {}, running = 0, held = false, slot = {},
    finished = {}, head = 0, tail = 0, done = 0, failed = 0,
  }
  return function() return deliver(batch) end, nil, nil,
    setmetatable({}, { __close = function() close(batch) end })
end
