-- On Lua 5.1 and LuaJIT a step allocates before it begins. A finalizer that ran there and
-- stepped the same call to its end lost the call its result, or the process its life.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.support.sandbox"

-- Runs f, and act as a finalizer at the allocation of this number in it. Did it run?
local function finalize_within(number, act, f)
  local pieces, left, armed = {}, number, true
  local function finalizer()
    if not armed then return end
    left = left - 1
    if left == 0 then act() end
    pieces[left] = nil
    collectgarbage "restart"    -- 5.2 rests after a finalizer
  end
  for n = 0, number do
    if newproxy then
      pieces[n] = newproxy(true)
      getmetatable(pieces[n]).__gc = finalizer
    else
      pieces[n] = setmetatable({}, { __gc = finalizer })
    end
  end
  local pause = collectgarbage("setpause", 0)
  local multiplier = collectgarbage("setstepmul", 1000000)
  if _VERSION == "Lua 5.4" then collectgarbage("incremental", 0, 1000, 30) end
  collectgarbage()
  pieces[number] = nil
  collectgarbage "restart"
  f()
  armed = false
  collectgarbage("setpause", pause)
  collectgarbage("setstepmul", multiplier)
  return left <= 0
end

describe("a finalizer", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  local acts = {
    ["step the call"] = { function(call) call:step() end, "balance" },
    ["cancel the call"] = { function(call) call:cancel() end, "balance", "canceled" },
  }

  for name, act in pairs(acts) do
    it("may " .. name .. " at any allocation of its own step", function()
      local client = fixture.client()
      local within = 0
      for number = 1, 300 do
        local call = client:start_balance "USD"
        client:step(5)
        local acted = finalize_within(number, function() act[1](call) end,
          function() call:step() end)
        while not call:step() do client:step(1) end
        local balance, _, err = call:result()
        local came = balance and "balance" or err.kind
        assert.is_true(came == act[2] or came == act[3], came)
        local stats = client:stats()
        assert.equal(number, stats.calls)
        assert.equal(number, stats.succeeded + stats.failed)
        if not acted then break end
        within = number
      end
      assert.is_true(within > 5, within)
      client:close()
    end)
  end
end)
