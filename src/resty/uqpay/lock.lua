-- lock.lua: locks in a lua_shared_dict. They are short, so that a worker that is killed
-- delays others little, and renewed while their holder is at work. An entry names its end
-- on a monotonic clock; the dictionary's own expiry follows the wall clock.
-- SPDX-License-Identifier: MIT

local LIFE = 2 -- seconds

local lock = {}
local count = 0 -- locks tried for by this worker

local function line_of(holder, now)
  return ("%s %.6f"):format(holder, now + LIFE)
end

-- Acquires a lock: returns what the other functions take; false: it is held; nil and a
-- message: the dictionary has failed.
function lock.acquire(dict, key, now)
  count = count + 1
  local holder = ngx.worker.pid() .. "-" .. count
  local line = dict:get(key)
  if line and now >= tonumber(line:match " (%S+)$") then dict:delete(key) end
  local ok, err = dict:add(key, line_of(holder, now), LIFE)
  if ok then return { dict = dict, key = key, holder = holder, due = now + LIFE / 4 } end
  if err == "exists" then return false end
  return nil, err
end

local function is_held(self)
  local line = self.dict:get(self.key)
  return line and line:match "^%S+" == self.holder
end

-- Extends the lock, if it is still ours. Call it at least twice in LIFE seconds.
function lock.renew(self, now)
  if now < self.due then return end
  self.due = now + LIFE / 4
  if is_held(self) then self.dict:set(self.key, line_of(self.holder, now), LIFE) end
end

function lock.release(self)
  if is_held(self) then self.dict:delete(self.key) end
end

return lock
