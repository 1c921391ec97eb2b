-- resty.uqpay: uqpay for the Lua of nginx (OpenResty, Debian's libnginx-mod-http-lua).
-- Methods yield the light thread that calls them; the worker never waits.
--
-- While calls of a client are in flight one light thread of each worker, that of a timer,
-- that no request can end, steps the client every few milliseconds as long as somebody
-- waits for it; those who wait are parked on semaphores.
-- SPDX-License-Identifier: MIT

local ngx = rawget(_G, "ngx")
if not ngx then error('resty.uqpay runs within nginx; elsewhere: require "uqpay"', 0) end

local Hub = require "uqpay.hub"
local internal = require "uqpay.internal"
local new_cache = require "resty.uqpay.cache"
local pages = require "uqpay.pages"
local semaphore = require "ngx.semaphore"
local sharing = require "resty.uqpay.shared"
local uqpay = require "uqpay"

local clock = internal.clock -- ngx.now() is the wall clock, which may be set

local SHORTEST, LONGEST = 0.001, 0.005 -- seconds between two steps ...
local SHARE = 20    -- ... this part of the time since something happened
local LONG, REST = 0.002, 0.03 -- seconds: a step ends then; most behind such a one
local SWEEP = 0.02  -- seconds between two looks for those who are gone
local WOKEN = 128   -- calls that go on before whatever else the worker does has a turn
local MANY = 256    -- calls in flight: others begin a few at each step; ...
local COLD = 32     -- ... the same before the first answer, since none could go
local BEGUN = 8     -- the few
local CONNECTIONS = 16 -- of a client, in each worker
local PATIENCE = 1  -- seconds without a step: there is no driver

-- True if nginx, or a library that it is linked with, has this symbol.
local function has_symbol(name)
  local ok, ffi = pcall(require, "ffi")
  if not ok then return false end
  local ours = "uqpay_" .. name
  pcall(ffi.cdef, ('extern char %s __asm__("%s");'):format(ours, name)) -- once a VM
  return (pcall(function() return ffi.C[ours] end))
end

-- Two TLS phases can wait only in an nginx with OpenResty's patches, one of which adds
-- this variable. In any other nginx a wait ends the handshake.
local patched = has_symbol "ngx_posted_delayed_events"

-- Phases in which a light thread can wait, of the http and the stream module.
local waits_in = {
  rewrite = true, server_rewrite = true, access = true, precontent = true,
  content = true, timer = true, preread = true,
  ssl_cert = true, proxy_ssl_cert = true, proxy_ssl_verify = true,
  ssl_client_hello = patched,
  -- needs BoringSSL, or OpenSSL with OpenResty's patch
  ssl_session_fetch = patched and has_symbol "SSL_magic_pending_session_ptr",
}

local happened = 0 -- when a call was last begun, or could last go on

-- Lets so many of those go on who wait for their turn to begin a call.
local function admit(hub, most)
  local waiting = hub.gate and -hub.gate:count() or 0
  if waiting > 0 then hub.gate:post(math.min(most, waiting)) end
end

-- Steps often while things happen, and less often the longer nothing does.
local function watch(_, hub)
  local beat = clock()
  local swept = beat
  return {
    limit = WOKEN,
    wait = function(more)
      local pause = more and 0 or math.min((beat - happened) / SHARE, LONGEST)
      local took = clock() - beat
      hub.quick = took < LONG
      -- Of timers that are due nginx runs all before it accepts one connection: after a
      -- long step it has as long for itself.
      if not hub.quick then
        pause = math.min(took, REST)
        ngx.update_time() -- or the sleep would have begun before the step
      end
      ngx.sleep(math.max(pause, SHORTEST)) -- 0 would be none without a patch of nginx
      beat = clock()
      admit(hub, BEGUN)
      if beat - swept < SWEEP then return false end
      swept = beat
      return true
    end,
    dead = function() return clock() - beat > PATIENCE end,
    stop = function() admit(hub, math.huge) end,
  }
end

local function inside()
  return waits_in[ngx.get_phase()] and internal.yieldable()
end

-- Why what cannot wait here; nil: it can.
local function obstacle(what)
  if inside() then return nil end
  local phase = ngx.get_phase()
  local where = "a hook, a token function or anything that C calls cannot"
  if not waits_in[phase] then
    where = phase .. "_by_lua cannot"
      .. (waits_in[phase] == false and " without OpenResty's patches of nginx" or "")
  end
  local way = "in rewrite, access or content, or through ngx.timer.at(0, f)"
  if phase == "init" then -- there are no timers yet
    way = "through ngx.timer.at(0, f) in init_worker_by_lua, or in rewrite, access or "
      .. "content"
  end
  return ("%s would have to wait, which %s: call it %s"):format(what, where, way)
end

-- Has there been an answer? Connections are open then.
local function is_warm(hub)
  hub.warm = hub.warm or hub.client:stats().succeeded > 0
  return hub.warm
end

local loop = {
  obstacle = obstacle,
  inside = inside,
  spawn = function(f)
    ngx.timer.at(0, f) -- if that fails, somebody's patience ends, and he tries again
  end,
  watch = watch,
  park = function(slot, hub)
    happened = clock()
    if hub.quick and is_warm(hub) then -- the request goes now, not with the driver
      hub.client:step()
      hub.quick = clock() - happened < LONG
    end
    slot.semaphore = slot.semaphore or semaphore.new()
    slot.semaphore:wait(PATIENCE)
  end,
  wake = function(slot)
    happened = clock()
    slot.semaphore:post()
  end,
  waits = function(slot) return slot.semaphore:count() < 0 end,
}

local face, Client, check = require "uqpay.loop"(loop)
local new = face.new

local function bad(option, expected)
  error(("bad option '%s' to 'new' (%s)"):format(option, expected), 0)
end

-- The dictionary that an option names.
local function dictionary(option, name)
  if type(name) ~= "string" then bad(option, "string expected, got " .. type(name)) end
  if name == "" then bad(option, "a dictionary's name expected, got an empty string") end
  local dict = ngx.shared[name]
  if not dict then bad(option, "nginx.conf has no lua_shared_dict '" .. name .. "'") end
  return dict
end

local functions = 0 -- clients with a token function and no name

-- A name for such a client. One that is made in init_by_lua is the same client in all
-- workers; one that a worker makes is that worker's.
local function own_name()
  functions = functions + 1
  return ("%s client %d"):format(ngx.get_phase() == "init" and "any" or ngx.worker.pid(),
    functions)
end

-- Whose client it is, without a secret: what is shared must not be mixed up. A token
-- function has the name that the user gives it, or is nobody else's.
local function identity(options, name)
  local secret = options.client_id or options.token
  if type(secret) == "string" then
    secret = secret:gsub("^[Bb]earer ", "")
  else
    secret = type(secret)
    name = name or own_name()
  end
  local text = ("%s\n%s\n%s\n%s"):format(tostring(options.base_url),
    tostring(options.environment), secret, tostring(name))
  return ngx.encode_base64(ngx.sha1_bin(text))
end

local cache_options = { dict = "string", ttl = "number", stale = "number",
                        identity = "string" }

-- cache = { dict =, ttl =, stale =, identity = }, checked.
local function read_cache(cache, options, shared)
  if type(cache) ~= "table" then bad("cache", "table expected, got " .. type(cache)) end
  for name, value in pairs(cache) do
    local expected = cache_options[name]
    if not expected then bad("cache", "no '" .. tostring(name) .. "' in it") end
    if type(value) ~= expected then
      bad("cache." .. name, expected .. " expected, got " .. type(value))
    end
  end
  if cache.identity == "" then bad("cache.identity", "got an empty string") end
  local ttl, stale = cache.ttl, cache.stale or 0
  if not ttl or not (ttl >= 0.001 and ttl <= 86400) then
    bad("cache.ttl", "seconds from 0.001 to 86400 expected, got " .. tostring(ttl))
  elseif not (stale >= 0 and stale <= 86400) then
    bad("cache.stale", "seconds from 0 to 86400 expected")
  elseif type(options.token) == "function" and not cache.identity then
    bad("cache.identity", "a name of whose token it is expected with a token function, "
      .. "got nil")
  end
  return {
    store = new_cache(dictionary("cache.dict", cache.dict or shared), ttl, stale),
    identity = identity(options, cache.identity),
  }
end

-- Takes our own options out of the table, which is ours.
local function read_options(options)
  local shared, cache, most = options.shared, options.cache, options.max_connections
  local own = { most = most or CONNECTIONS }
  options.shared, options.cache, options.max_connections = nil, nil, nil
  if type(own.most) ~= "number" or own.most % 1 ~= 0 or own.most < 1
    or own.most > 1024 then
    bad("max_connections", "a whole number from 1 to 1024 expected")
  end
  if shared ~= nil then
    own.dict = dictionary("shared", shared)
    own.identity = identity(options, type(cache) == "table" and cache.identity or nil)
    if options.client_id and options.token_store == nil then
      options.token_store = sharing.token_store(own.dict)
    end
  end
  if cache ~= nil then own.cache = read_cache(cache, options, shared) end
  return own
end

-- What a client has besides those of other loops.
local function equip(self)
  local own, client = self.own, self.client
  internal.limit(client, own.most, LONG)
  if own.dict then
    internal.share_turns(client, function(limit)
      return sharing.turns(own.dict, own.identity, limit)
    end)
  end
  self.pid = ngx.worker.pid()
end

-- A worker does not use what its master has made, descriptors above all, but makes the
-- like of it.
local function settle(self)
  if self.pid == ngx.worker.pid() or self.hub.closed then return end
  local client = uqpay.new(self.options)
  self.client, self.hub = client, Hub.new(client, loop)
  internal.peer(client).hub = self.hub
  equip(self)
end

-- Beyond many calls in flight others begin a few at each step, so that a request that
-- needs none of them does not wait behind all of theirs.
local function take_turn(hub)
  local driver = hub.drivers[true]
  if not driver or #driver.parked < COLD then return end
  if is_warm(hub) and #driver.parked < MANY then return end
  hub.gate = hub.gate or semaphore.new()
  hub.gate:wait(PATIENCE)
end

-- endpoint: what the method asks for; nil: it does not wait.
local function guard(method, endpoint)
  local plain = Client[method]
  Client[method] = function(self, ...)
    check(self, method)
    settle(self)
    local message = endpoint and obstacle(method)
    if message then return nil, message, internal.refusal(endpoint, message) end
    return plain(self, ...)
  end
end

for _, name in ipairs(internal.methods()) do
  local plain = Client[name]
  Client[name] = function(self, ...)
    take_turn(self.hub)
    return plain(self, ...)
  end
  guard(name, name)
  guard("start_" .. name, name)
end

-- Where it cannot wait, an iterator fails at its first item, as iterators do.
for name, endpoint in pairs(internal.iterators()) do
  local plain = Client[name]
  Client[name] = function(self, options)
    check(self, name)
    settle(self)
    local message = obstacle(name)
    if not message then return plain(self, options) end
    return pages(self.client, options, name, endpoint, nil,
      internal.refusal(endpoint, message))
  end
end
guard("balances", "balance")
guard("invalidate_token")
guard("stats")

-- With a cache the answer may be another request's. A call with a key of its own, one
-- that raises and one that is refused are not the cache's.
local balance = Client.balance
function Client:balance(...)
  check(self, "balance")
  settle(self)
  local cache = self.own.cache
  if not cache or self.hub.closed or not inside() then return balance(self, ...) end
  local ok, currency, account, amounts, timeout, keyed =
    pcall(internal.question, self.client, ...)
  if not ok or not currency or keyed then return balance(self, ...) end
  local arguments, count = { ... }, select("#", ...)
  local key = ("uqpay balance %s %s %s %d"):format(cache.identity, account:lower(),
    currency, amounts)
  return cache.store:get(key, timeout, function()
    return balance(self, unpack(arguments, 1, count))
  end)
end

-- The options are kept: see settle.
function face.new(options)
  if type(options) ~= "table" then return new(options) end
  local copy = setmetatable({}, debug.getmetatable(options))
  for name, value in pairs(options) do copy[name] = value end
  local ok, own = pcall(read_options, copy)
  if not ok then error(own, 2) end
  local made, self = pcall(new, copy)
  if not made then error(self, 2) end
  self.options, self.own = copy, own
  equip(self)
  return self
end

return face
