-- resty.uqpay: uqpay for the Lua of nginx (OpenResty, Debian's libnginx-mod-http-lua).
-- Methods yield the light thread that calls them; the worker never waits.
--
-- While calls are in flight one light thread of each worker steps all its clients, see
-- resty/uqpay/driver.lua; those who wait are parked on semaphores.
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
local TURN = 0.002     -- seconds: a step leaves the rest to the next ones
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
  park = function(slot)
    slot.semaphore, slot.told = slot.semaphore or semaphore.new(), false
    driver.wait(slot, math.huge)
  end,
  wake = function(slot)
    if slot.task then slot.task.due = 0 else driver.tell(slot) end
  end,
  waits = function(slot) return slot.task or driver.is_waiting(slot) end,
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

local function check_identity(option, name)
  if name ~= nil and type(name) ~= "string" then
    bad(option, "string expected, got " .. type(name))
  elseif name == "" then
    bad(option, "got an empty string")
  end
end

local cache_options = { dict = "string", ttl = "number", stale = "number",
                        identity = "string" }

-- cache = { dict =, ttl =, stale =, identity = }, checked. name: the client's identity,
-- if it has one.
local function read_cache(cache, options, shared, name)
  if type(cache) ~= "table" then bad("cache", "table expected, got " .. type(cache)) end
  for key, value in pairs(cache) do
    local expected = cache_options[key]
    if not expected then bad("cache", "no '" .. tostring(key) .. "' in it") end
    if type(value) ~= expected then
      bad("cache." .. key, expected .. " expected, got " .. type(value))
    end
  end
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

local own_options = { "shared", "cache", "max_connections", "identity" }

-- Takes our own options out of the table, which is ours.
local function read_options(options)
  local taken = {}
  for _, option in ipairs(own_options) do
    taken[option], options[option] = options[option], nil
  end
  local shared, cache, name = taken.shared, taken.cache, taken.identity
  local own = { most = taken.max_connections or CONNECTIONS }
  if type(own.most) ~= "number" or own.most % 1 ~= 0 or own.most < 1
    or own.most > 1024 then
    bad("max_connections", "a whole number from 1 to 1024 expected")
  end
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

-- The timeout of these options, if it is too long to be one in seconds.
local function long_timeout(options)
  local timeout = type(options) == "table" and rawget(options, "timeout")
  return type(timeout) == "number" and timeout > HOUR and timeout
end

-- Looks at the arguments of a call, or of new: other libraries of nginx count
-- milliseconds.
local function check_seconds(first, second)
  if warned then return end
  local timeout = long_timeout(first) or long_timeout(second) -- a batch's are second
  if not timeout then return end
  warned = true
  ngx.log(ngx.WARN, ("uqpay: timeout = %.15g: seconds are expected, not milliseconds")
    :format(timeout))
end

-- What a client has besides those of other loops.
local function equip(self)
  local own, client = self.own, self.client
  internal.limit(client, own.most, TURN)
  if own.dict then
    internal.share_turns(client, function(limit)
      return sharing.turns(own.dict, own.identity, limit)
    end)
  end
  self.hub.renew = own.renew
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

-- Results of a call that would have to wait where it cannot; true: it can.
local function may_wait(method, endpoint)
  local message = obstacle(method)
  if not message then return true end
  return nil, message, internal.refusal(endpoint, message)
end

-- The results of a call whose client was closed before the call could begin.
local function fail_closed(endpoint)
  local message = "the client was closed"
  local err = internal.refusal(endpoint, message)
  err.kind, err.retry_stopped = "canceled", "closed"
  return nil, message, err
end

-- endpoint: what the method asks for; nil: it does not wait. admitted: it takes its turn
-- among others.
local function define(method, endpoint, admitted)
  local plain = Client[method]
  Client[method] = function(self, ...)
    check(self, method)
    settle(self)
    if endpoint then
      local good, message, err = may_wait(method, endpoint)
      if not good then return nil, message, err end
    end
    check_seconds(...)
    if admitted and not self.hub.closed then -- of a closed client the method raises
      driver.enter(self.hub)
      if self.hub.closed then return fail_closed(endpoint) end
    end
    return plain(self, ...)
  end
end

local make_balance = Client.balance -- see below
for _, name in ipairs(internal.methods()) do
  define(name, name, true)
  define("start_" .. name, name)
end
define("batch", "balance")
define("invalidate_token")
define("stats")

-- Where it cannot wait, an iterator fails at its first item, as iterators do.
for name, endpoint in pairs(internal.iterators()) do
  local plain = Client[name]
  Client[name] = function(self, options)
    check(self, name)
    settle(self)
    check_seconds(options)
    local message = obstacle(name)
    if not message then return plain(self, options) end
    return pages(self.client, options, name, endpoint, nil,
      internal.refusal(endpoint, message))
  end
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

-- What a call of balance with these arguments would ask: see Cache:get. Raises what such
-- a call would; nil, message and error: a value is refused.
local function read_question(self, ...)
  local currency, account, amounts, timeout, keyed, retries =
    internal.question(self.client, ...)
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

-- The cache, admission, the call. One that raises, is refused or has a key of its own is
-- not the cache's.
local function answer(self, cached, ...)
  if self.hub.closed then return make_balance(self, ...) end -- it raises
  local question
  if self.own.cache then
    local read, found = pcall(read_question, self, ...)
    question = read and found and not found.keyed and found
  end
  if question and cached then
    local balance, message, err = self.own.cache:get(self, question)
    if balance then return balance end
    if message then return nil, message, err end
  end
  driver.enter(self.hub)
  if self.hub.closed then return fail_closed "balance" end
  if question then return self.own.cache:renew(self, question) end
  return make_balance(self, ...)
end

function Client:balance(...)
  check(self, "balance")
  settle(self)
  local good, message, err = may_wait("balance", "balance")
  if not good then return nil, message, err end
  check_seconds(...)
  return answer(self, take_cache_option(...))
end

-- The question of a method that only looks into the cache.
local function question_of(self, method, ...)
  settle(self)
  if self.hub.closed then error("attempt to use a closed uqpay client", 3) end
  if not self.own.cache then
    error(("'%s' needs the option 'cache' of 'new'"):format(method), 3)
  end
  local read, question, message, err = pcall(read_question, self, ...)
  if question and read then return question end
  message = (read and message or question):gsub("'balance'", "'" .. method .. "'")
  if not read then
    message = message:gsub("^[^:]*:%d+: ", "") -- not our place
      :gsub("^bad argument #(%d+) to '[^']*'", function(n)
        return ("bad argument #%d to '%s'"):format(n - 1, method)
      end)
    error(message, 3)
  end
  err.message = message
  return nil, message, err
end

-- What is kept of such a balance, with its age; nil: nothing. Never asks.
function Client:peek_balance(...)
  check(self, "peek_balance")
  local question, message, err = question_of(self, "peek_balance", ...)
  if not question then return nil, message, err end
  return self.own.cache:peek(self, question)
end

-- Nothing that was asked for before is given any more.
function Client:forget_balance(...)
  check(self, "forget_balance")
  local question, message, err = question_of(self, "forget_balance", ...)
  if not question then return nil, message, err end
  self.own.cache:forget(question)
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
  check_seconds(copy)
  equip(self)
  return self
end

return face
