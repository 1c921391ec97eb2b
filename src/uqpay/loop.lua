-- loop.lua: the face of uqpay under an event loop: the same functions, and clients whose
-- methods yield to the loop instead of blocking. Outside its coroutines they block.
--
-- What a loop has to give:
--   inside() -> the loop that the running coroutine can wait in; nil or false: none
--   spawn(f): runs f beside the others, now or soon
--   watch(fd) -> { wait = yields until fd is readable, or stop is called, or for nothing;
--     stop = ends it: fd may be closed now }; wait may never return after stop
--   park(slot): yields until wake(slot), or for nothing
--   wake(slot): lets slot.thread, which is parked, go on, now or soon
-- and what only some give:
--   dead() of what watch gives: true if its wait will never return, or if spawn has
--   broken its promise
-- and what only resty/uqpay.lua gives, whose loop has no descriptors, and may end a
-- coroutine that is parked:
--   attend(driver): in place of spawn: the loop calls hub:turn(driver) now, and as long
--     as somebody is parked with it, hub:forsake(driver) now and then, and
--     hub:retire(driver) when nobody is left. driver.watch is what watch(hub) gives,
--     which needs no wait
--   obstacle(what): why what cannot wait here, if inside() is false; nobody ever blocks
--   waits(slot): is slot.thread parked?
-- SPDX-License-Identifier: MIT

local Hub = require "uqpay.hub"
local from_env = require "uqpay.env"
local internal = require "uqpay.internal"
local uqpay = require "uqpay"

local function pass(...) -- keeps a call from being a tail call, for the sake of blame
  return ...
end

-- Calls a function of C under this file's hands: what it raises begins with this place.
local function call(f, ...)
  return pass(f(...))
end

local here = "^" .. debug.getinfo(1, "S").short_src:gsub("%p", "%%%0") .. ":%d+: "

-- Takes pcall's results; an error is raised anew as one of the line that called the
-- method, which users know by this name. self is how many arguments are not theirs.
local function blame(method, self, ok, ...)
  if ok then return ... end
  local message = ...
  if type(message) == "string" then
    message = message:gsub(here, "")
      :gsub("'start_" .. method .. "'", "'" .. method .. "'")
      :gsub("^bad argument #(%d+) to '[^']*'", function(n)
        return ("bad argument #%d to '%s'"):format(n - self, method)
      end)
  end
  error(message, 3)
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

return function(loop)
  local Client = {}
  Client.__index = Client
  Client.__name = "uqpay.client"

  -- Raises if the method of that name was not called on a client.
  local function check(self, name)
    if type(self) == "table" and self.hub then return end
    error(("calling '%s' on bad self (uqpay.client expected, got %s: use "
      .. "client:%s(...), not client.%s(...))"):format(name, type(self), name, name), 3)
  end

  local function forward(name)
    Client[name] = function(self, ...)
      check(self, name)
      local client = self.client
      return pass(blame(name, 1, pcall(call, client[name], client, ...)))
    end
  end

  for _, name in ipairs { "batch", "invalidate_token", "stats" } do forward(name) end
  for name in pairs(internal.iterators()) do forward(name) end

  for _, name in ipairs(internal.methods()) do
    local start = "start_" .. name
    forward(start)
    Client[name] = function(self, ...)
      check(self, name)
      local client = self.client
      if not loop.inside() then
        return pass(blame(name, 1, pcall(call, client[name], client, ...)))
      end
      return self.hub:await(blame(name, 1, pcall(call, client[start], client, ...)))
    end
  end

  function Client:close()
    check(self, "close")
    self.hub:close()
  end

  Client.__close = Client.close

  function Client:__tostring()
    return tostring(self.client)
  end

  local face = setmetatable({}, { __index = uqpay })

  function face.new(options)
    local client = blame("new", 0, pcall(call, uqpay.new, options))
    local hub = Hub.new(client, loop)
    internal.peer(client).hub = hub -- for client:batch
    return setmetatable({ client = client, hub = hub }, Client)
  end

  function face.from_env(options)
    local client, message = from_env(face.new, options)
    if not client then error(message, 2) end
    return client
  end

  -- That of C cannot wait for what the function asks for.
  function face.sum(list)
    if type(list) ~= "function" then
      return pass(blame("sum", 0, pcall(call, uqpay.sum, list)))
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

  return face, Client, check
end
