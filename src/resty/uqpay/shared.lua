-- shared.lua: what the workers of a server share through a lua_shared_dict: the token of
-- a login, and the turns under a rate limit.
-- SPDX-License-Identifier: MIT

local clock = require "uqpay.internal".clock
local lock = require "resty.uqpay.lock"

local shared = {}

local MINUTE = 60
local SHARE = 50  -- this part of a minute's turns goes at once

-- A token store, as uqpay.new takes it, and a function that keeps its lock, if it has it:
-- to be called whenever the login goes on.
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
    local taken, err = lock.take(dict, "uqpay login " .. key, clock())
    if not taken then return taken, err end
    held[key] = taken
    return true
  end

  function store.unlock(_, key)
    if held[key] then lock.release(held[key]) end
    held[key] = nil
    return true
  end

  return store, function(now)
    for _, taken in pairs(held) do lock.renew(taken, now) end
  end
end

-- Turns, at most `limit` in any minute (0: any number), and pauses of all calls. Returns
-- three functions. The clock is one for all processes, and never steps.
--   turn(left)     in how many seconds the next turn comes, and takes it; or nil and the
--                  seconds, if not so many are left
--   hold(seconds)  a pause begins, or goes on for so long
--   pause()        the seconds that are left of it; 0: there is none
-- Time is cut into windows, each of which has a share of the turns: the dictionary counts
-- those that are taken. Windows that are full stay so.
function shared.turns(dict, key, limit)
  local count = math.max(1, math.floor(limit / SHARE))
  local window = MINUTE * count / math.max(limit - count, 0.5)
  local first = 0 -- that may have turns left
  local paused = "uqpay pause " .. key

  local function turn(left)
    local now = clock()
    first = math.max(first, math.floor(now / window))
    while true do
      local wait = math.max(first * window - now, 0)
      if wait > left then return nil, wait end
      local name = ("uqpay turns %s %.0f"):format(key, first)
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

  return turn, hold, pause
end

return shared
