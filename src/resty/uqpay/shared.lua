-- shared.lua: what the workers of a server share through a lua_shared_dict: the token of
-- a login, and the slots of a rate limit.
-- SPDX-License-Identifier: MIT

local clock = require "uqpay.internal".clock
local lock = require "resty.uqpay.lock"

local shared = {}

local MINUTE = 60
local BURST = 50  -- this part of a minute's slots may be used at once

-- Returns a token store, as uqpay.new takes it, and a function that renews the locks that
-- it holds, to be called while a login is in progress.
function shared.token_store(dict)
  local store = {}
  local held = {} -- locks by key

  local function name(key) return "uqpay token " .. key end

  function store.get(_, key)
    local text, err = dict:get(name(key))
    if not text then return nil, type(err) == "string" and err or nil end
    local ends, token = text:match "^(%d+) (.*)$"
    return token, ends ~= "0" and tonumber(ends) or nil
  end

  function store.set(_, key, token, ends)
    if not token then
      dict:delete(name(key))
      return true
    end
    local life = ends and math.max(ends - ngx.now(), 1) or 0
    local ok, err = dict:set(name(key), ("%.0f %s"):format(ends or 0, token), life)
    return ok or nil, err
  end

  function store.lock(_, key)
    local acquired, err = lock.acquire(dict, "uqpay login " .. key, clock())
    if not acquired then return acquired, err end
    held[key] = acquired
    return true
  end

  function store.unlock(_, key)
    if held[key] then lock.release(held[key]) end
    held[key] = nil
    return true
  end

  return store, function(now)
    for _, one in pairs(held) do lock.renew(one, now) end
  end
end

-- A rate limit of `limit` slots in any minute (0: no limit), and pauses of all calls.
-- Returns three functions. The clock is one for all processes, and monotonic.
--   take(left)     takes the next slot and returns the seconds until it; or nil and these
--                  seconds, if they are more than `left`: no slot is taken
--   hold(seconds)  begins a pause, or extends it to this length
--   pause()        the seconds that are left of the pause; 0: no pause
-- Time is divided into windows with an equal share of the slots; the dictionary counts
-- the slots taken in each. A full window stays full.
function shared.rate_limit(dict, key, limit)
  local count = math.max(1, math.floor(limit / BURST))
  local window = MINUTE * count / math.max(limit - count, 0.5)
  local first = 0 -- the first window that may have slots left
  local paused = "uqpay pause " .. key

  local function take(left)
    local now = clock()
    first = math.max(first, math.floor(now / window))
    while true do
      local wait = math.max(first * window - now, 0)
      if wait > left then return nil, wait end
      local name = ("uqpay slots %s %.0f"):format(key, first)
      local taken, err = dict:incr(name, 1, 0, wait + MINUTE)
      if not taken then error(err, 0) end
      if taken <= count then return wait, wait end
      first = first + 1
    end
  end

  local function pause()
    local ends = dict:get(paused)
    return ends and math.max(ends - clock(), 0) or 0
  end

  local function hold(seconds)
    if pause() >= seconds then return end
    local ok, err = dict:set(paused, clock() + seconds, seconds + 1)
    if not ok then error(err, 0) end
  end

  return take, hold, pause
end

return shared
