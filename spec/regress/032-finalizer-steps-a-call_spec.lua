-- On Lua 5.1 and LuaJIT a step allocates before it begins. A finalizer that ran there and
-- stepped the same call to its end made the call lose its result, or crashed the process.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"

-- Runs in a small heap of its own, where a few allocations cause a full collection.
local code = [[
  local act, ending = %s, %q

  -- Runs f, with a finalizer that calls act at f's allocation of that number. True if it
  -- was called.
  local function finalize_within(number, act, f)
    local pieces, left, armed = {}, number, true
    local function finalizer()
      if not armed then return end
      left = left - 1
      if left == 0 then act() end
      pieces[left] = nil
      collectgarbage "restart"    -- 5.2's collector stops after a finalizer
    end
    for n = 0, number do
      if newproxy then
        pieces[n] = newproxy(true)
        getmetatable(pieces[n]).__gc = finalizer
      else
        pieces[n] = setmetatable({}, { __gc = finalizer })
      end
    end
    local restore_collector = require "spec.support.collector".eager(true)
    collectgarbage()
    pieces[number] = nil
    collectgarbage "restart"
    f()
    armed = false
    restore_collector()
    return left <= 0
  end

  local client = uqpay.new(options {
    token = sandbox.token, client_id = false, api_key = false, rate_limit = 0,
  })
  local within = 0
  for number = 1, 300 do
    local call = client:start_balance "USD"
    client:step(5)
    local acted = finalize_within(number, function() act(call) end,
      function() call:step() end)
    while not call:step() do client:step(1) end
    local balance, message, err = call:result()
    assert(balance or err.kind == ending, message)
    local stats = client:stats()
    same(number, stats.calls)
    same(number, stats.succeeded + stats.failed)
    if not acted then break end
    within = number
  end
  client:close()
  assert(within > 5, within)
]]

describe("a finalizer", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  local acts = {
    { "step the call", "function(call) call:step() end", "no failure" },
    { "cancel the call", "function(call) call:cancel() end", "canceled" },
  }

  for _, act in ipairs(acts) do
    it("may " .. act[1] .. " at any allocation within a step of it", function()
      child.run(code:format(act[2], act[3]))
    end)
  end
end)
