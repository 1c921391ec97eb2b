-- cache.lua: balances that the workers of a server share through a lua_shared_dict. An
-- entry is the API's text; each reader decodes it.
--
-- Requests are coalesced: for each query one fetch at a time is in flight in the whole
-- server. A fetch is a task of the worker's driver, so that it survives the request that
-- began it. Callers of the same worker wait on its semaphore; fetches of other workers
-- poll the dictionary. All share its outcome, but not its limits: a caller with more time
-- or retries than the fetch that failed may begin the next one.
-- SPDX-License-Identifier: MIT

local Hub = require "uqpay.hub"
local driver = require "resty.uqpay.driver"
local internal = require "uqpay.internal"
local lock = require "resty.uqpay.lock"
local semaphore = require "ngx.semaphore"
local cjson = require("cjson").new() -- its settings are ours

local clock = internal.clock

local SHORTEST, LONGEST = 0.005, 0.05 -- seconds between two polls for the outcome of ...
local SHARE = 10    -- ... another worker's fetch, this part of the time that it has taken
local RENEW = 0.25  -- seconds between two renewals of the lock
local MIN_LIFE, MAX_LIFE = 1, 10 -- seconds: bounds of the ttl of a failure
local MAX_FAILURES = 1000 -- that a worker keeps itself
local FORGOTTEN = 3600    -- seconds to keep an invalidation; no call takes longer
local LEAD = 1            -- seconds for which a caller steps a fetch without a leader
local MARGIN = 0.05       -- seconds to wait for a fetch that ends as late, for its reason
local MINUTE = 60

local Cache = {}
Cache.__index = Cache

local Fetch = {}
Fetch.__index = Fetch

local fetches = {} -- of this worker that are in flight, by key

-- ------------------------------------------------------------------------
-- entries of the dictionary
-- ------------------------------------------------------------------------

-- The entry, unless it is too old: { text =, received =, requested =, age = }. It has the
-- time of its arrival on two clocks: the wall clock may be set back, the other one stops
-- while the machine sleeps.
local function read_entry(self, key)
  local line = self.dict:get(key)
  if not line then return nil end
  local received, monotonic, requested, first = line:match "^(%S+) (%S+) (%S+) ()"
  local age = math.max(ngx.now() - received, clock() - monotonic)
  if age >= self.ttl + self.stale then return nil end
  return { text = line:sub(first), received = tonumber(received),
           requested = tonumber(requested), age = age }
end

-- True if the key was invalidated at that time or later.
local function is_forgotten(self, key, requested)
  local forgotten = self.dict:get(key .. " forgotten")
  return forgotten and forgotten >= requested
end

-- Stores an answer, unless there is one that was requested later, or it was invalidated.
-- If the dictionary has no room the answer is not stored.
local function write_entry(self, key, text, requested)
  local entry = { text = text, received = ngx.now(), requested = requested, age = 0 }
  local newer = read_entry(self, key)
  if newer and newer.requested > requested or is_forgotten(self, key, requested) then
    return entry
  end
  self.dict:safe_set(key, ("%.3f %.6f %.6f %s"):format(entry.received, clock(), requested,
    text), self.ttl + self.stale)
  self.dict:delete(key .. " failed")
  return entry
end

-- The balance of an entry; nil: its text is damaged.
local function decode(client, query, entry)
  local balance = internal.decode(client.client, query.currency, query.amounts,
    entry.text)
  if balance then balance.cached_at = entry.received end
  return balance
end

-- ------------------------------------------------------------------------
-- failures
-- ------------------------------------------------------------------------

-- True if the query's own timeout or retries might have prevented this failure.
local function has_more(query, failure)
  local err = failure.err
  if err.kind == "timeout" and query.timeout > failure.timeout then return true end
  return err.retryable and query.retries > failure.retries
end

-- The failure that is remembered and applies to the query; nil: none.
local function read_failure(self, query)
  local key = query.key
  local text = self.dict:get(key .. " failed") or self.failures[key]
  if not text then return nil end
  local ok, failure = pcall(cjson.decode, text)
  if not ok or clock() >= failure.ends or has_more(query, failure)
    or is_forgotten(self, key, failure.requested) then
    return nil
  end
  return failure
end

