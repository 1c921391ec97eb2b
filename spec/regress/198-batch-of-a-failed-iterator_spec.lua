-- A batch whose function gives false and a message, as iterators do with
-- on_error = "return", took the false for an invalid query, and dropped the message.

local fixture = require "spec.support.fixture"

describe("a batch whose function returns false and a message", function()
  local client

  fixture.with_client(function(made) client = made end)

  it("raises the message, as for nil and a message", function()
    for _, none in ipairs { "false", "nil" } do
      local n = 0
      local function next_query()
        n = n + 1
        assert.is_true(n < 5)
        if n == 1 then return "USD" end
        if none == "nil" then return nil, "no accounts" end
        return false, "no accounts"
      end
      local ok, message = pcall(function()
        for _ in client:batch(next_query) do n = n + 10 end
      end)
      assert.is_false(ok)
      assert.matches("no accounts", message, 1, true)
    end
  end)

  it("passes on what an iterator over accounts fails with", function()
    local next_account = client:each_account { page_size = 200, on_error = "return" }
    local ok, message = pcall(function()
      for _ in client:batch(function()
        local account, why, err = next_account()
        if not account then return account, why, err end
        return { currency = "USD", on_behalf_of = account.account_id }
      end, { concurrency = 1 }) do error "there is none" end
    end)
    assert.is_false(ok)
    assert.matches("page_size", message, 1, true)
  end)

  it("treats a single false as an invalid query", function()
    local given = { "USD", false }
    local n, failed = 0, 0
    for _, balance, _, err in client:batch(function()
      n = n + 1
      return given[n]
    end) do
      if not balance then
        failed = failed + 1
        assert.equal("invalid_request", err.kind)
      end
    end
    assert.equal(1, failed)
  end)
end)
