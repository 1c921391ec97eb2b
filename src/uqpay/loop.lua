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
-- SPDX-License-Identifier: MIT

local Hub = require "uqpay.hub"
local internal = require "uqpay.internal"
local uqpay = require "uqpay"

local function pass(...) -- keeps a call from being a tail call, for the sake of blame
  return ...
end

-- The functions of C under this file's hands: what they raise begins with this place.
local plain = {
  new = function(options) return pass(uqpay.new(options)) end,
  balance = function(client, ...) return pass(client:balance(...)) end,
  balances = function(client, ...) return pass(client:balances(...)) end,
  start_balance = function(client, ...) return pass(client:start_balance(...)) end,
  stats = function(client) return pass(client:stats()) end,
}

local here = "^" .. debug.getinfo(1, "S").short_src:gsub("%p", "%%%0") .. ":%d+: "

-- Takes pcall's results; an error is raised anew as one of the line that called the
-- method, which users know by this name.
local function blame(method, ok, ...)
  if ok then return ... end
  local message = ...
  if type(message) == "string" then
    message = message:gsub(here, ""):gsub("'start_balance'", "'" .. method .. "'", 1)
  end
  error(message, 3)
end

return function(loop)
  local Client = {}
  Client.__index = Client
  Client.__name = "uqpay.client"

  for _, name in ipairs { "start_balance", "balances", "stats" } do
    Client[name] = function(self, ...)
      return pass(blame(name, pcall(plain[name], self.client, ...)))
    end
  end

  function Client:balance(...)
    if not loop.inside() then
      return pass(blame("balance", pcall(plain.balance, self.client, ...)))
    end
    local call = blame("balance", pcall(plain.start_balance, self.client, ...))
    return self.hub:await(call)
  end

  function Client:close()
    self.hub:close()
  end

  Client.__close = Client.close

  function Client:__tostring()
    return tostring(self.client)
  end

  local face = setmetatable({}, { __index = uqpay })

  function face.new(options)
    local client = blame("new", pcall(plain.new, options))
    local hub = Hub.new(client, loop)
    internal.peer(client).hub = hub -- for client:balances
    return setmetatable({ client = client, hub = hub }, Client)
  end

  return face
end
