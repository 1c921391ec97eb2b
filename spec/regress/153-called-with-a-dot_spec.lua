-- uqpay:new{...} and client.balance("USD") raised errors that did not say what was meant.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

local function raised(...)
  local ok, message = pcall(...)
  assert.is_false(ok)
  return message
end

describe("a method called with a dot", function()
  local client
  setup(function() sandbox.start() end)
  before_each(function() client = fixture.client() end)
  after_each(function() client:close() end)

  it("says how it is called, every one of a client and a call", function()
    local count = 0
    for example, object in pairs { client = client, call = client:start_balance "usd" } do
      for name, method in pairs(getmetatable(object).__index) do
        for _, self in ipairs { "USD", {}, 5, true, io.stdout } do
          local message = raised(method, self)
          assert.matches(("calling '%s' on bad self (uqpay.%s expected, got %s: use "
            .. "%s:%s(...), not %s.%s(...))"):format(name, example, type(self), example,
            name, example, name), message, 1, true)
        end
        assert.matches("'" .. name .. "'", raised(method), 1, true)
        count = count + 1
      end
    end
    assert.is_true(count > 30)
  end)
end)

describe("a function of the module called with a colon", function()
  it("says how it is called", function()
    for name, arguments in pairs {
      new = "{...}", amount = "(...)", sum = "(...)", parse_time = "(...)",
      file_store = "(...)",
    } do
      local expected = ("bad call of '%s' (use uqpay.%s%s, not uqpay:%s%s)"):format(name,
        name, arguments, name, arguments)
      for _, module in ipairs { uqpay, setmetatable({}, { __index = uqpay }) } do
        assert.equal(expected, raised(uqpay[name], module))
        assert.equal(expected, raised(uqpay[name], module, { token = "x" }))
      end
    end
  end)
end)
