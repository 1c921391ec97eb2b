local finalizers = require "spec.support.finalizers"
local sandbox = require "spec.support.sandbox"
describe("finalizers", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)
  local acts = { close = "c:close()", call = "c:balance 'SGD'", token = "c:invalidate_token()", start = "others[#others + 1] = c:start_balance 'SGD'", cancel = "if others[1] then others[1]:cancel() end" }
  for name, act in pairs(acts) do
   for _, style in ipairs { "blocking", "object" } do
    it(name .. " " .. style, function()
      local out = finalizers.run(([[
        local uqpay = require "uqpay"
        local seen = {}
        local locks, unlocks = 0, 0
        for number = 1, 400 do
          local held, token, ends = false
          local others = {}
          local c
          c = uqpay.new { base_url = %q, client_id = %q, api_key = %q, retry_delay = 0.001, timeout = 10,
            on_request = function() end, on_response = function() end,
            token_store = { get = function() return token, ends end, set = function(_, t, e) token, ends = t, e end,
              lock = function() if held then return false end held = true locks = locks + 1 return true end,
              unlock = function() held = false unlocks = unlocks + 1 end } }
          if number %% 2 == 0 then others[1] = c:start_balance "USD" end
          local inside
          arm(number, function(n) if n == number and not inside then inside = true pcall(function() %s end) end end)
          local ok, value, message, err
          if %q == "blocking" then
            ok, value, message, err = pcall(c.balance, c, "USD")
          else
            ok, value, message, err = pcall(function()
              local call = c:start_balance "USD"
              local e = os.time() + 20
              while not call:step() do assert(os.time() < e, "hang") end
              return call:result()
            end)
          end
          local last = disarm()
          local what = not ok and tostring(value) or type(value) == "table" and "balance" or (err.kind .. " " .. message:sub(1, 60))
          seen[what] = (seen[what] or 0) + 1
          others = nil
          c:close()
          collectgarbage() collectgarbage()
          assert(not held)
          if last < number then print("allocations", number) break end
        end
        for what, n in pairs(seen) do print(n, what) end
        print(locks, unlocks)
      ]]):format(sandbox.http_url, sandbox.client_id, sandbox.api_key, act, style))
      print(name, style, out)
    end)
   end
  end
end)
