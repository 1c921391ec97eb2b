-- A call that finished while another one blocked was visible on the descriptor only if
-- the descriptor had been got before, and never a second time; and not at all if the
-- other call ended with an error.

local fixture = require "spec.support.fixture"
local fork = require "fork"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

-- True if the descriptor is readable for a program that only knows its number.
local function readable(fd)
  local plain = { getfd = function() return fd end, dirty = function() return false end }
  return #socket.select({ plain }, nil, 5) == 1
end

describe("the completion of a started call", function()
  local client

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    client = fixture.client()
  end)
  after_each(function() client:close() end)

  local function start() return client:start_balance "SGD" end

  -- Blocks until the started call is over, for it takes longer.
  local function block()
    local account = { ["x-on-behalf-of"] = sandbox.sub_account }
    sandbox.fault { kind = "delay", seconds = 0.2, match = account }
    return client:balance("USD", { on_behalf_of = sandbox.sub_account })
  end

  local function ends_well(call)
    assert.is_true(call:dirty())
    assert.equal(0, call:timeout())
    assert.is_true(call:step())
    assert.equal(10000, fixture.succeeded(call:result()).available_balance)
  end

  it("is seen if the descriptor is got after a blocking call", function()
    local call = start()
    fixture.succeeded(block())
    assert.is_true(readable(client:pollfd()))
    assert.is_true(readable(client:pollfd()))
    assert.is_true(readable(call:pollfd()))
    assert.is_true(readable(call:getfd()))
    ends_well(call)
  end)

  it("is seen if the descriptor was got before", function()
    local fd = client:pollfd()
    local call = start()
    fixture.succeeded(block())
    assert.is_true(readable(fd))
    ends_well(call)
  end)

  it("is seen after others have begun and ended", function()
    local fd = client:pollfd()
    local call = start()
    fixture.succeeded(block())
    local other = client:start_balance "USD"
    assert.is_true(readable(fd))
    other:cancel()
    assert.is_true(readable(fd))
    ends_well(call)
  end)

  it("is seen after a debug hook ended the blocking call", function()
    local fd = client:pollfd()
    local call = start()
    local armed = true
    debug.sethook(function()
      if not armed or not call:dirty() then return end
      armed = false
      error "stop it"
    end, "l")
    local ok, message = pcall(block)
    debug.sethook()
    assert.is_false(ok)
    assert.matches("stop it", message, 1, true)
    assert.is_true(readable(fd))
    ends_well(call)
  end)

  it("is seen after a step of another call ran out of memory", function()
    local fd = client:pollfd()
    -- the other's answer is no JSON: lua-cjson would lose memory by that
    sandbox.fault { kind = "html", match = { ["x-on-behalf-of"] = sandbox.sub_account } }
    local call, other = start(), client:start_balance("USD",
      { on_behalf_of = sandbox.sub_account, max_retries = 0 })
    while not (call:dirty() and other:dirty()) do client:step(1) end
    collectgarbage "stop"
    local _, ok = fork.starve(2, function() return other:step() end)
    collectgarbage "restart"
    assert.is_false(ok)
    assert.is_true(readable(fd))
    ends_well(call)
  end)
end)
