-- cache.lua: balances that the workers of a server share through a lua_shared_dict. What
-- is kept is the API's text, which each reader parses for itself.
--
-- For each question one call at a time is in flight in the whole server: a flight is a
-- task of the worker's driver, which the end of no request ends. Those who wait for it in
-- the same worker wait on its semaphore, the flights of other workers look into the
-- dictionary. All share its outcome, but not its limits: a caller that has more time or
-- retries than a call that failed may make the next one.
-- SPDX-License-Identifier: MIT

local Hub = require "uqpay.hub"
local driver = require "resty.uqpay.driver"
local internal = require "uqpay.internal"
local lock = require "resty.uqpay.lock"
local semaphore = require "ngx.semaphore"
local cjson = require("cjson").new() -- its settings are ours

local clock = internal.clock

local SHORTEST, LONGEST = 0.005, 0.05 -- seconds between two looks for the outcome of ...
local SHARE = 10    -- ... another worker, this part of the time that it has taken
local RENEW = 0.25  -- seconds between two looks at the lock
local SHORT, LONG = 1, 10 -- seconds: a failure is remembered for a ttl, within these
local MOST = 1000         -- of those that a worker remembers by itself
local FORGOTTEN = 3600    -- seconds; no call takes longer
local HELP = 1            -- seconds for which a caller steps what nobody else does
local MARGIN = 0.05       -- seconds to wait for a call that ends as late: it tells why
local MINUTE = 60

local Cache = {}
Cache.__index = Cache

local Flight = {}
Flight.__index = Flight

local flights = {} -- of this worker, by key

-- ------------------------------------------------------------------------
-- answers in the dictionary
-- ------------------------------------------------------------------------

-- What is kept, unless it is too old: { text =, at =, asked =, age = }. When it came is
-- there on two clocks: the wall clock may be set back, the other one stands still with a
-- machine that sleeps.
local function look(self, key)
  local line = self.dict:get(key)
  if not line then return nil end
  local at, came, asked, first = line:match "^(%S+) (%S+) (%S+) ()"
  local age = math.max(ngx.now() - at, clock() - came)
  if age >= self.ttl + self.stale then return nil end
  return { text = line:sub(first), at = tonumber(at), asked = tonumber(asked), age = age }
end

-- True if what was asked for then has been forgotten.
local function is_forgotten(self, key, asked)
  local forgotten = self.dict:get(key .. " forgotten")
  return forgotten and forgotten >= asked
end

-- Keeps an answer, unless there is one that was asked for later, or it was to be
-- forgotten. Without room the next one asks.
local function keep(self, key, text, asked)
  local kept = { text = text, at = ngx.now(), asked = asked, age = 0 }
  local newer = look(self, key)
  if newer and newer.asked > asked or is_forgotten(self, key, asked) then return kept end
  self.dict:safe_set(key, ("%.3f %.6f %.6f %s"):format(kept.at, clock(), asked, text),
    self.ttl + self.stale)
  self.dict:delete(key .. " failed")
  return kept
end

-- The balance, or nothing if the text is not what was written.
local function read(client, question, kept)
  local balance = internal.read(client.client, question.currency, question.amounts,
    kept.text)
  if balance then balance.cached_at = kept.at end
  return balance
end

-- ------------------------------------------------------------------------
-- failures
-- ------------------------------------------------------------------------

-- True if the question's own timeout or retries might have prevented this failure.
local function is_beaten(failure, question)
  if failure.err.kind == "timeout" and question.timeout > failure.timeout then
    return true
  end
  return failure.err.retryable and question.retries > failure.retries
end

-- A failure that is remembered, and is the question's, too.
local function recall(self, question)
  local key = question.key
  local text = self.dict:get(key .. " failed") or self.failures[key]
  if not text then return nil end
  local ok, failure = pcall(cjson.decode, text)
  if not ok or clock() >= failure.ends or is_beaten(failure, question)
    or is_forgotten(self, key, failure.asked) then
    return nil
  end
  return failure
end

-- Remembers for a while why a flight has failed: for all workers, or, if the dictionary
-- is full, for this one.
local function remember(self, flight, message, err)
  local life = math.min(math.max(self.ttl, SHORT), LONG)
  local failure = { message = message, err = {}, timeout = flight.timeout,
                    retries = flight.retries, asked = flight.asked,
                    ends = clock() + life }
  for name, value in pairs(err) do failure.err[name] = value end
  self.counts.cache_failures = self.counts.cache_failures + 1
  local text = cjson.encode(failure)
  if not self.dict:safe_set(flight.key .. " failed", text, life) then
    if self.remembered >= MOST then self.failures, self.remembered = {}, 0 end
    self.failures[flight.key], self.remembered = text, self.remembered + 1
  end
  if look(self, flight.key)
    and self.dict:add("uqpay warned " .. self.identity, true, MINUTE) then
    ngx.log(ngx.WARN, "uqpay: balances are stale, for they cannot be renewed: ", message)
  end
  return failure
end

-- The results of a call that failed so: nobody shares a table.
local function fail(failure)
  local err = internal.refusal("balance", failure.message) -- of this kind of table
  for name in pairs(err) do err[name] = nil end
  for name, value in pairs(failure.err) do err[name] = value end
  return nil, failure.message, err
end

local function fail_late(seconds)
  local message = ("no balance within the timeout of %.15g s"):format(seconds)
  return nil, message, internal.refusal("balance", message, seconds)
end

-- ------------------------------------------------------------------------
-- flights
-- ------------------------------------------------------------------------

