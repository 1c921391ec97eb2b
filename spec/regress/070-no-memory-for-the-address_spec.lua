-- When there was no memory for the parsed address of a request, libcurl's or our copy,
-- the process crashed: the choice of the HTTP version used the missing address (NULL).

local child = require "spec.support.child"

describe("a request without memory for its address", function()
  it("fails with the kind memory, and the next one succeeds", function()
    child.run [[
      local scarce = require "scarce"
      local n, struck, failed = 0, nil, 0
      repeat
        local c = uqpay.new(options { client_id = false, api_key = false,
          token = sandbox.token, max_retries = 0 })
        scarce.deny(n)
        local balance, message, err = c:balance "USD"
        struck = scarce.grant()
        if not balance then
          failed = failed + 1
          assert(err.kind, message)
        end
        assert(c:balance "USD")
        c:close()
        n = n + 1
      until n == 40
      assert(failed == 40, failed)
    ]]
  end)
end)
