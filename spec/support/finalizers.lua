-- Finalizers that run wherever Lua allocates: children (interpreters of their own) in
-- which every allocation is followed by a collection, and each collection finds one piece
-- of garbage, whose finalizer drops the next.

local assert = require "luassert"
local driver = require "spec.support.driver"

local finalizers = {}

-- The prelude of each child. arm(most, act): so many finalizers, one after the other,
-- call act with their number; within it no other one runs. disarm() ends it and returns
-- how many have run.
local prelude = [[
  local eager = require "spec.support.collector".eager
  local pieces, armed, run, action, relax = {}, false, 0
  local function finalizer()
    if not armed then return end
    armed = false
    run = run + 1
    action(run)
    armed = true
    pieces[run + 1] = nil
    collectgarbage "restart"    -- 5.2 rests after a finalizer
  end
  local function piece()
    if not newproxy then return setmetatable({}, { __gc = finalizer }) end
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = finalizer
    return proxy
  end
  local function arm(most, act)
    run, action = 0, act
    for n = 1, most do pieces[n] = piece() end
    relax = relax or eager(true)
    collectgarbage()
    armed, pieces[1] = true, nil
    collectgarbage "restart"
  end
  local function disarm()
    armed = false
    relax()
    relax = nil
    return run
  end
]]

-- Runs code in a child to its good end and returns what it printed. Nothing else may
-- allocate there: LUA_INIT is for others.
function finalizers.run(code)
  local text = driver.output(driver.command("timeout", 120, "env", "LUA_INIT=",
    "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath, os.getenv "UQPAY_LUA",
    "-e", prelude .. code) .. " 2>&1; echo \"exit $?\"")
  local output, status = text:match "^(.*)exit (%d+)\n$"
  assert.equal("0", status, output)
  return output
end

return finalizers
