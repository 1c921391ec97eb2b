-- A login that ran out of memory in the step of one call failed the call that had begun
-- it: "its token was dropped before it could be used". It begins another one.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"

-- The second call takes the answer of the login that the first has begun, and each of its
-- allocations is refused in turn: once on Lua 5.1; newer ones collect, and try again.
local CODE = [[
  local fork = require "fork"
  local strikes, raised = _VERSION == "Lua 5.1" and 1 or 2, 0

  local function try(n)
    local client = uqpay.new(options { timeout = 20 })
    local first, second = client:start_balance "USD", client:start_balance "SGD"
    while not second:dirty() do client:step(1) end
    collectgarbage()
    collectgarbage "stop"
    local starved, ok = fork.starve(n, function() second:step() end, strikes)
    collectgarbage "restart"
    if not ok then raised = raised + 1 end
    local ends = clock() + 10
    while not first:step() and clock() < ends do client:step(0.2) end
    local balance, message, err = first:result()
    assert(balance or err.kind == "memory", message)
    client:close()
    return starved
  end

  local n = 0
  while try(n) do n = n + 1 end
  assert(raised > 3, raised)
  fork.leave(0)
]]

describe("a login that an error has ended", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("is begun again by the calls that wait for it", function()
    if rawget(_G, "jit") then return end -- where a lack of memory leaves tables torn
    child.run(CODE, nil, "timeout 60 ")
  end)
end)
