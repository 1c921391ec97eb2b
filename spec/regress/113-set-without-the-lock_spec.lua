-- A login that began within the store's `set` of another one was made without the store's
-- lock: the client held that still, and released it before the second one set its token.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"

describe("a login begun within a function of the token store", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, name in ipairs { "set", "unlock" } do
    it("has the lock when it sets its token: " .. name, function()
      child.run(([[
        local client, held, second, seen = nil, false, nil, {}
        local within = %q
        local function note(name, good)
          seen[#seen + 1] = good and name or name .. " without the lock"
          if name ~= within or second then return end
          client:invalidate_token()
          second = client:start_balance "USD"
        end
        client = uqpay.new(options { max_retries = 0, token_store = {
          get = function() return nil end,
          lock = function()
            if held then return false end
            held = true
            return true
          end,
          set = function()
            note("set", held)
            return true
          end,
          unlock = function()
            local had = held
            held = false
            note("unlock", had)
            return true
          end,
        } })
        local first = client:start_balance "USD"
        wait_until(function() return first:step() and second and second:step() end,
          function() client:step(0.01) end)
        assert(second:result())
        same("set unlock set unlock", table.concat(seen, " "))
      ]]):format(name))
    end)
  end
end)
