-- Errors of a batch whose iterator may yield named a line of the module's own Lua file.

local fixture = require "spec.support.fixture"

describe("an error of a batch in a coroutine", function()
  local client

  fixture.with_client(function(made) client = made end)

  -- What a batch with `progress` raises in a coroutine, after a change behind its first
  -- result.
  local function raised(queries, change)
    local ok, message
    coroutine.wrap(function()
      local next_balance = client:batch(queries, {
        concurrency = 1, progress = function() end,
      })
      next_balance()
      change()
      for _ = 1, #queries do
        ok, message = pcall(next_balance)
        if not ok then return end
      end
    end)()
    return not ok and message
  end

  it("names no file of the module", function()
    local list = { "USD", "SGD", "USD" }
    assert.equal("queries[3] is nil: the list was changed", raised(list, function()
      list[3] = nil
    end))
    assert.equal("attempt to use a closed uqpay client", raised({ "USD", "SGD", "USD" },
      function() client:close() end))
  end)
end)