-- Remembers the failure of a fetch: for all workers, or for this one if the dictionary is
-- full.
local function write_failure(self, fetch, message, err)
  local life = math.min(math.max(self.ttl, MIN_LIFE), MAX_LIFE)
  local failure = { message = message, err = {}, timeout = fetch.timeout,
                    retries = fetch.retries, requested = fetch.requested,
                    ends = clock() + life }
  for name, value in pairs(err) do failure.err[name] = value end
  self.counts.cache_failures = self.counts.cache_failures + 1
  local text = cjson.encode(failure)
  if not self.dict:safe_set(fetch.key .. " failed", text, life) then
    if self.failure_count >= MAX_FAILURES then
      self.failures, self.failure_count = {}, 0
    end
    self.failures[fetch.key], self.failure_count = text, self.failure_count + 1
  end
  if read_entry(self, fetch.key)
    and self.dict:add("uqpay warned " .. self.identity, true, MINUTE) then
    ngx.log(ngx.WARN, "uqpay: balances are stale and cannot be renewed: ", message)
  end
  return failure
end

-- The results of a call that failed so, with an error table of its own.
local function failure_results(failure)
  local err = internal.local_error("balance", failure.message) -- for its metatable
  for name in pairs(err) do err[name] = nil end
  for name, value in pairs(failure.err) do err[name] = value end
  return nil, failure.message, err
end

local function timeout_results(seconds)
  local message = ("no balance within the timeout of %.15g s"):format(seconds)
  return nil, message, internal.local_error("balance", message, seconds)
end

-- ------------------------------------------------------------------------
-- fetches
-- ------------------------------------------------------------------------

-- State: the call is in flight. As all states it returns true when the fetch is over.
local function in_flight(self, now)
  local waiter, call, hub = self.waiter, self.call, self.client.hub
  if waiter.failure then error(waiter.failure, 0) end
  if self.lock then lock.renew(self.lock, now) end
  if waiter[1] then
    waiter[1] = nil
    call:step()
  end
  if not call:done() then
    if not waiter.driver and not hub.closed then
      hub:expect(call:id(), call, waiter)
      hub:park(waiter, true)
    end
    self.due = now + RENEW
    return false
  end
  local balance, message, err = call:result()
  if balance then
    self.entry = write_entry(self.cache, self.key, internal.text(call), self.requested)
  elseif err.kind ~= "canceled" then -- else its client was closed
    self.failure = write_failure(self.cache, self, message, err)
  end
  return true
end

-- Sends the request.
local function send(self, now)
  self.requested, self.ends = now, now + self.timeout
  self.call = self.client.client:start_balance(self.options)
  internal.keep_text(self.call)
  self.waiter = Hub.new_waiter()
  self.waiter.task = self
  self.state = in_flight
  return in_flight(self, now)
end

-- State: another worker may hold the lock. Its entry, its failure or the end of its lock
-- is polled for.
local function locking(self, now)
  local cache = self.cache
  local acquired = lock.acquire(cache.dict, self.key .. " lock", now)
  self.lock = acquired or nil -- without room for a lock the request is sent all the same
  local entry = read_entry(cache, self.key)
  if entry and entry.age < cache.ttl then
    self.entry = entry
    return true
  end
  self.failure = read_failure(cache, self)
  if self.failure or now >= self.ends then return true end
  if acquired == false then
    self.due = now + math.min(math.max((now - self.begun) / SHARE, SHORTEST), LONGEST)
    return false
  end
  return send(self, now)
end

function Fetch:step(now)
  local ok, over = pcall(self.state, self, now)
  if ok and not over then return false end
  if not ok then
    self.raised = not self.client.hub.closed and over
    if self.call then self.call:cancel() end
  end
  if self.lock then lock.release(self.lock) end
  if fetches[self.key] == self then fetches[self.key] = nil end
  driver.wake(self)
  return true
end

-- Begins a fetch, with the larger of the client's limits and of its first caller's.
local function begin_fetch(self, client, query)
  local timeout, retries = internal.budget(client.client)
  timeout = math.max(timeout, query.timeout)
  retries = math.max(retries, query.retries)
  local options = { timeout = timeout, max_retries = retries }
  for name, value in pairs(query.options) do
    if options[name] == nil then options[name] = value end
  end
  local now = clock()
  local fetch = setmetatable({
    cache = self, client = client, key = query.key, options = options,
    timeout = timeout, retries = retries, begun = now, ends = now + timeout,
    semaphore = semaphore.new(), woken = false, state = locking, due = now,
  }, Fetch)
  fetches[query.key] = fetch
  driver.start_task(fetch)
  return fetch
