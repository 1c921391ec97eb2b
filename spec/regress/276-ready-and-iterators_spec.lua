-- client:ready() returned the hidden call with which a list iterator prefetches its next
-- page: a program that takes each call's result for a balance of its own failed.

local fixture = require "spec.support.fixture"

describe("client:ready", function()
  local client

  fixture.with_client(function(made) client = made end)

  it("does not return the calls of list iterators", function()
    local next_item = client:each_transaction { page_size = 10 }
    local items = next_item() and 1
    assert.is_true(client:stats().calls >= 2) -- the second page has been requested
    local call, seen = client:start_balance "USD", {}
    repeat
      client:step(1)
      for due in client.ready, client do
        seen[#seen + 1] = due
        due:step()
      end
    until call:done()
    assert.same({ call }, seen)
    assert.equal("USD", call:result().currency)
    for _ in next_item do items = items + 1 end
    assert.equal(client:transactions().total_items, items)
  end)
end)