-- The call is in flight. As all states: true when the flight is over.
local function fly(self, now)
  local slot, call, hub = self.slot, self.call, self.client.hub
  if slot.failure then error(slot.failure, 0) end
  if self.lock then lock.renew(self.lock, now) end
  if slot[1] then
    slot[1] = nil
    call:step()
  end
  if not call:done() then
    if not slot.driver and not hub.closed then
      hub:expect(call:id(), call, slot)
      hub:join(slot, true)
    end
    self.due = now + RENEW
    return false
  end
  local balance, message, err = call:result()
  if balance then
    self.kept = keep(self.cache, self.key, internal.text(call), self.asked)
  elseif err.kind ~= "canceled" then -- or else its client was closed
    self.failure = remember(self.cache, self, message, err)
  end
  return true
end

-- Another worker may be asking: its answer, its failure or the end of its lock is waited
-- for.
local function wait(self, now)
  local cache = self.cache
  local taken = lock.take(cache.dict, self.key .. " lock", now)
  self.lock = taken or nil -- without room for a lock it asks all the same
  local kept = look(cache, self.key)
  if kept and kept.age < cache.ttl then
    self.kept = kept
    return true
  end
  self.failure = recall(cache, self)
  if self.failure or now >= self.ends then return true end
  if taken == false then
    self.due = now + math.min(math.max((now - self.begun) / SHARE, SHORTEST), LONGEST)
    return false
  end
  self.asked, self.ends = now, now + self.timeout
  self.call = self.client.client:start_balance(self.options)
  internal.keep_text(self.call)
  self.slot = Hub.slot()
  self.slot.task = self
  self.state = fly
  return fly(self, now)
end

function Flight:step(now)
  local ok, over = pcall(self.state, self, now)
  if ok and not over then return false end
  if not ok then
    self.raised = not self.client.hub.closed and over
    if self.call then self.call:cancel() end
  end
  if self.lock then lock.release(self.lock) end
  if flights[self.key] == self then flights[self.key] = nil end
  driver.tell(self)
  return true
end

-- Begins a flight, with the larger of the client's limits and of those of its first
-- caller.
local function begin(self, client, question)
  local timeout, retries = internal.budget(client.client)
  timeout = math.max(timeout, question.timeout)
  retries = math.max(retries, question.retries)
  local options = { timeout = timeout, max_retries = retries }
  for name, value in pairs(question.options) do
    if options[name] == nil then options[name] = value end
  end
  local now = clock()
  local flight = setmetatable({
    cache = self, client = client, key = question.key, options = options,
    timeout = timeout, retries = retries, begun = now, ends = now + timeout,
    semaphore = semaphore.new(), told = false, state = wait, due = now,
  }, Flight)
  flights[question.key] = flight
  driver.begin(flight)
  return flight
end

-- Waits for the flight, until that moment at most.
local function await(flight, ends)
  if flight.ends < ends + MARGIN then ends = ends + 2 * MARGIN end
  while not flight.told do
    local left = ends - clock()
    if left <= 0 then return end
    driver.wait(flight, math.max(left, 0.001)) -- less than a millisecond would be none
  end
end

-- ------------------------------------------------------------------------
-- for callers
-- ------------------------------------------------------------------------

-- The answer to the question: { key =, currency =, amounts =, timeout =, retries =,
-- options = what start_balance takes }. Results as those of client:balance; false: what
-- is kept cannot be read, or the client was closed.
function Cache:get(client, question)
  local counts, ends = self.counts, clock() + question.timeout
  repeat
    local kept = look(self, question.key)
    local balance = kept and read(client, question, kept)
    if balance and kept.age < self.ttl then
      counts.cache_hits = counts.cache_hits + 1
      return balance
    end
    local failure = recall(self, question)
    local flight = flights[question.key]
    if flight and flight.asked and is_forgotten(self, question.key, flight.asked) then
      flight = nil
    end
    local leads = not flight and not failure
    if leads then flight = begin(self, client, question) end
    if balance then
      counts.cache_stale = counts.cache_stale + 1
      balance.stale = true
      if flight then driver.help(flight, HELP) end
      return flight and flight.kept and read(client, question, flight.kept) or balance
    end
    if not flight then return fail(failure) end
    await(flight, ends)
    if client.hub.closed then return false end
    if flight.raised and leads then error(flight.raised, 0) end
    if flight.kept then return read(client, question, flight.kept) or false end
    if flight.failure and not is_beaten(flight.failure, question) then
      return fail(flight.failure)
    end
  until clock() >= ends
  return fail_late(question.timeout)
end

-- The answer to a call of its own, which is kept.
function Cache:renew(client, question)
  local asked = clock()
  local call = client.client:start_balance(question.options)
  internal.keep_text(call)
  local balance, message, err = client.hub:await(call)
  if not balance then return nil, message, err end
  keep(self, question.key, internal.text(call), asked)
  return balance
end

-- What is kept, with its age; nil: nothing.
function Cache:peek(client, question)
  local kept = look(self, question.key)
  local balance = kept and read(client, question, kept)
  if not balance then return nil end
  balance.age, balance.stale = kept.age, kept.age >= self.ttl or nil
  return balance
end

-- Drops what is kept, and what has been asked for but has not come.
function Cache:forget(question)
  self.dict:set(question.key .. " forgotten", clock(), FORGOTTEN)
  self.dict:delete(question.key)
  self.dict:delete(question.key .. " failed")
end

-- ttl: seconds that an answer is fresh; stale: seconds that it may be given behind that.
-- identity: whose balances they are.
return function(dict, ttl, stale, identity)
  return setmetatable({
    dict = dict, ttl = ttl, stale = stale, identity = identity,
    failures = {}, remembered = 0, -- texts by key, where the dictionary is full
    counts = { cache_hits = 0, cache_stale = 0, cache_failures = 0 },
  }, Cache)
end
