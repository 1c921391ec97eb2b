-- loop.lua: the face of uqpay under an event loop: the same functions, and clients whose
-- methods yield to the loop instead of blocking. Outside the loop's coroutines they block.
--
-- What a loop has to give:
--   inside() -> can the running coroutine wait in the loop?
--   spawn(f): runs f beside the others
--   watch(fd) -> { wait = yields until fd is readable or stop is called, stop = ends it,
--     called once or twice }
--   park(slot): yields until wake(slot)
--   wake(slot): lets a parked one go on, now or soon
-- SPDX-License-Identifier: MIT

local Hub = require "uqpay.hub"
local internal = require "uqpay.internal"
local uqpay = require "uqpay"

return function(loop)
  local Client = {}
  Client.__index = Client
  Client.__name = "uqpay.client"

  local function forward(name)
    Client[name] = function(self, ...)
      return self.client[name](self.client, ...)
    end
  end

  for _, name in ipairs { "balances", "invalidate_token", "stats" } do forward(name) end
  for _, name in ipairs(internal.iterators()) do forward(name) end

  for _, name in ipairs(internal.methods()) do
    local start = "start_" .. name
    forward(start)
    Client[name] = function(self, ...)
      local client = self.client
      if not loop.inside() then return client[name](client, ...) end
      return self.hub:await(client[start](client, ...))
    end
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
    local client = uqpay.new(options)
    local hub = Hub.new(client, loop)
    internal.peer(client).hub = hub -- for client:balances
    return setmetatable({ client = client, hub = hub }, Client)
  end

  return face
end
