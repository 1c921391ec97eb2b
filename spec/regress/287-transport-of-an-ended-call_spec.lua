-- A finalizer that closed the client while the table of a request was made freed the
-- request's headers, which were read after that; and the program's transport was called
-- though the call had ended.

local finalizers = require "spec.support.finalizers"

describe("a finalizer that closes the client before its transport is called", function()
  it("ends the call, which sends nothing", function()
    local text = finalizers.run [[
      local uqpay = require "uqpay"
      local sent, unsent = 0, 0
      local n, ran = 0
      repeat
        n = n + 1
        local client, closed, requests = nil, false, 0
        client = uqpay.new {
          token = "token-of-the-program",
          transport = function(request)
            requests = requests + 1
            if closed and _VERSION ~= "Lua 5.2" then -- which collects as it enters this
              print("a request of a closed client", n)
            end
            if request.headers["x-auth-token"] ~= "Bearer token-of-the-program"
              or request.headers["content-type"] ~= "application/json" then
              print("headers", request.headers["x-auth-token"])
            end
            return nil, "tls", "no"
          end,
        }
        arm(n, function(number)
          if number == n then
            closed = true
            client:close()
          end
        end)
        local ok, _, _, err = pcall(client.balance, client, "USD")
        if not ok then err = { kind = "canceled" } end -- closed before the call began
        ran = disarm()
        if requests > 0 then
          sent = sent + 1
          assert(err.kind == "tls" or err.kind == "canceled", err.kind)
        else
          unsent = unsent + 1
          assert(err.kind == "canceled", err.kind)
        end
      until ran < n
      print(sent > 5 and unsent > 5)
    ]]
    assert.equal("true\n", text)
  end)
end)
