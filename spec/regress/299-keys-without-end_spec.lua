-- The sandbox kept the answer of each idempotency key until a reset: a server under load
-- grew without end.

local idempotency = require "uqpay.testing.server.idempotency"
local in_process = require "spec.sandbox.in_process"

describe("idempotency keys of the sandbox", function()
  it("are forgotten when there are very many, oldest first", function()
    in_process.reset()
    local world = in_process.world
    local function answer(n)
      local worked = false
      idempotency.answer(world, {
        state = world.state, method = "POST", path = "/", body = "", merchant = "m",
        account = "a", key = ("%08x-0000-4000-8000-000000000000"):format(n),
      }, function()
        worked = true
        return { status = 200 }
      end)
      return worked
    end
    for n = 1, 100001 do assert(answer(n)) end
    assert.is_false(answer(2))
    assert.is_false(answer(100001))
    assert.is_true(answer(1))
    assert.is_true(answer(2))
    in_process.reset()
    assert.is_true(answer(100001))
  end)
end)
