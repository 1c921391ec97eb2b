-- LuaSocket's select skips objects without a descriptor, even dirty ones. So a call that
-- another one had finished was never reported, and the loop waited for ever.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

describe("a call in LuaSocket's select", function()
  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    sandbox.fault { kind = "hang", seconds = 5, times = 2 }
  end)

  local ways = {
    ["its client is closed"] = { function(client) client:close() end, "closed" },
    ["it is cancelled"] = { function(_, call) call:cancel() end, "canceled" },
  }

  for name, way in pairs(ways) do
    it("is reported at once when " .. name .. " elsewhere", function()
      local client = fixture.client()
      local call, other = client:start_balance "USD", client:start_balance "USD"
      local list = { call, other }
      way[1](client, call)
      local ready = socket.select(list, nil, 10)
      assert.equal(call, ready[1])
      assert.is_true(call:step())
      local err = fixture.failed("canceled", call:result())
      assert.equal(way[2], err.retry_stopped)
      client:close()
    end)
  end
end)
