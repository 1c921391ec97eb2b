-- A batch that was made in the main thread and used in a coroutine could not yield in the
-- source of its queries, and lost what its `progress` had to tell. One that was closed
-- while its source yielded began another call.

local fixture = require "spec.support.fixture"

describe("a batch made in the main thread", function()
  local client

  fixture.with_client(function(made) client = made end)

  it("may yield in a coroutine", function()
    local given, n = { "USD", "SGD" }, 0
    local next_balance = client:batch(function()
      n = n + 1
      return coroutine.yield(given[n])
    end, { concurrency = 1 })
    local queries = {}
    local co = coroutine.wrap(function()
      local query = next_balance()
      while query do
        queries[#queries + 1] = query
        query = next_balance()
      end
      return "end"
    end)
    local query = co()
    while query ~= "end" do query = co(query) end
    assert.same(given, queries)
  end)

  it("begins no call when it was closed while its source yielded", function()
    local next_balance, _, _, closer = client:batch(coroutine.yield)
    local co = coroutine.wrap(function() return next_balance() end)
    co()
    getmetatable(closer).__close(closer)
    assert.is_nil((co "USD"))
    assert.equal(0, client:stats().calls)
  end)
end)