end

-- The fetch to join; nil: none, or the key was invalidated after its request.
local function fetch_of(self, key)
  local fetch = fetches[key]
  if fetch and fetch.requested and is_forgotten(self, key, fetch.requested) then
    return nil
  end
  return fetch
end

-- Waits for the end of the fetch, until that time at most.
local function await(fetch, ends)
  if fetch.ends < ends + MARGIN then ends = ends + 2 * MARGIN end
  while not fetch.woken do
    local left = ends - clock()
    if left <= 0 then return end
    driver.wait(fetch, math.max(left, 0.001)) -- less than a millisecond would be 0
  end
end

-- ------------------------------------------------------------------------
-- for callers
-- ------------------------------------------------------------------------

-- A stale balance, or a new one if the fetch has ended at once.
local function stale_balance(self, client, query, balance, fetch)
  self.counts.cache_stale = self.counts.cache_stale + 1
  balance.stale = true
  if fetch then driver.lead_if_needed(fetch, LEAD) end
  return fetch and fetch.entry and decode(client, query, fetch.entry) or balance
end

-- What a fetch that was waited for gives this caller: true and the results of Cache:get;
-- false: the next try is its own.
local function outcome(client, query, fetch, begun_here)
  if client.hub.closed then return true, false end
  if fetch.raised and begun_here then error(fetch.raised, 0) end
  if fetch.entry then return true, decode(client, query, fetch.entry) or false end
  if fetch.failure and not has_more(query, fetch.failure) then
    return true, failure_results(fetch.failure)
  end
  return false
end

-- One try of Cache:get: true and its results, or false: the fetch has not answered the
-- query.
local function try(self, client, query, ends)
  local entry = read_entry(self, query.key)
  local balance = entry and decode(client, query, entry)
  if balance and entry.age < self.ttl then
    self.counts.cache_hits = self.counts.cache_hits + 1
    return true, balance
  end
  local failure = read_failure(self, query)
  local fetch = fetch_of(self, query.key)
  local begun_here = not fetch and not failure
  if begun_here then fetch = begin_fetch(self, client, query) end
  if balance then return true, stale_balance(self, client, query, balance, fetch) end
  if not fetch then return true, failure_results(failure) end
  await(fetch, ends)
  return outcome(client, query, fetch, begun_here)
end

-- The answer to a query: { key =, currency =, amounts =, timeout =, retries =, options =
-- what start_balance takes }. Results as of client:balance; false: the entry cannot be
-- decoded, or the client was closed.
function Cache:get(client, query)
  local ends = clock() + query.timeout
  repeat
    local over, balance, message, err = try(self, client, query, ends)
    if over and message then return balance, message, err end
    if over then return balance end
  until clock() >= ends
  return timeout_results(query.timeout)
end

-- The answer to a call of its own, which is stored.
function Cache:renew(client, query)
  local requested = clock()
  local call = client.client:start_balance(query.options)
  internal.keep_text(call)
  local balance, message, err = client.hub:await(call)
  if not balance then return nil, message, err end
  write_entry(self, query.key, internal.text(call), requested)
  return balance
end

-- The cached balance with its age; nil: none.
function Cache:peek(client, query)
  local entry = read_entry(self, query.key)
  local balance = entry and decode(client, query, entry)
  if not balance then return nil end
  balance.age, balance.stale = entry.age, entry.age >= self.ttl or nil
  return balance
end

-- Drops the entry, the failure, and the answer to a request that is in flight.
function Cache:forget(query)
  self.dict:set(query.key .. " forgotten", clock(), FORGOTTEN)
  self.dict:delete(query.key)
  self.dict:delete(query.key .. " failed")
end

-- ttl: seconds for which an entry is fresh; stale: seconds after that for which it may be
-- returned. identity: whose balances they are.
return function(dict, ttl, stale, identity)
  return setmetatable({
    dict = dict, ttl = ttl, stale = stale, identity = identity,
    failures = {}, failure_count = 0, -- texts by key, while the dictionary is full
    counts = { cache_hits = 0, cache_stale = 0, cache_failures = 0 },
  }, Cache)
end
