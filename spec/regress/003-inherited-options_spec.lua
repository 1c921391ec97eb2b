-- Inherited options of a table were not read: an inherited on_behalf_of was dropped and
-- the master account's balance came back. And an __index function, called for one option,
-- could close the client while its options were read. Such tables are refused now.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("an option table that inherits", function()
  local asked
  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    asked = 0
  end)

  local function inheriting(own, parent)
    return setmetatable(own, { __index = parent })
  end

  local function refused(method, ...)
    local ok, message = pcall(...)
    assert.is_false(ok)
    assert.matches("__index", message, 1, true)
    assert.matches("'" .. method .. "'", message, 1, true)
    assert.equal(0, #sandbox.requests())
    assert.equal(0, asked)
  end

  it("is refused by balance, as second or only argument", function()
    local client = fixture.client()
    local parent = { on_behalf_of = sandbox.sub_account }
    refused("balance", client.balance, client, "USD", inheriting({}, parent))
    refused("balance", client.balance, client, inheriting({ currency = "USD" }, parent))
    local grandchild = setmetatable({}, { __index = inheriting({}, parent) })
    refused("balance", client.balance, client, "USD", grandchild)
    fixture.succeeded(client:balance("USD", setmetatable({}, {})))
  end)

  it("is refused by new", function()
    local parent = { on_behalf_of = sandbox.sub_account }
    refused("new", uqpay.new, inheriting(fixture.options(), parent))
    local app = inheriting({ name = "shop" }, { version = "1" })
    refused("new", uqpay.new, fixture.options { app_info = app })
  end)

  it("is refused even if its metatable is protected", function()
    local client = fixture.client()
    refused("balance", client.balance, client, "USD", setmetatable({}, {
      __index = { on_behalf_of = sandbox.sub_account }, __metatable = false }))
  end)

  it("never gets to run its __index, which might close the client", function()
    local client = fixture.client()
    local function index()
      asked = asked + 1
      client:close()
    end
    refused("balance", client.balance, client, "USD", inheriting({}, index))
    refused("balance", client.balance, client, inheriting({ currency = "USD" }, index))
    refused("balance", client.balance, client, inheriting({}, index))
    refused("new", uqpay.new, inheriting(fixture.options(), index))
    refused("new", uqpay.new, fixture.options { app_info = inheriting({}, index) })
    fixture.succeeded(client:balance "USD")
  end)
end)
