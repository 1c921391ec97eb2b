-- Without memory to check base_url or proxy, a client's making called them bad; and an
-- address with a user and password passed if there was none to see them by.

local child = require "spec.support.child"

describe("a client made without memory to check", function()
  local function check(options, expected)
    child.run(([[
      local scarce = require "scarce"
      local given, expected = options(%s), %q
      assert(uqpay.new(options()))
      local n, struck = 0, nil
      repeat
        scarce.deny(n)
        local ok, made = pcall(uqpay.new, given)
        struck = scarce.grant()
        if expected ~= "" then -- how libcurl handles it without memory is not our concern
          assert(not ok and (struck or made:find(expected, 1, true)), made)
        elseif struck and not ok then
          assert(made:find("not enough memory", 1, true), made)
        else
          assert(ok, made)
        end
        n = n + 1
      until not struck
      assert(n > 4)
    ]]):format(options, expected))
  end

  it("says so, and does not blame its base_url", function() check("", "") end)
  it("says so, and does not blame its proxy", function()
    check([[{ base_url = sandbox.url, proxy = "socks5h://127.0.0.1:1" }]], "")
  end)
  it("never takes an address with a password", function()
    check([[{ base_url = "https://user:word@127.0.0.1/api" }]],
      "it must not contain a user or password")
  end)
end)
