-- A call that was about to step the login did not count as its waiter. When a collection
-- came just then (Lua 5.1 allocates there) and collected another call, the login was
-- ended, and the first call failed.

local finalizers = require "spec.support.finalizers"
local sandbox = require "spec.sandbox.sandbox"

describe("a login with the lock of a store", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("continues for a call within whose steps another is collected", function()
    finalizers.run(([[
      local uqpay = require "uqpay"
      local token, ends
      local store = {
        get = function() return token, ends end,
        set = function(_, _, ...) token, ends = ... end,
        lock = function() return true end, unlock = function() end,
      }
      for number = 1, 200 do
        token, ends = nil, nil
        local c = uqpay.new { client_id = %q, api_key = %q, base_url = %q,
          token_store = store }
        local collected = false
        arm(number, function(n) -- a call that is refused, and garbage at once
          if n == number then collected = pcall(c.balance, c, "USD") end
        end)
        local balance, message = c:balance "SGD"
        local last = disarm()
        assert(balance, message)
        assert(collected or last < number)
        if last < number then break end
      end
    ]]):format(sandbox.client_id, sandbox.api_key, sandbox.http_url))
  end)
end)
