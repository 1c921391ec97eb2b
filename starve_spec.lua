local child = require "spec.support.child"
local sandbox = require "spec.support.sandbox"
describe("memory", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)
  for style = 1, 2 do
  it("x" .. style, function()
    print(child.run("local style = styles[" .. style .. "]" .. [[
      local fork = require "fork"
      local held, locks, unlocks = false, 0, 0
      local stored, ends
      local token_store = {
        get = function() return stored, ends end,
        set = function(_, t, e) stored, ends = t, e end,
        lock = function() if held then return false end held = true locks = locks + 1 return true end,
        unlock = function() held = false unlocks = unlocks + 1 end,
      }
      local n, oks, fails, stuck = 0, 0, 0, 0
      local kinds = {}
      while true do
        stored, ends = nil, nil
        local c = uqpay.new(options { token_store = token_store, on_request = function() end })
        local list = times(2)
        local got, ok, result = fork.starve(n, function()
          local balance, message, err = c:balance "USD"
          return balance or err and err.kind or message
        end)
        if ok and type(result) == "table" then oks = oks + 1 else fails = fails + 1; kinds[tostring(result)] = (kinds[tostring(result)] or 0) + 1 end
        if held then stuck = stuck + 1 collectgarbage() collectgarbage() assert(not held, n) end
        local balance, message = c:balance "USD"
        assert(balance, message)
        if not got then break end
        n = n + 1
      end
      for k, v in pairs(kinds) do print(k, v) end
      print(n, oks, fails, "stuck", stuck, locks, unlocks, held)
    ]]))
  end)
  end
end)
