-- A login that holds the lock of a token store is abandoned when the last call that waits
-- for it is cancelled or collected. A call that waited for the login's connection was not
-- woken then: the descriptor became readable only at some timeout.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"

-- The client has one connection, which the login takes; the second call has the old
-- token.
local CODE = [[
  local internal = require "uqpay.internal"
  local socket = require "socket"
  local store = {}
  for _, name in ipairs { "get", "set", "lock", "unlock" } do
    store[name] = function() return name ~= "get" or nil end
  end
  local c = uqpay.new(options { token_store = store, http_version = "1.1" })
  internal.limit(c, 1, 1)
  good(style.all(c, times(1)))
  shift.monotonic(1600)
  sandbox.settings { hold = "token" }
  local calls = { c:start_balance "USD" }
  wait_until(function() return count "token" == 2 end, function() c:step(0.01) end)
  calls[2] = c:start_balance "SGD"
  wait_until(function() return c:timeout() > 3 end, function() c:step(0.01) end)
  local fd = c:pollfd()
  local plain = {
    getfd = function() return fd end, dirty = function() return false end,
  }
  local timer = socket.gettime() + c:timeout() - 0.3
  leave(calls)
  repeat
    local ready = socket.select({ plain }, nil, timer - socket.gettime())
    assert(#ready == 1, "the call was not woken")
  until calls[2]:step()
  same("SGD", calls[2]:result().currency)
]]

describe("a call that waits for the connection of a login", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for name, leave in pairs {
    ["cancelled"] = "calls[1]:cancel()",
    ["collected"] = "calls[1] = nil collectgarbage() collectgarbage()",
  } do
    it("is woken when the last call that waits for the login is " .. name, function()
      child.run("local style = styles[1] local function leave(calls) " .. leave .. " end "
        .. CODE, "shift")
    end)
  end
end)
