-- A token function that ran out of memory was reported with the kind `auth`, as if the
-- token were wrong.

local child = require "spec.support.child"

describe("a token function without memory", function()
  it("is not blamed on the token", function()
    child.run [[
      local fork = require "fork"
      local function token()
        local list = {}
        for n = 1, 20 do list[n] = { n } end
        return sandbox.token
      end
      local n, starved, raised = 0, nil, 0
      repeat
        local c = uqpay.new(options { client_id = false, api_key = false, token = token })
        local ok, result
        starved, ok, result = fork.starve(n, function()
          local balance, _, err = c:balance "USD"
          return balance and "good" or err.kind
        end, 2) -- one that fails may be healed by a collection
        if ok then
          assert(result == "good" or result == "memory", result)
        else
          assert(result:find("not enough memory", 1, true), result)
          raised = raised + 1
        end
        c:close()
        n = n + 1
      until not starved
      assert(raised > 20, raised)
    ]]
  end)
end)
