-- An iterator that was used within a hook of one of its own calls waited for that call,
-- and so never ended: no timeout counts for a call that is being stepped. Or its loop
-- lacked items, or "attempt to index a nil value" was raised.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

local OWN = "a hook must not use the iterator that it runs for"
local WAITS = "this iterator waits for a page already, or an error has ended it"

describe("an iterator in a hook of its own call", function()
  local client, iterator, within, given_up

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    within, given_up = {}, false
    local function use()
      if not iterator or given_up then return end
      local ok, message = pcall(iterator)
      within[#within + 1] = ok or message
      given_up = not ok and message ~= OWN and message ~= WAITS
    end
    client = fixture.client { on_request = use, on_response = use }
    local ends = os.time() + 10
    debug.sethook(function()
      if os.time() < ends then return end
      ends = os.time() + 10
      error("it never ends", 0)
    end, "", 1000)
  end)
  after_each(function()
    debug.sethook()
    iterator = nil
    client:close()
  end)

  local function check(n)
    assert.equal(n, #within)
    for _, result in ipairs(within) do assert.equal(OWN, result) end
    assert.equal(0, client:stats().hook_errors)
  end

  it("is refused, and all of a batch comes", function()
    iterator = client:batch({ "USD", "SGD", "USD" }, { concurrency = 2 })
    for _ = 1, 3 do
      local _, balance, message = iterator()
      assert.is_truthy(balance, message)
    end
    assert.is_nil((iterator()))
    check(6)
  end)

  it("is refused while it steps a call for a page, and all items come", function()
    iterator = client:each_transaction { page_size = 10 }
    local items = 0
    for item, message in iterator do
      assert.is_truthy(item, message)
      items = items + 1
    end
    iterator = nil
    local seen = {}
    for _, result in ipairs(within) do seen[result] = (seen[result] or 0) + 1 end
    assert.is_true((seen[OWN] or 0) + (seen[WAITS] or 0) > 0)
    -- what came before the next page was asked for, a hook may have
    items = items + (seen[true] or 0)
    assert.equal(assert(client:transactions()).total_items, items)
  end)
end)

describe("a source that uses the iterator which asks it", function()
  it("takes no result from its loop", function()
    sandbox.start()
    sandbox.reset()
    local client, iterator = fixture.client(), nil
    local left, results = 6, 0
    iterator = client:batch(function()
      left = left - 1
      if left == 2 and iterator() then results = results + 1 end
      return left >= 0 and "USD" or nil
    end, { concurrency = 2 })
    for _, balance, message in iterator do
      assert.is_truthy(balance, message)
      results = results + 1
    end
    assert.equal(client:stats().succeeded, results)
    assert.is_true(results >= 3)
    client:close()
  end)
end)
