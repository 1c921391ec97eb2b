-- A step that raised (out of memory, or a debug hook) behind the end of its call left the
-- call without a result but "the client was closed"; and any error was taken for a lack
-- of memory.

local fixture = require "spec.support.fixture"
local fork = require "fork"
local sandbox = require "spec.support.sandbox"

local unpack = table.unpack or unpack

local function pack(...) return { n = select("#", ...), ... } end

describe("an error raised in a step", function()
  local client

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    local function hook() end
    client = fixture.client {
      on_request = hook, on_response = hook, on_retry = hook, max_retries = 0,
    }
  end)
  after_each(function() client:close() end)

  -- Steps the call to its end, if it is not there. What it gives is the same when it is
  -- asked again, and the client's next call is well.
  local function results(call)
    while not call:step() do client:step(1) end
    local list = pack(call:result())
    assert.same(list, pack(call:result()))
    assert.equal(10000, fixture.succeeded(client:balance "SGD").available_balance)
    local stats = client:stats()
    assert.equal(stats.calls, stats.succeeded + stats.failed)
    return unpack(list, 1, list.n)
  end

  -- Steps calls that run out of memory at their first, second, ... allocation, until one
  -- does not. How many ended by that?
  local function starve(start, check)
    local ended = 0
    for n = 0, 300 do
      local call = start()
      client:step(5)
      collectgarbage "stop"
      local starved, ok, message = fork.starve(n, function() return call:step() end)
      collectgarbage "restart"
      if not ok then assert.matches("not enough memory", message, 1, true) end
      if not ok and call:done() then
        fixture.failed("memory", results(call))
        ended = ended + 1
      else
        check(results(call))
      end
      if not starved then return ended end
    end
    error "there was never memory enough"
  end

  it("for lack of memory ends a call that has an answer", function()
    local ended = starve(function() return client:start_balance "USD" end,
      fixture.succeeded)
    assert.is_true(ended > 3, ended)
  end)

  it("for lack of memory ends a call that has an error", function()
    local ended = starve(function()
      sandbox.fault { kind = "status", status = 503 }
      return client:start_balance "USD"
    end, function(...) fixture.failed("api", ...) end)
    assert.is_true(ended > 3, ended)
  end)

  it("by a debug hook cancels the call", function()
    local seen = {}
    for n = 1, 200 do
      local call = client:start_balance "USD"
      client:step(5)
      local calls, armed = 0, true
      local ok, message = pcall(function()
        debug.sethook(function()
          calls = calls + 1
          if armed and calls == n then error "stop it" end
        end, "c")
        call:step()
        armed = false
      end)
      armed = false
      debug.sethook()
      if not ok then assert.matches("stop it", message, 1, true) end
      if ok or not call:done() then
        fixture.succeeded(results(call))
      else
        local err = fixture.failed("canceled", results(call))
        assert.equal("canceled", err.retry_stopped)
        seen.canceled = true
      end
      if ok and calls < n then break end
    end
    -- LuaJIT calls no debug hook for a C function that C calls
    assert.is_true(seen.canceled or jit ~= nil)
  end)
end)
