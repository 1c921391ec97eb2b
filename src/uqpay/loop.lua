-- loop.lua: the interface of uqpay under an event loop: the same functions, and clients
-- whose methods yield to the loop instead of blocking. Outside its coroutines they block.
--
-- Functions that a loop provides:
--   inside() -> the loop that the running coroutine can wait in; nil or false: none
--   spawn(f): runs f in a coroutine of its own, at once or soon
--   watch(fd) -> { wait = yields until fd is readable or stop is called, and may return
--     early; stop = ends the watch: fd may be closed after it }; wait need not return
--     after stop
--   park(waiter): yields until wake(waiter), and may return early
--   wake(waiter): resumes waiter.thread, which is parked, at once or soon
-- Optional:
--   watch(fd).dead() -> true if its wait will never return, or if spawn has lost its
--     coroutine
-- For resty/uqpay.lua only, whose loop has no descriptors, and may end a coroutine that
-- is parked:
--   attend(driver): in place of a coroutine for it: the loop calls hub:step(driver) soon,
--     and while waiters are parked with it, hub:cancel_dead_waiters(driver) now and then,
--     and hub:stop(driver) when no waiter is left. driver.watch is what watch(hub)
--     returns, which has no wait
--   obstacle(what) -> why `what` cannot wait here, if inside() is false: blocking is not
--     allowed
--   waits(waiter) -> true if waiter.thread is parked
-- SPDX-License-Identifier: MIT

local Hub = require "uqpay.hub"
local from_env = require "uqpay.env"
local internal = require "uqpay.internal"
local uqpay = require "uqpay"

-- Keeps a call from being a tail call: internal.call looks for the caller's caller.
local function pass(...)
  return ...
end

-- The sum of a total and its n-th element.
local function add(total, value, n)
  local ok, sum = pcall(total.add, total, value)
  if ok then return sum end
  if type(sum) == "string" then
    local element = ("bad element %d to 'sum'"):format(n)
    sum = sum:gsub("^.*bad argument #%d+ to '[^']*'", element)
  end
  error(sum, 3)
end

-- Raises if the method of that name was not called on a client.
local function check(self, name)
  if type(self) == "table" and self.hub then return end
  error(("calling '%s' on bad self (uqpay.client expected, got %s: use "
    .. "client:%s(...), not client.%s(...))"):format(name, type(self), name, name), 3)
end

-- Defines a method that is the C client's.
local function forward(Client, name)
  Client[name] = function(self, ...)
    check(self, name)
    local client = self.client
    return pass(internal.call(client[name], client, ...))
  end
end

-- Defines the method of a call: it waits in the loop, or blocks outside its coroutines.
local function define_call(Client, loop, name, start)
  Client[name] = function(self, ...)
    check(self, name)
    local client = self.client
    if not loop.inside() then
      return pass(internal.call(client[name], client, ...))
    end
    return self.hub:await(internal.call(start, client, ...))
  end
end

local function new_class(loop)
  local Client = { __name = "uqpay.client" }
  Client.__index = Client
  for _, name in ipairs { "batch", "invalidate_token", "stats" } do
    forward(Client, name)
  end
  for name in pairs(internal.iterators()) do forward(Client, name) end
  for name, start in pairs(internal.starters()) do
    forward(Client, "start_" .. name)
    define_call(Client, loop, name, start)
  end

  function Client:close()
    check(self, "close")
    self.hub:close()
  end

  Client.__close = Client.close

  function Client:__tostring()
    return tostring(self.client)
  end

  return Client
end

-- uqpay.sum; that of C cannot wait in the function.
local function sum(list)
  if type(list) ~= "function" then
    return pass(internal.call(uqpay.sum, list))
  end
  local total, n = uqpay.amount(0), 0
  while true do
    local value, message, err = list()
    if not value and message ~= nil then return nil, message, err end
    if value == nil then return total end
    n = n + 1
    total = add(total, value, n)
  end
end

-- Returns the module for a loop, the class of its clients, and the check of a method's
-- self.
return function(loop)
  local Client = new_class(loop)
  local module = setmetatable({ sum = sum }, { __index = uqpay })

  function module.new(options)
    local client = internal.call(uqpay.new, options)
    local hub = Hub.new(client, loop)
    internal.user_value(client).hub = hub -- for client:batch
    return setmetatable({ client = client, hub = hub }, Client)
  end

  function module.from_env(options)
    local client, message = from_env(module.new, options)
    if not client then error(message, 2) end
    return client
  end

  return module, Client, check
end
