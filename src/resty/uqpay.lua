-- resty.uqpay: uqpay for the Lua of nginx (OpenResty, Debian's libnginx-mod-http-lua).
-- Methods yield the light thread that calls them; the worker never waits.
--
if not ngx then error("resty.uqpay runs within nginx; elsewhere take uqpay", 0) end
-- that no request can end, steps the client every few milliseconds as long as somebody
-- waits for it; those who wait are parked on semaphores.
-- SPDX-License-Identifier: MIT

local ngx = rawget(_G, "ngx")
if not ngx then error('resty.uqpay runs within nginx; elsewhere: require "uqpay"', 0) end

local Hub = require "uqpay.hub"
local internal = require "uqpay.internal"
local semaphore = require "ngx.semaphore"
local uqpay = require "uqpay"

local SHORTEST, LONGEST = 0.001, 0.005 -- seconds between two steps ...
local SHARE = 20     -- ... this part of the time since something happened
local SWEEP = 0.02   -- seconds between two looks for those who are gone
local PATIENCE = 1   -- seconds without a step: there is no driver

-- Phases in which a light thread can wait, of the http and the stream module.
local waits_in = {
  rewrite = true, server_rewrite = true, access = true, content = true, timer = true,
  preread = true, ssl_cert = true, ssl_client_hello = true, ssl_session_fetch = true,
}

local happened = 0 -- when a call was last begun, or could last go on

-- Steps often while things happen, and less often the longer nothing does.
local function watch()
  local beat = ngx.now()
  local swept = beat
  return {
    wait = function()
      local pause = (beat - happened) / SHARE
      ngx.sleep(pause < SHORTEST and SHORTEST or pause > LONGEST and LONGEST or pause)
      beat = ngx.now()
      if beat - swept < SWEEP then return false end
      swept = beat
      return true
    end,
    dead = function() return ngx.now() - beat > PATIENCE end,
    stop = function() end,
  }
end

local function inside()
  return waits_in[ngx.get_phase()] and internal.yieldable()
end

-- Why what cannot wait here; nil: it can.
local function obstacle(what)
  if inside() then return nil end
  local phase = ngx.get_phase()
  local where = waits_in[phase] and "a hook, a token function or anything that C calls"
    or phase .. "_by_lua"
  local way = phase == "init" and "in a worker, from init_worker_by_lua on"
    or "in rewrite, access or content"
  return ("%s would have to wait, which %s cannot: call it %s, or through "
    .. "ngx.timer.at(0, f)"):format(what, where, way)
end

local loop = {
  obstacle = obstacle,
  inside = inside,
  spawn = function(f)
    ngx.timer.at(0, f) -- if that fails, somebody's patience ends, and he tries again
  end,
  watch = watch,
  park = function(slot)
    happened = ngx.now()
    slot.semaphore = slot.semaphore or semaphore.new()
    slot.semaphore:wait(PATIENCE)
  end,
  wake = function(slot)
    happened = ngx.now()
    slot.semaphore:post()
  end,
  waits = function(slot) return slot.semaphore:count() < 0 end,
}

local face, Client = require "uqpay.loop"(loop)
local new = face.new

-- A worker does not use what its master has made, descriptors above all, but makes the
-- like of it.
local function settle(self)
  local pid = ngx.worker.pid()
  if self.pid == pid or self.hub.closed then return end
  local client = uqpay.new(self.options)
  self.client, self.hub, self.pid = client, Hub.new(client, loop), pid
  internal.peer(client).hub = self.hub
end

local function guard(method, waits)
  local plain = Client[method]
  Client[method] = function(self, ...)
    settle(self)
    local message = waits and obstacle(method)
    if message then return nil, message, internal.refusal(message) end
    return plain(self, ...)
  end
end

for _, name in ipairs(internal.methods()) do
  guard(name, true)
  guard("start_" .. name, true)
end
for _, name in ipairs(internal.iterators()) do guard(name, true) end
guard("balances", true)
guard("invalidate_token", false)
guard("stats", false)

-- uqpay.new's options are kept: see settle.
function face.new(options)
  if type(options) ~= "table" then return new(options) end
  local copy = setmetatable({}, debug.getmetatable(options))
  for name, value in pairs(options) do copy[name] = value end
  local ok, self = pcall(new, copy)
  if not ok then error(self, 2) end
  self.options, self.pid = copy, ngx.worker.pid()
  return self
end

return face
