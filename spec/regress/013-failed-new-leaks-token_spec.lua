-- A `new` that was refused for an option read after the token never freed, nor wiped, the
-- token. Under the leak sanitizer the child's exit status tells, else its growth.

local driver = require "spec.support.driver"

local code = [[
  local uqpay = require "uqpay"
  local token = ("t"):rep(8192)
  local bad = {
    { base_url = "https://127.0.0.1", environment = "sandbox" },
    { base_url = "ftp://127.0.0.1" },
    { base_url = "http://192.0.2.1" },
    { base_url = "HTTP://127.0.0.1", proxy = "http://127.0.0.1:1" },
  }
  local function resident()
    collectgarbage()
    collectgarbage()
    local file = io.open "/proc/self/status"
    local size = file and file:read "*a":match "VmRSS:%s*(%d+)" or 0
    if file then file:close() end
    return tonumber(size)
  end
  local function refused(count)
    for n = 1, count do
      local options = bad[n % #bad + 1]
      options.token = token
      assert(not pcall(uqpay.new, options))
      if n % 200 == 0 then collectgarbage() end
    end
  end
  refused(400)
  local before = resident()
  refused(4000)         -- 32 MB of tokens
  print(resident() - before)
]]

describe("a new that is refused", function()
  it("gives back the token it had read", function()
    local text = driver.output(driver.command("env", "LUA_CPATH=" .. package.cpath,
      os.getenv "UQPAY_LUA", "-e", code) .. " 2>&1; echo \"exit $?\"")
    local grown, status = text:match "^(%-?%d+)\nexit (%d+)\n$"
    assert.equal("0", status, text)
    -- a sanitizer or valgrind keeps freed memory for a while
    if (os.getenv "UQPAY_WRAP" or "") == "" then
      assert.is_true(tonumber(grown) < 8192, grown)
    end
  end)
end)
