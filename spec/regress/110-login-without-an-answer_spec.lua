-- All later calls waited for a login whose answer was lost, and each of them extended its
-- limit: none of them ever got a token.

local fixture = require "spec.support.fixture"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"
local styles = require "spec.support.styles"

local failed, succeeded = fixture.failed, fixture.succeeded
local unpack = table.unpack or unpack

-- An attempt of a login of these clients may take a quarter of a second.
local function options(changes)
  local all = { token = false, client_id = sandbox.client_id, api_key = sandbox.api_key,
    base_url = sandbox.http_url, timeout = 0.3 }
  for name, value in pairs(changes or {}) do all[name] = value end
  return fixture.options(all)
end

local function logins() return sandbox.counts().endpoints.token or 0 end

local function hang(times)
  sandbox.fault { kind = "hang", endpoint = "token", times = times }
end

for _, style in ipairs(styles) do
  describe("a login without an answer, " .. style.name .. ",", function()
    setup(function() sandbox.start() end)
    before_each(function() sandbox.reset() end)

    it("is made again within the calls that wait for it", function()
      hang(1)
      for _, result in ipairs(style.all(style.new(options()), {
        { "balance", "USD", { timeout = 60 } }, { "token", { timeout = 60 } },
      })) do
        assert.is_truthy(result[1], result[2])
      end
      assert.equal(2, logins())
    end)

    it("fails the calls that have no more time, and no later one", function()
      hang(1)
      local c = style.new(options { max_retries = 0 })
      local result = style.all(c, { { "balance", "USD" } })[1]
      local err = failed("timeout", unpack(result, 1, 3))
      assert.matches("^login failed: ", err.message)
      assert.equal("token", err.endpoint)
      assert.is_true(err.retryable)
      succeeded(unpack(style.all(c, { { "balance", "USD", { timeout = 60 } } })[1]))
      assert.equal(2, logins())
    end)

    it("is made again when a token is renewed", function()
      local c = style.new(options())
      succeeded(unpack(style.all(c, { { "balance", "USD", { timeout = 60 } } })[1]))
      sandbox.expire_minted()
      hang(1)
      succeeded(unpack(style.all(c, { { "balance", "USD", { timeout = 60 } } })[1]))
      assert.equal(3, logins())
    end)

    it("has the token store looked into before it is made again", function()
      local token
      local store = {
        get = function() return token end, set = function() return true end,
        lock = function() return true end, unlock = function() return true end,
      }
      hang(9)
      local c = style.new(options { token_store = store, on_retry = function(info)
        if info.endpoint == "token" then token = sandbox.token end
      end })
      succeeded(unpack(style.all(c, { { "balance", "USD", { timeout = 60 } } })[1]))
      assert.equal(1, logins())
    end)
  end)
end

describe("the limit of a login's attempt", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("is not moved by calls that come later", function()
    hang(1)
    local uqpay = require "uqpay"
    local c = uqpay.new(options())
    local calls, first = {}, c:start_balance("USD", { timeout = 60 })
    repeat
      calls[#calls + 1] = c:start_balance("USD", { timeout = 60 })
      c:step(0.05)
    until first:step()
    succeeded(first:result())
    for _, call in ipairs(calls) do
      while not call:step() do c:step(1) end
      succeeded(call:result())
    end
    assert.equal(2, logins())
  end)

  it("is the client's, whatever the first call's timeout is", function()
    sandbox.settings { hold = "token" }
    local c = fixture.client { token = false, client_id = sandbox.client_id,
      api_key = sandbox.api_key, base_url = sandbox.http_url, timeout = 60 }
    failed("timeout", c:balance("USD", { timeout = 0.2 }))
    failed("timeout", c:balance("USD", { timeout = 0.2 }))
    sandbox.settings { hold = "" }
    succeeded(c:balance "USD")
    assert.equal(1, logins())
  end)

  it("grows for a server that is slow, and stays so", function()
    sandbox.fault { kind = "delay", seconds = 1, endpoint = "token", times = 9 }
    local c = fixture.client { token = false, client_id = sandbox.client_id,
      api_key = sandbox.api_key, base_url = sandbox.http_url, timeout = 0.8 }
    succeeded(c:balance("USD", { timeout = 60 }))
    local before = logins()
    assert.is_true(before > 1)
    c:invalidate_token()
    succeeded(c:balance("USD", { timeout = 60 }))
    assert.equal(before + 1, logins())
    sandbox.reset()
  end)
end)

describe("a login over a connection of HTTP/2 that has died", function()
  local relay

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    relay = relays.start(sandbox.url)
  end)
  after_each(function() relay:stop() end)

  it("goes over another one", function()
    local c = fixture.client { token = false, client_id = sandbox.client_id,
      api_key = sandbox.api_key, base_url = relay.url, http_version = "2",
      timeout = 0.3 }
    succeeded(c:balance("USD", { timeout = 60 }))
    relay:order "strand"
    c:invalidate_token()
    succeeded(c:balance("USD", { timeout = 60 }))
    assert.equal(2, relay:order "total")
    c:close()
  end)
end)
