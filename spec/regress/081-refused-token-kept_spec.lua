-- A call keeps the token that was refused, to take it out of the next answer as well. It
-- kept it when it was over: until it was collected, or, if it blocked, until the client
-- was, though that had been closed.

local engine = require "engine"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("a token that was refused", function()
  -- Side by side only as the module's header block has them, with a NUL behind.
  local before, first, second = "x-auth-token: Bearer ", "refused5e27", "c0931b7a41"
  local function found() return engine.heap_count(before .. first, second .. "\0") end

  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  local function ask(act)
    local in_use
    local client = fixture.client {
      token = function(reason)
        return reason == "rejected" and sandbox.token or first .. second
      end,
      on_retry = function() in_use = found() end,
    }
    local kept = act(client)
    if in_use == 0 then pending "the heap of this process cannot be read" end
    assert.equal(0, found())
    client:close()
    return kept
  end

  it("is gone with the end of the call", function()
    ask(function(client) fixture.succeeded(client:balance "USD") end)
  end)

  it("is gone with the end of a call object", function()
    ask(function(client)
      local call = client:start_balance "USD"
      while not call:step() do client:step(1) end
      fixture.succeeded(call:result())
      return call
    end)
  end)

  it("is gone when the call is canceled", function()
    ask(function(client)
      sandbox.fault { kind = "hang", seconds = 30, match =
        { ["x-auth-token"] = "Bearer " .. sandbox.token } }
      local call = client:start_balance "USD"
      while call:attempts() < 2 do
        client:step(1)
        call:step()
      end
      call:cancel()
      fixture.failed("canceled", call:result())
      return call
    end)
    sandbox.reset()
  end)
end)
