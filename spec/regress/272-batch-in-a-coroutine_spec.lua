-- Without an event loop the functions that a batch is given, the source of its queries
-- and `progress`, could not yield to the program's own coroutines any more: "attempt to
-- yield across a C-call boundary".

local fixture = require "spec.support.fixture"

describe("a batch in a coroutine of the program's own", function()
  local client

  fixture.with_client(function(made) client = made end)

  -- What the coroutine yields, and `end` behind it.
  local function run(f)
    local co, yielded = coroutine.create(f), {}
    repeat
      local ok, value = coroutine.resume(co)
      assert.is_true(ok, value)
      yielded[#yielded + 1] = value
      assert.is_true(#yielded < 20)
    until coroutine.status(co) == "dead"
    return yielded
  end

  -- The queries in order; no `for` loop, whose iterator cannot yield on Lua 5.1.
  local function queries_of(next_balance)
    local queries, query = {}, next_balance()
    while query do
      queries[#queries + 1] = query
      query = next_balance()
    end
    return table.concat(queries, " ")
  end

  it("takes queries from a function that yields", function()
    local given = { "USD", "SGD", "USD" }
    local n = 0
    local yielded = run(function()
      return queries_of(client:batch(function()
        n = n + 1
        coroutine.yield(n)
        return given[n]
      end, { concurrency = 1 }))
    end)
    assert.same({ 1, 2, 3, 4, "USD SGD USD" }, yielded)
  end)

  it("tells its progress to a function that yields", function()
    if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
      return pending "its pcall cannot be yielded across"
    end
    local yielded = run(function()
      return queries_of(client:batch({ "USD", "SGD" }, { concurrency = 1,
        progress = function(info) coroutine.yield(info.done) end }))
    end)
    assert.same({ 1, 2, "USD SGD" }, yielded)
    assert.equal(0, client:stats().hook_errors)
  end)

  it("counts what that function raises", function()
    run(function()
      return queries_of(client:batch({ "USD", "SGD" }, {
        progress = function() error "the terminal is gone" end }))
    end)
    assert.equal(2, client:stats().hook_errors)
  end)

  it("stops at an error of the source", function()
    local n = 0
    run(function()
      local next_balance = client:batch(function()
        n = n + 1
        if n == 2 then error "no more of them" end
        return "USD"
      end)
      local ok, why = pcall(next_balance)
      assert.is_false(ok)
      assert.matches("no more of them", why, 1, true)
      assert.equal("USD", (next_balance()))
      assert.is_nil((next_balance()))
    end)
    assert.equal(2, n)
  end)
end)
