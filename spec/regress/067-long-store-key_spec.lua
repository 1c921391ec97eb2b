-- A base_url and client_id, each as long as uqpay.new takes them, made a key that was too
-- long for the file store: every call failed.

local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("the key of a file store", function()
  setup(function() sandbox.start() end)

  it("may be the longest that a client has", function()
    local folder = driver.directory "long"
    local store = uqpay.file_store(folder .. "/tokens")
    local host = "https://127.0.0.1:1/" -- where no server listens
    local base_url = host .. ("a"):rep(1024 - #host)
    local client_id = ("c"):rep(512)
    local key = base_url .. " " .. client_id
    assert.is_true(store:set(key, sandbox.token, os.time() + 1000))
    local client = uqpay.new(fixture.options { token = false, base_url = base_url,
      client_id = client_id, api_key = "k", token_store = store })
    assert.equal(sandbox.token, (client:token()))
    client:invalidate_token()
    -- locked, looked at, and a login tried
    fixture.failed("connect", client:token { max_retries = 0 })
    assert.is_true(store:lock(key))
    assert.same({ sandbox.token }, { (store:get(key)) })
    os.execute(driver.command("rm", "-rf", folder))
  end)
end)
