-- libcurl quotes a proxy that it cannot use, its password, too, and so our messages did.
-- `new` refuses such a proxy now; one of the environment is not quoted.

local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

local unusable = {
  "ftp://user:secretpw@127.0.0.1:1", "http://user:secretpw@127.0.0.1:999999",
  "http://user:secret pw@127.0.0.1:1", "http://user:secretpw@127.0.0.1 :1",
  "user:secretpw@:://", "http://user:secretpw@[::1", "http://user:secretpw@",
  "secretpw://user:secretpw@127.0.0.1:1", "http://user:secretpw@127.0.0.1:port",
}

-- These are valid, but no server is there.
local usable = {
  "http://user:secretpw@127.0.0.1:1", "user:secretpw@127.0.0.1:1",
  "socks5://user:secretpw@127.0.0.1:1", "socks5h://user:secretpw@127.0.0.1:1",
  "https://user:secretpw@127.0.0.1:1",
}

local function check(text)
  assert.is_nil(text:find("secret", 1, true), text)
end

describe("a proxy's password", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("is not in what refuses the option", function()
    for _, proxy in ipairs(unusable) do
      local ok, message = pcall(uqpay.new, fixture.options { proxy = proxy })
      assert.is_false(ok, proxy)
      assert.matches("'proxy'", message, 1, true)
      check(message)
    end
  end)

  it("is not in the errors of an option that was taken", function()
    for _, proxy in ipairs(usable) do
      local text = ""
      local function note(list)
        for name, value in pairs(list) do text = text .. name .. tostring(value) end
      end
      local client = fixture.client { proxy = proxy, max_retries = 1, on_request = note,
        on_response = note, on_retry = note }
      local balance, _, err = client:balance "USD"
      assert.is_nil(balance)
      note(err)
      check(text .. tostring(client))
    end
    assert.equal(0, #sandbox.requests())
  end)

  local code = [[
    local uqpay = require "uqpay"
    local function note(list)
      for name, value in pairs(list) do print(name, value) end
    end
    local ok, client = pcall(uqpay.new, { base_url = %q, ca_file = %q, token = %q,
      max_retries = 1, retry_delay = 0, timeout = 20, on_request = note,
      on_response = note, on_retry = note })
    if not ok then return print(client) end
    local balance, message, err = client:balance "USD"
    print(client, message)
    if err then note(err) end
    print "end"
  ]]

  it("is in no word that the environment's proxy leads to", function()
    local child = code:format(sandbox.url, sandbox.ca_file, sandbox.token)
    for _, list in ipairs { unusable, usable } do
      for _, proxy in ipairs(list) do
        local text = driver.output(driver.command("env", "-u", "no_proxy", "-u",
          "NO_PROXY", "https_proxy=" .. proxy, "LUA_CPATH=" .. package.cpath,
          os.getenv "UQPAY_LUA", "-e", child) .. " 2>&1")
        assert.matches("end\n$", text)
        check(text)
        assert.is_truthy(list == unusable or text:find "kind\tconnect", text)
      end
    end
  end)
end)
