-- lock.lua: locks in a lua_shared_dict. They are short, so that a worker that is killed
-- keeps nobody waiting, and renewed as long as their holder is at work. A lock names its
-- end on a clock that nobody can set; the dictionary's times are the wall clock's.
-- SPDX-License-Identifier: MIT

local LIFE = 2 -- seconds

local lock = {}
local owners = 0

local function line_of(owner, now)
  return ("%s %.6f"):format(owner, now + LIFE)
end

-- Takes a lock: what the other functions take; false: somebody else has it; nil and why:
-- the dictionary has failed.
function lock.take(dict, key, now)
  owners = owners + 1
  local owner = ngx.worker.pid() .. "-" .. owners
  local line = dict:get(key)
  if line and now >= tonumber(line:match " (%S+)$") then dict:delete(key) end
  local ok, err = dict:add(key, line_of(owner, now), LIFE)
  if ok then return { dict = dict, key = key, owner = owner, due = now + LIFE / 4 } end
  if err == "exists" then return false end
  return nil, err
end

local function is_held(self)
  local line = self.dict:get(self.key)
  return line and line:match "^%S+" == self.owner
end

-- Keeps it, if it is still ours. To be called whenever its holder goes on.
function lock.renew(self, now)
  if now < self.due then return end
  self.due = now + LIFE / 4
  if is_held(self) then self.dict:set(self.key, line_of(self.owner, now), LIFE) end
end

function lock.release(self)
  if is_held(self) then self.dict:delete(self.key) end
end

return lock
