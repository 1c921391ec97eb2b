-- resty.uqpay: uqpay for the Lua of nginx (OpenResty, Debian's libnginx-mod-http-lua).
-- Methods yield the light thread that calls them; the worker never waits.
--
-- While calls are in flight one light thread of each worker steps all its clients, see
-- resty/uqpay/driver.lua; waiters are parked on semaphores.
-- SPDX-License-Identifier: MIT

local ngx = rawget(_G, "ngx")
if not ngx then error('resty.uqpay runs within nginx; elsewhere: require "uqpay"', 0) end

local Hub = require "uqpay.hub"
local internal = require "uqpay.internal"
local driver = require "resty.uqpay.driver"
local new_cache = require "resty.uqpay.cache"
local pages = require "uqpay.pages"
local semaphore = require "ngx.semaphore"
local sharing = require "resty.uqpay.shared"
local uqpay = require "uqpay"

local CONNECTIONS = 16 -- of a client, in each worker
local SLICE = 0.002    -- seconds: a step yields after this, and the next one continues
local HOUR = 3600

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

local function inside()
  return waits_in[ngx.get_phase()] and internal.yieldable()
end

-- Why a method, or what the text names, cannot wait here; nil if it can.
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

local loop = {
  obstacle = obstacle,
  inside = inside,
  watch = driver.watch,
  attend = driver.attend,
  spawn = driver.spawn,
  park = function(waiter)
    waiter.semaphore, waiter.woken = waiter.semaphore or semaphore.new(), false
    driver.wait(waiter, math.huge)
  end,
  wake = function(waiter)
    if waiter.task then waiter.task.due = 0 else driver.wake(waiter) end
  end,
  waits = function(waiter) return waiter.task or driver.is_waiting(waiter) end,
}

local module, Client, check = require "uqpay.loop"(loop)
local new = module.new

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

local unnamed = 0 -- clients with a token function and no `identity`

-- A name for such a client. One that is made in init_by_lua is the same client in all
-- workers; one that a worker makes is that worker's.
local function own_name()
  unnamed = unnamed + 1
  return ("%s client %d"):format(ngx.get_phase() == "init" and "any" or ngx.worker.pid(),
    unnamed)
end

-- A key of what clients share: the same for clients with the same credentials, and
-- without a secret. For a token function it is the name that the user gives, or unique.
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

local function check_identity(option, name)
  if name ~= nil and type(name) ~= "string" then
    bad(option, "string expected, got " .. type(name))
  elseif name == "" then
    bad(option, "got an empty string")
  end
end

local cache_options = { dict = "string", ttl = "number", stale = "number",
                        identity = "string" }

local function check_cache_types(cache)
  if type(cache) ~= "table" then bad("cache", "table expected, got " .. type(cache)) end
  for key, value in pairs(cache) do
    local expected = cache_options[key]
    if not expected then bad("cache", "no '" .. tostring(key) .. "' in it") end
    if type(value) ~= expected then
      bad("cache." .. key, expected .. " expected, got " .. type(value))
    end
  end
end

-- A cache for the checked option cache = { dict =, ttl =, stale =, identity = }. name:
-- the client's option `identity`, or nil.
local function read_cache(cache, options, shared, name)
  check_cache_types(cache)
  check_identity("cache.identity", cache.identity)
  name = cache.identity or name
  local ttl, stale = cache.ttl, cache.stale or 0
  if not ttl or not (ttl >= 0.001 and ttl <= 86400) then
    bad("cache.ttl", "seconds from 0.001 to 86400 expected, got " .. tostring(ttl))
  elseif not (stale >= 0 and stale <= 86400) then
    bad("cache.stale", "seconds from 0 to 86400 expected")
  elseif type(options.token) == "function" and not name then
    bad("cache.identity", "a name of whose token it is expected with a token function, "
      .. "got nil")
  end
  return new_cache(dictionary("cache.dict", cache.dict or shared), ttl, stale,
    identity(options, name))
end

-- The option max_connections, checked.
local function read_connections(most)
  most = most or CONNECTIONS
  if type(most) ~= "number" or most % 1 ~= 0 or most < 1 or most > 1024 then
    bad("max_connections", "a whole number from 1 to 1024 expected")
  end
  return most
end

local own_options = { "shared", "cache", "max_connections", "identity" }

-- Moves nginx's own options out of the table, which is a copy.
local function read_options(options)
  local taken = {}
  for _, option in ipairs(own_options) do
    taken[option], options[option] = options[option], nil
  end
  local shared, cache, name = taken.shared, taken.cache, taken.identity
  local own = { most = read_connections(taken.max_connections) }
  check_identity("identity", name)
  if cache ~= nil then own.cache = read_cache(cache, options, shared, name) end
  if shared ~= nil then
    own.dict = dictionary("shared", shared)
    own.identity = identity(options, name or cache and cache.identity)
    if options.client_id and options.token_store == nil then
      options.token_store, own.renew = sharing.token_store(own.dict)
    end
  end
  return own
end

local warned = false

-- The timeout of these options, if it looks like milliseconds.
local function long_timeout(options)
  local timeout = type(options) == "table" and rawget(options, "timeout")
  return type(timeout) == "number" and timeout > HOUR and timeout
end

-- Warns, once a worker, if the arguments of a call or of `new` have a timeout in
-- milliseconds, which nginx's own Lua API counts.
local function check_seconds(first, second)
  if warned then return end
  local timeout = long_timeout(first) or long_timeout(second) -- a batch's are second
  if not timeout then return end
  warned = true
  ngx.log(ngx.WARN, ("uqpay: timeout = %.15g: seconds are expected, not milliseconds")
    :format(timeout))
end

-- Applies nginx's own options to the client.
local function apply_options(self)
  local own, client = self.own, self.client
  internal.limit(client, own.most, SLICE)
  if own.dict then
    internal.share_rate_limit(client, function(limit)
      return sharing.rate_limit(own.dict, own.identity, limit)
    end)
  end
  self.hub.renew = own.renew
  self.pid = ngx.worker.pid()
end

-- In a worker: replaces a client that was made in init_by_lua by one with the same
-- options. Workers must not share their master's descriptors.
local function recreate_in_worker(self)
  if self.pid == ngx.worker.pid() or self.hub.closed then return end
  local client = uqpay.new(self.options)
  self.client, self.hub = client, Hub.new(client, loop)
  internal.user_value(client).hub = self.hub
  apply_options(self)
end

-- True, or the results of a call that cannot wait here.
local function check_phase(method, endpoint)
  local message = obstacle(method)
  if not message then return true end
  return nil, message, internal.local_error(endpoint, message)
end

-- The results of a call whose client was closed before the call could begin.
local function fail_closed(endpoint)
  local message = "the client was closed"
  local err = internal.local_error(endpoint, message)
  err.kind, err.retry_stopped = "canceled", "closed"
  return nil, message, err
end

-- Replaces a method of the client by nginx's. endpoint: of its call; nil: it does not
-- wait. admitted: its call waits for admission, see driver.admit.
local function define(method, endpoint, admitted)
  local plain = Client[method]
  Client[method] = function(self, ...)
    check(self, method)
    recreate_in_worker(self)
    if endpoint then
      local good, message, err = check_phase(method, endpoint)
      if not good then return nil, message, err end
    end
    check_seconds(...)
    if admitted and not self.hub.closed then -- if it is, the method raises
      driver.admit(self.hub)
      if self.hub.closed then return fail_closed(endpoint) end
    end
    return plain(self, ...)
  end
end

local call_balance = Client.balance -- without cache and admission
for name in pairs(internal.starters()) do
  define(name, name, true)
  define("start_" .. name, name)
end
define("invalidate_token")
define("stats")

-- Replaces a method that returns an iterator. Where that cannot wait, it is what
-- failing(self, message, ...) returns, which fails at its first item.
local function define_iterator(method, failing)
  local plain = Client[method]
  Client[method] = function(self, ...)
    check(self, method)
    recreate_in_worker(self)
    check_seconds(...)
    local message = obstacle(method)
    if not message then return plain(self, ...) end
    return failing(self, message, ...)
  end
end

define_iterator("batch", function(_, message)
  return function() error(message .. " (config)", 2) end
end)
for name, endpoint in pairs(internal.iterators()) do
  define_iterator(name, function(self, message, options)
    return pages(self.client, options, name, endpoint, nil,
      internal.local_error(endpoint, message))
  end)
end

-- ------------------------------------------------------------------------
-- balances and the cache
-- ------------------------------------------------------------------------

-- The option `cache` of a call, true unless it is false, and the arguments without it.
local function take_cache_option(first, second, ...)
  local in_first = type(first) == "table"
  local options = in_first and first or second
  if type(options) ~= "table" or rawget(options, "cache") == nil then
    return true, first, second, ...
  end
  local wanted = options.cache
  if type(wanted) ~= "boolean" then
    error(("bad option 'cache' to 'balance' (boolean expected, got %s)"):format(
      type(wanted)), 3)
  end
  local rest = setmetatable({}, debug.getmetatable(options))
  for name, value in pairs(options) do
    if name ~= "cache" then rest[name] = value end
  end
  if in_first then return wanted, rest, second, ... end
  return wanted, first, rest, ...
end

-- The query for Cache:get of a call of balance with these arguments. Raises what the
-- method would raise, without a position if it is called by pcall; nil, message and
-- error: a value is refused.
local function parse_query(self, method, ...)
  local currency, account, amounts, timeout, keyed, retries =
    internal.call(internal.parse_query, self.client, method, ...)
  if not currency then return nil, account, amounts end
  local first, second = ...
  local options = { currency = currency }
  for name, value in pairs(type(first) == "table" and first or second or {}) do
    options[name] = value
  end
  return {
    key = ("uqpay balance %s %s %s"):format(self.own.cache.identity, account:lower(),
      currency),
    currency = currency, amounts = amounts, timeout = timeout, retries = retries,
    keyed = keyed, options = options,
  }
end

-- Looks into the cache if `cached`, then waits for admission and makes the call. Calls
-- that raise, are refused or have a key of their own bypass the cache.
local function balance_of(self, cached, ...)
  if self.hub.closed then return call_balance(self, ...) end -- it raises
  local query
  if self.own.cache then
    local parsed, found = pcall(parse_query, self, "balance", ...)
    query = parsed and found and not found.keyed and found
  end
  if query and cached then
    local balance, message, err = self.own.cache:get(self, query)
    if balance then return balance end
    if message then return nil, message, err end
  end
  driver.admit(self.hub)
  if self.hub.closed then return fail_closed "balance" end
  if query then return self.own.cache:renew(self, query) end
  return call_balance(self, ...)
end

function Client:balance(...)
  check(self, "balance")
  recreate_in_worker(self)
  local good, message, err = check_phase("balance", "balance")
  if not good then return nil, message, err end
  check_seconds(...)
  return balance_of(self, take_cache_option(...))
end

-- The query of a method that uses the cache only. Results as of parse_query.
local function cache_query(self, method, ...)
  recreate_in_worker(self)
  if self.hub.closed then error("attempt to use a closed uqpay client", 3) end
  if not self.own.cache then
    error(("'%s' needs the option 'cache' of 'new'"):format(method), 3)
  end
  local parsed, query, message, err = pcall(parse_query, self, method, ...)
  if not parsed then error(query, 3) end
  return query, message, err
end

-- The cached balance with its age; nil: none. Never calls UQPAY.
function Client:peek_balance(...)
  check(self, "peek_balance")
  local query, message, err = cache_query(self, "peek_balance", ...)
  if not query then return nil, message, err end
  return self.own.cache:peek(self, query)
end

-- Drops the cached balance, and the answer to a request that is in flight.
function Client:forget_balance(...)
  check(self, "forget_balance")
  local query, message, err = cache_query(self, "forget_balance", ...)
  if not query then return nil, message, err end
  self.own.cache:forget(query)
  return true
end

local stats = Client.stats
function Client:stats()
  check(self, "stats")
  if self.hub.closed then error("attempt to use a closed uqpay client", 2) end
  local all = stats(self)
  for name, count in pairs(self.own.cache and self.own.cache.counts or {}) do
    all[name] = count
  end
  return all
end

-- The options are kept for recreate_in_worker.
function module.new(options)
  if type(options) ~= "table" then return new(options) end
  local copy = setmetatable({}, debug.getmetatable(options))
  for name, value in pairs(options) do copy[name] = value end
  local ok, own = pcall(read_options, copy)
  if not ok then error(own, 2) end
  local made, self = pcall(new, copy)
  if not made then error(self, 2) end
  self.options, self.own = copy, own
  check_seconds(copy)
  apply_options(self)
  return self
end

return module
