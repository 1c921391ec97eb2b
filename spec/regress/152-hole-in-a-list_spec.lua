-- client:batch dropped the queries behind a hole, and all of a table with names;
-- uqpay.sum took a missing amount for zero.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("a list with a hole", function()
  local client
  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    client = fixture.client()
  end)
  after_each(function() client:close() end)

  local function refused(text, list)
    for _, case in ipairs {
      { "queries", function() client:batch(list) end },
      { "list", function() uqpay.sum(list) end },
    } do
      local ok, message = pcall(case[2])
      assert.is_false(ok)
      assert.is_truthy(message:find(case[1] .. text, 1, true), message)
    end
  end

  it("is an error at once that names its place", function()
    refused("[1] is nil", { nil, "1" })
    refused("[2] is nil", { "1", nil, "3" })
    refused("[2] is nil", { {}, nil, {} })
    local list = { "1", "2", "3", "4", "5", "6", "7", "8" }
    list[4] = nil
    refused("[4] is nil", list)
    list[4], list[1], list[2] = "4", nil, nil
    refused("[1] is nil", list)
    list = {}
    for n = 1, 100 do list[n] = "1" end
    for n = 50, 99 do list[n] = nil end
    refused("[50] is nil", list)
    refused("[2] is nil", { "1", [2 ^ 53] = "2" })
    assert.equal(0, #sandbox.requests())
  end)

  it("is refused as one with names, other numbers, or inherited elements", function()
    refused(": a list expected, but it has the key 'currency'", { currency = "USD" })
    refused(": a list expected, but it has the key 'x y'", { "1", ["x\ny"] = "2" })
    refused(": a list from 1 on expected, but it has the key 0", { [0] = "0", "1" })
    refused(": a list from 1 on expected, but it has the key -1", { "1", [-1] = "0" })
    refused(": a list from 1 on expected, but it has the key 1.5", { "1", [1.5] = "0" })
    refused(": a list expected, but it has a boolean as a key", { "1", [true] = "2" })
    refused(": a list without __index expected",
      setmetatable({ "1" }, { __index = { "1", "2" } }))
  end)

  it("is not what it says its length is", function()
    local short = setmetatable({ "USD", "SGD" }, { __len = function() return 1 end })
    local n = 0
    for _, balance in client:batch(short) do
      assert.is_truthy(balance)
      n = n + 1
    end
    assert.equal(2, n)
  end)

  it("raises if it comes about during the batch", function()
    local list = { "USD", "SGD", "USD" }
    local iterator = client:batch(list, { concurrency = 1 })
    list[3] = nil
    local results, errors = 0, {}
    for _ = 1, 5 do
      local ok, query, balance = pcall(iterator)
      if not ok then errors[#errors + 1] = query end
      results = results + (ok and balance and 1 or 0)
    end
    assert.equal(2, results)
    assert.same({ "queries[3] is nil: the list was changed" }, errors)
  end)
end)
