-- A call of a batch could be lost for ever: one that became ready while another of them
-- was stepped, in whose hook a second batch waited.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("a batch in a hook of a batch's call", function()
  setup(function() sandbox.start() end)

  it("takes no call from it", function()
    local client, deep, ended = nil, 0, 0
    local function all()
      for _, balance in client:batch { "SGD", "USD" } do
        assert.is_nil(balance)
        ended = ended + 1
      end
    end
    client = fixture.client {
      base_url = "https://127.0.0.1:1/api", max_retries = 1,
      on_retry = function()
        deep = deep + 1
        if deep <= 3 then all() end
      end,
    }
    local ends = os.time() + 30
    debug.sethook(function()
      if os.time() > ends then error("it never ends", 0) end
    end, "", 100)
    finally(function() debug.sethook() end)
    fixture.failed("connect", client:balance "USD")
    assert.equal(6, ended)
    assert.equal(0, client:stats().hook_errors)
    client:close()
  end)
end)
