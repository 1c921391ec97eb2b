-- client:token() gave Lua the client's own copy of the token. A finalizer that runs as
-- the string is made may close the client, which wipes and frees that.

local finalizers = require "spec.support.finalizers"

describe("a finalizer", function()
  it("may close the client while it gives its token", function()
    local output = finalizers.run [[
      local uqpay = require "uqpay"
      local seen = {}
      for number = 1, 100 do
        local c = uqpay.new {
          token = ("secret"):rep(500), base_url = "https://127.0.0.1:1",
        }
        arm(number, function(n) if n == number then c:close() end end)
        local ok, token, message, err = pcall(c.token, c)
        local last = disarm()
        if ok and token then assert(token == ("secret"):rep(500)) end
        seen[not ok and token or token and "a token" or err.kind] = true
        if last < number then break end
      end
      for what in pairs(seen) do print(what) end
    ]]
    local allowed = { ["a token"] = true, canceled = true,
      ["attempt to use a closed uqpay client"] = true }
    for what in output:gmatch "[^\n]+" do
      assert.is_true(allowed[what], what)
      allowed[what] = true
    end
    assert.matches("a token", output)
  end)
end)
