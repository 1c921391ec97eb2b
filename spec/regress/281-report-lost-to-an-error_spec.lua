-- Under an event loop an error of a debug hook, as of Ctrl-C, or a lack of memory in the
-- wrong moment lost the report of a call that was due: its coroutine was never woken.

local child = require "spec.support.child"
local driver = require "spec.support.driver"

-- An iterator waits outside the loop's coroutines. As it hears that the call of a
-- coroutine is due, before its own is, it is interrupted.
local CODE = [[
  local uv = require "luv"
  local client = require "uqpay.luv".new(options())
  local balance
  coroutine.wrap(function() balance = client:balance "USD" end)()
  uv.run "nowait"
  sandbox.fault {
    kind = "delay", seconds = 0.5, match = { ["x-on-behalf-of"] = sandbox.sub_account },
  }
  local next_balance = client:batch {
    { currency = "USD", on_behalf_of = sandbox.sub_account },
  }
  local function has_due_id()
    local locals, n = {}, 1
    local name, value = debug.getlocal(3, 1)
    while name do
      locals[name], n = value, n + 1
      name, value = debug.getlocal(3, n)
    end
    return locals.woken and locals.id
  end
  debug.sethook(function()
    if debug.getinfo(2, "S").source:find "hub.lua" and has_due_id() then
      debug.sethook()
      error("interrupted", 0)
    end
  end, "l")
  same("interrupted", select(2, pcall(next_balance)))
  local ends = clock() + 30
  while not balance and clock() < ends do uv.run "nowait" end
  same("USD", balance and balance.currency)
  client:close()
]]

describe("an iterator under luv that is interrupted", function()
  it("leaves the coroutines of other calls their wake-ups", function()
    if not driver.has_loop "luv" then
      return pending("no package of luv for " .. _VERSION)
    end
    child.run(CODE)
  end)
end)
