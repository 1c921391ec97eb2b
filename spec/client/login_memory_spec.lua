-- A login with a token store at each of its allocations: finalizers that run there use
-- the client, or there is no memory. Calls end as they may then, and the lock is given
-- back.

local child = require "spec.support.child"
local finalizers = require "spec.support.finalizers"
local sandbox = require "spec.sandbox.sandbox"

-- A store, and how often it was locked and unlocked.
local store = [[
  local held, token, ends
  local locks, unlocks = 0, 0
  local token_store = {
    get = function() return token, ends end,
    set = function(_, _, ...) token, ends = ... end,
    lock = function()
      if held then return false end
      held, locks = true, locks + 1
      return true
    end,
    unlock = function() held, unlocks = false, unlocks + 1 end,
  }
]]

-- Actions of finalizers, and the outcomes of a call then.
local acts = {
  ["close the client"] = { "c:close()", "a balance", "canceled",
    "attempt to use a closed uqpay client" },
  ["make calls"] = { "c:balance 'SGD'", "a balance" },
  ["begin calls"] = { "other = c:start_balance 'SGD'", "a balance" },
  ["cancel calls"] = { "if other then other:cancel() end", "a balance" },
  ["drop the token"] = { "c:invalidate_token()", "a balance", "auth" },
}

local calls = {
  blocking = "c:balance 'USD'",
  ["of an object"] = [[(function()
    local call = c:start_balance "USD"
    local late = os.time() + 60
    while not call:step() do assert(os.time() < late, "it never ends") end
    return call:result()
  end)()]],
}

describe("a login", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for name, act in pairs(acts) do
    for style, call in pairs(calls) do
      it("survives finalizers that " .. name .. ", " .. style, function()
        local output = finalizers.run(store .. ([[
          local uqpay = require "uqpay"
          local last, seen = 0, {}
          for number = 1, 400 do
            token, ends = nil, nil
            local c = uqpay.new { base_url = %q, client_id = %q, api_key = %q,
              token_store = token_store }
            local other = number %% 2 == 0 and c:start_balance "USD" or nil
            arm(number, function(n)
              if n == number then pcall(function() %s end) end
            end)
            local ok, balance, _, err = pcall(function() return %s end)
            last = disarm()
            seen[not ok and balance:match "[^:]+$":match "^ ?(.*)" or err and err.kind
              or "a balance"] = true
            other = nil
            c:close()
            assert(not held)
            if last < number then break end
          end
          assert(locks == unlocks and last > 8, last)
          for how in pairs(seen) do print(how) end
        ]]):format(sandbox.http_url, sandbox.client_id, sandbox.api_key, act[1], call))
        for how in output:gmatch "[^\n]+" do
          local expected = false
          for n = 2, #act do expected = expected or act[n] == how end
          assert.is_true(expected, how)
        end
      end)
    end
  end

  it("without memory leaves no lock, and the next call succeeds", function()
    child.run(store .. [[
      local fork = require "fork"
      local starved, n = true, 0
      while starved do
        token, ends = nil, nil
        local c = uqpay.new(options { token_store = token_store })
        local ok, result
        starved, ok, result = fork.starve(n, function() return c:balance "USD" end)
        if starved then
          assert(not ok and result == "not enough memory", result)
        else
          assert(ok and result)
        end
        collectgarbage()
        assert(not held)
        assert(c:balance "USD")
        n = n + 1
      end
      assert(n > 10 and locks == unlocks)
    ]])
  end)
end)
