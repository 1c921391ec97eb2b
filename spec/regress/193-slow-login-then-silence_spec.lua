-- After a login that took half of the timeout, calls waited for silent connections as
-- long as if all answers took so long: for two minutes dead connections cost the calls on
-- them their whole timeout. Logins are slower than other requests, and do not predict
-- their time.

local fixture = require "spec.support.fixture"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"

describe("after a slow login", function()
  local relay

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    relay = relays.start(sandbox.url)
  end)
  after_each(function() relay:stop() end)

  for _, version in ipairs { "1.1", "2" } do
    it("a connection that has died costs no call, HTTP/" .. version, function()
      sandbox.fault { kind = "delay", seconds = 3, endpoint = "token", times = 1 }
      local c = fixture.client { token = false, client_id = sandbox.client_id,
        api_key = sandbox.api_key, base_url = relay.url, http_version = version,
        timeout = 6 }
      fixture.succeeded(c:balance("USD", { timeout = 60 }))
      assert.equal(1, sandbox.counts().endpoints.token)
      relay:order "strand"
      fixture.succeeded(c:balance "USD")
      assert.equal(2, relay:order "total")
      c:close()
    end)
  end
end)
