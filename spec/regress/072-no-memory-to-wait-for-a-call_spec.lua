-- A batch, or the next page of a list, that had no memory to wait for its call left half
-- of that behind: the client's next batch failed with "attempt to index field 'calls'".

local child = require "spec.support.child"

describe("a batch without memory", function()
  it("fails with that only, and the next one succeeds", function()
    child.run [[
      local fork = require "fork"
      local function batch(c)
        local n = 0
        for _, balance, message in c:batch { "USD", "USD", "USD" } do
          n = n + (balance and 1 or error(message))
        end
        return n
      end
      local first = uqpay.new(options())
      same(3, batch(first))
      local n, starved, ok, result = 0, nil, nil, nil
      repeat
        local c = uqpay.new(options { client_id = false, api_key = false,
          token = sandbox.token })
        starved, ok, result = fork.starve(n, function() return batch(c) end)
        if ok then
          same(3, result)
        else
          assert(starved and result:find("not enough memory", 1, true), result)
        end
        same(3, batch(c))
        c:close()
        n = n + 1
      until not starved
      assert(n > 10)
    ]]
  end)
end)
