-- HTTP:// in upper case passed for encrypted: the request, its token in clear, went to
-- the proxy of the options or of the environment.

local driver = require "spec.support.driver"
local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("HTTP:// in upper case", function()
  local proxy
  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    proxy = faulty.start { { read = true, close = true,
      send = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" } }
  end)
  after_each(function() proxy:stop() end)

  for _, scheme in ipairs { "HTTP", "Http", "hTTp" } do
    it("is refused with a proxy: " .. scheme, function()
      local url = sandbox.http_url:gsub("^http", scheme)
      local ok, message = pcall(uqpay.new, fixture.options { base_url = url,
        ca_file = false, proxy = proxy.url })
      assert.is_false(ok)
      assert.matches("'proxy'", message, 1, true)
      fixture.succeeded(fixture.client { base_url = url, ca_file = false }:balance "USD")
    end)

    it("does not go to the environment's proxy: " .. scheme, function()
      local code = [[
        local uqpay = require "uqpay"
        local client = uqpay.new { base_url = %q, token = %q, amounts = "string",
          max_retries = 0, timeout = 20 }
        local balance, message = client:balance "USD"
        print(balance and balance.available_balance or message)]]
      local text = driver.output(driver.command("env", "-u", "no_proxy", "-u", "NO_PROXY",
        "http_proxy=" .. proxy.url, "all_proxy=" .. proxy.url, "ALL_PROXY=" .. proxy.url,
        "LUA_CPATH=" .. package.cpath, os.getenv "UQPAY_LUA", "-e",
        code:format((sandbox.http_url:gsub("^http", scheme)), sandbox.token)) .. " 2>&1")
      assert.equal("5000.25\n", text)
      assert.same({}, proxy:requests())
    end)
  end
end)
