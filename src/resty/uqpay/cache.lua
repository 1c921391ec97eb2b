-- cache.lua: balances that the workers of a server share through a lua_shared_dict. For
-- each question one call at a time is in flight in the whole server. It flies in a timer,
-- which the end of no request ends; those who wait for it in the same worker wait on its
-- semaphore, other workers look into the dictionary.
-- SPDX-License-Identifier: MIT

local internal = require "uqpay.internal"
local semaphore = require "ngx.semaphore"
local uqpay = require "uqpay"

local clock = internal.clock

local LOOK = 0.005  -- seconds between two looks for another worker's answer
local LOCKED = 2    -- seconds that a worker that was killed keeps the others from asking
local PATIENCE = 1  -- seconds that a timer may take to begin

-- ------------------------------------------------------------------------
-- balances as text; numbers keep all their digits
-- ------------------------------------------------------------------------

local function encode(value, list)
  local kind = type(value)
  if kind == "table" then
    list[#list + 1] = "{"
    for name, field in pairs(value) do
      encode(name, list)
      encode(field, list)
    end
    list[#list + 1] = "}"
  elseif kind == "number" then
    list[#list + 1] = ("n%.17g;"):format(value)
  elseif kind == "boolean" then
    list[#list + 1] = value and "t" or "f"
  else -- a string or an amount
    local text = tostring(value)
    list[#list + 1] = ("%s%d:"):format(kind == "string" and "s" or "a", #text)
    list[#list + 1] = text
  end
  return list
end

-- The value that begins at a place of the text, and the place behind it.
local function decode(text, at)
  local kind = text:sub(at, at)
  if kind == "{" then
    local list = {}
    at = at + 1
    while text:sub(at, at) ~= "}" do
      local name, behind = decode(text, at)
      list[name], at = decode(text, behind)
    end
    return list, at + 1
  elseif kind == "n" then
    local number, last = text:match("^([^;]+);()", at + 1)
    return tonumber(number), last
  elseif kind == "t" or kind == "f" then
    return kind == "t", at + 1
  end
  local length, first = text:match("^(%d+):()", at + 1)
  local last = first + length
  local part = text:sub(first, last - 1)
  return kind == "s" and part or uqpay.amount(part), last
end

-- ------------------------------------------------------------------------
-- the dictionary
-- ------------------------------------------------------------------------

local Cache = {}
Cache.__index = Cache

local flights = {} -- of this worker, by key
local owners = 0

-- What is in the dictionary, unless it is too old: its age, and as text; nil: nothing.
-- When it came is there on two clocks. The wall clock, of which the dictionary keeps its
-- own times, may be set back; the other one stands still with a machine that sleeps.
local function look(self, key)
  local text = self.dict:get(key)
  if not text then return nil end
  local at, came = text:match "^(%S+) (%S+)"
  local age = math.max(ngx.now() - at, clock() - came)
  if age < self.ttl + self.stale then return age, text end
end

local function load(text, stale)
  local at, first = text:match "^(%S+) %S+ ()"
  local balance = decode(text, first)
  balance.cached_at, balance.stale = tonumber(at), stale
  return balance
end

local function is_fresh(self, age)
  return age and age < self.ttl
end

local function save(self, key, balance)
  local text = ("%.3f %.3f "):format(ngx.now(), clock())
    .. table.concat(encode(balance, {}))
  self.dict:safe_set(key, text, self.ttl + self.stale) -- no room: the next one asks
  return text
end

-- ------------------------------------------------------------------------
-- flights
-- ------------------------------------------------------------------------

-- Asks, with the lock in hand. Sets what the flight comes to.
local function ask(self, key, flight)
  local balance, message, err = flight.ask()
  if balance then
    flight.text = save(self, key, balance)
  else
    flight.message, flight.err = message, err
    self.dict:safe_set(key .. " failed", true, self.ttl) -- a stale answer serves so long
  end
end

-- Keeps the lock, as long as it is ours.
local function hold(self, lock, owner, flight)
  while true do
    ngx.sleep(LOCKED / 4)
    if flight.over or self.dict:get(lock) ~= owner then return end
    self.dict:set(lock, owner, LOCKED)
  end
end

local function fly(self, key, flight)
  local lock, dict = key .. " lock", self.dict
  owners = owners + 1
  local owner = ngx.worker.pid() .. " " .. owners
  while clock() < flight.ends do
    local age, text = look(self, key)
    if is_fresh(self, age) then
      flight.text = text
      return
    end
    local locked, err = dict:add(lock, owner, LOCKED)
    if locked or err ~= "exists" then
      age, text = look(self, key)
      if is_fresh(self, age) then -- it came just before
        flight.text = text
      else
        local thread = ngx.thread.spawn(hold, self, lock, owner, flight)
        local ok, message = pcall(ask, self, key, flight)
        if not ok then flight.raised = message end
        ngx.thread.kill(thread)
      end
      if dict:get(lock) == owner then dict:delete(lock) end
      return
    end
    ngx.sleep(LOOK)
  end
end

local function begin(self, key, seconds, question)
  local flight = { semaphore = semaphore.new(), ask = question,
    ends = clock() + seconds }
  local function run()
    if flights[key] ~= flight then return end
    flight.begun = true
    local ok, message = pcall(fly, self, key, flight)
    if not ok then flight.raised = message end
    flight.over = true
    flights[key] = nil
    local waiting = -flight.semaphore:count()
    if waiting > 0 then flight.semaphore:post(waiting) end
  end
  if not ngx.timer.at(0, run) then return nil end
  flights[key] = flight
  return flight
end

local function late(seconds)
  local message = ("no balance of another request's within the timeout of %.15g s")
    :format(seconds)
  return nil, message, internal.refusal("balance", message, seconds)
end

-- What the flight has come to, for one of those who wait: none shares a table.
local function result(flight)
  if flight.raised then error(flight.raised, 0) end
  if flight.text then return load(flight.text) end
  local err = setmetatable({}, debug.getmetatable(flight.err))
  for name, value in pairs(flight.err) do err[name] = value end
  return nil, flight.message, err
end

-- Waits for the flight until that moment. False: nobody flies it, for there are too many
-- timers.
local function await(key, flight, ends)
  while not flight.over do
    local left = ends - clock()
    if left <= 0 then return true end
    -- less than a millisecond would be none
    flight.semaphore:wait(math.min(math.max(left, 0.001), PATIENCE))
    if not flight.begun then
      if flights[key] == flight then flights[key] = nil end
      return false
    end
  end
  return true
end

-- The answer to the question: from the dictionary, or what question() gives; within so
-- many seconds.
function Cache:get(key, seconds, question)
  local ends = clock() + seconds
  repeat
    local age, text = look(self, key)
    if is_fresh(self, age) then return load(text) end
    local flight = flights[key]
    if not flight and not (age and self.dict:get(key .. " failed")) then
      flight = begin(self, key, seconds, question)
    end
    if age then return load(text, true) end
    if not flight or not await(key, flight, ends) then return question() end
    if flight.over and (flight.text or flight.err or flight.raised) then
      return result(flight)
    end
  until clock() >= ends -- or else it was somebody's who had less time
  return late(seconds)
end

-- ttl: seconds that an answer is fresh; stale: seconds that it may be given behind that.
return function(dict, ttl, stale)
  return setmetatable({ dict = dict, ttl = ttl, stale = stale }, Cache)
end
