-- An account of a seed that was named "token", "api_key" or "url" took the place of the
-- sandbox's own: clients could not log in, and the command exported wrong variables.

local cjson = require "cjson"
local driver = require "spec.support.driver"
local testing = require "uqpay.testing"

local launcher = driver.here .. "/../../src/bin/uqpay-sandbox"

local names = {
  "token", "api_key", "client_id", "url", "control", "pid", "exports", "ca_file",
  "sub_account", "short_sub_account", "my_token",
}

local function seed()
  local accounts = {}
  for n, name in ipairs(names) do
    accounts[n] = { name = name, id = ("%08x-0000-4000-8000-000000000000"):format(n) }
  end
  return { balances = { USD = "5.00" }, accounts = accounts }
end

describe("accounts named like a fact of the sandbox", function()
  it("do not take its place within a process", function()
    local sandbox = testing.sandbox(seed())
    assert.matches("^eyJ", sandbox.token)
    assert.is_nil(sandbox.my_token)
    local client = sandbox:client()
    finally(function() client:close() end)
    assert.equal("table", type(client:balance "USD"))
    client:close()
    client = sandbox:client { token = sandbox.token }
    assert.equal("table", type(client:balance "USD"))
  end)

  it("do not take its place in what the command prints", function()
    local dir = driver.directory "named-like-facts"
    local file = dir .. ".json"
    local handle = assert(io.open(file, "w"))
    handle:write(cjson.encode(seed()))
    handle:close()
    finally(function()
      driver.output(driver.command("sh", launcher, "stop", dir))
      os.remove(file)
    end)
    local text = driver.output(driver.command("sh", launcher, "start", dir, "--plain",
      "--seed", file) .. " 2>&1")
    assert.matches("UQPAY_BASE_URL='http://127.0.0.1:%d+/api'\n", text)
    assert.matches("UQPAY_CA_FILE=''\n", text)
    assert.matches("UQPAY_CLIENT_ID='sandbox%-client%-%x+'\n", text)
    assert.matches("UQPAY_API_KEY='[%w_-]+'\n", text)
    assert.not_matches("UQPAY_API_KEY='%x+%-%x+%-%x+%-%x+%-%x+'\n", text)
    assert.matches("UQPAY_TOKEN='eyJ[%w._-]+'\n", text)
    assert.matches("UQPAY_SANDBOX_CONTROL='http://127.0.0.1:%d+'\n", text)
    local lines = {}
    for name, value in driver.content(dir .. "/env"):gmatch "([%w_]+)=([^\n]*)" do
      assert.is_nil(lines[name], name)
      lines[name] = value
    end
    assert.matches("^%d+$", lines.pid)
    assert.equal("0000000b-0000-4000-8000-000000000000", lines.my_token)
  end)
end)
