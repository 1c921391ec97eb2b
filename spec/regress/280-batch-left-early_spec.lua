-- A batch that was left early kept the lock of the token store when its first query had
-- been refused. If another of its calls was due by then, client:step did not wait any
-- more. And the call in whose hook the batch was closed was still returned.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

local function close(closer)
  getmetatable(closer).__close(closer)
end

describe("a batch that is left early", function()
  fixture.with_client(function() end)

  it("gives the lock of the token store back, whatever its first query was", function()
    sandbox.settings { hold = "token" }
    local held = false
    local client = fixture.client {
      token = false, client_id = sandbox.client_id, api_key = sandbox.api_key,
      token_store = {
        get = function() end,
        set = function() return true end,
        lock = function() held = true return true end,
        unlock = function() held = false end,
      },
    }
    local next_balance, _, _, closer = client:batch { "bad", "USD" }
    assert.equal("bad", (next_balance()))
    assert.is_true(held)
    close(closer)
    assert.is_false(held)
    client:close()
  end)

  it("has nothing to step", function()
    local client = fixture.client()
    sandbox.fault {
      kind = "delay", seconds = 0.3, match = { ["x-on-behalf-of"] = sandbox.sub_account },
    }
    local next_balance, _, _, closer = client:batch({
      "SGD", { currency = "USD", on_behalf_of = sandbox.sub_account },
    }, { concurrency = 2 })
    assert.equal("SGD", (next_balance()))
    assert.is_true(client:step(60)) -- the other call is due, and waits for next_balance
    assert.equal(0, client:timeout())
    close(closer)
    assert.is_false(client:step(0))
    assert.not_equal(0, client:timeout())
    client:close()
  end)

  it("in a hook of one of its calls returns none of them", function()
    local closer
    local client = fixture.client { on_response = function() close(closer) end }
    local batch = { client:batch({ "USD", "SGD" }, { concurrency = 2 }) }
    closer = batch[4]
    assert.is_nil((batch[1]()))
    client:close()
  end)
end)
