-- The short account ids that UQPAY's dashboard shows were refused.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("a short account id", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  local id = "CB4488338944"

  it("is sent as given", function()
    local client, own = fixture.client { on_behalf_of = id }, fixture.client()
    client:balance "USD"
    own:balance("USD", { on_behalf_of = id })
    own:transactions { on_behalf_of = id }
    client:close()
    own:close()
    assert.same({ id, id, id }, sandbox.headers "x-on-behalf-of")
  end)
end)
