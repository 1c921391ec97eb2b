-- Each call that is due was reported once, to any consumer: to batches and drivers of
-- event loops, too. They dropped ids that they did not know: a program that waited for
-- such a call object on the descriptor, as cqueues.poll(call) does, was not woken until
-- the call's timeout, and client:ready after a batch returned nothing. And a batch waited
-- for ever for a call of its own that had been reported to the program.

local engine = require "engine"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

describe("a call that is reported to another consumer", function()
  local client, fd

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    client = fixture.client()
    fd = client:pollfd()
  end)
  after_each(function() client:close() end)

  -- True if the descriptor is readable for a program that only knows its number.
  local function readable() return engine.readable(fd, 0) end

  -- Blocks until the call is over, for it takes longer.
  local function outlast(call)
    sandbox.fault { kind = "delay", seconds = 0.3,
      match = { ["x-on-behalf-of"] = sandbox.sub_account } }
    local query = { currency = "USD", on_behalf_of = sandbox.sub_account }
    for _, balance in client:batch { query } do assert.is_truthy(balance) end
    assert.is_true(call:dirty())
  end

  it("is seen on the descriptor, until it is stepped", function()
    local call = client:start_balance "SGD"
    outlast(call)
    assert.is_true(readable())
    fixture.succeeded(client:balance "USD")
    assert.is_true(readable())
    assert.is_true(call:step())
    client:step()
    assert.is_false(readable())
    assert.equal(10000, fixture.succeeded(call:result()).available_balance)
  end)

  it("is reported to the next caller of client:ready, once", function()
    local call = client:start_balance "SGD"
    outlast(call)
    assert.is_true(client:step(20))
    assert.equal(call, client:ready())
    assert.is_nil(client:ready())
    assert.is_false(client:step())
    assert.is_false(readable())
    assert.is_true(call:step())
  end)

  it("is no loss to its batch", function()
    local next_balance = client:batch({ "USD", "SGD", "USD" }, { concurrency = 1 })
    assert.equal("USD", (next_balance())) -- the next one is on its way
    while not client:step(1) do end
    assert.is_nil(client:ready()) -- the batch's call is not the program's
    local deadline = socket.gettime() + 20
    debug.sethook(function()
      if socket.gettime() < deadline then return end
      deadline = math.huge
      error "the batch waits for ever"
    end, "l")
    local ok, message = pcall(function()
      assert.equal("SGD", (next_balance()))
      assert.equal("USD", (next_balance()))
      assert.is_nil(next_balance())
    end)
    debug.sethook()
    assert.is_true(ok, message)
  end)
end)
