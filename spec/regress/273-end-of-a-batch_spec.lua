-- The iterator of a batch returned nothing at all at its end, not nil, so that
-- print(next_balance()) raised an error; and a list that had lost an item went on behind
-- the error that says so.

local fixture = require "spec.support.fixture"

describe("the end of a batch", function()
  local client

  fixture.with_client(function(made) client = made end)

  it("is nil", function()
    local next_balance = client:batch { "USD" }
    assert.equal("USD", (next_balance()))
    for _ = 1, 2 do
      assert.equal(1, select("#", next_balance()))
      assert.equal("nil", tostring(next_balance()))
    end
  end)

  it("comes behind the error of a list that was changed", function()
    local list = { "USD", "USD", "SGD", "USD" }
    local next_balance = client:batch(list, { concurrency = 1 })
    assert.equal("USD", (next_balance()))
    list[3] = nil
    local failures, given = 0, 1
    for _ = 1, 4 do
      local ok, query = pcall(next_balance)
      if not ok then failures = failures + 1 end
      if ok and query then given = given + 1 end
    end
    assert.equal(1, failures)
    assert.equal(2, given)
    assert.equal(2, client:stats().calls)
  end)
end)
