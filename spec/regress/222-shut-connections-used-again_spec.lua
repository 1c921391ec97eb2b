-- libcurl 8.22 takes an idle connection for healthy for a second after its last use, also
-- one that was shut down here: the next call went out on it, and failed without retries,
-- or cost an attempt more.

local fixture = require "spec.support.fixture"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"

describe("a connection that was given up", function()
  local client, relay
  local closing = fixture.closing()

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    relay = closing(relays.start(sandbox.url))
  end)

  for _, version in ipairs { "1.1", "2" } do
    it("is used by no later call, HTTP/" .. version, function()
      client = closing(fixture.client { base_url = relay.url, http_version = version,
        max_retries = 0, rate_limit = 0 })
      for _ = 1, 3 do
        fixture.succeeded(client:balance "USD")
        relay:order "strand"
        fixture.failed("timeout", client:balance("USD", { timeout = 0.3 }))
        local began = client:stats()
        fixture.succeeded(client:balance "USD")
        assert.equal(began.attempts + 1, client:stats().attempts)
        assert.equal(began.connections + 1, client:stats().connections)
      end
    end)

    it("is used by no concurrent call, HTTP/" .. version, function()
      client = closing(fixture.client { base_url = relay.url, http_version = version,
        max_retries = 0, rate_limit = 0 })
      fixture.succeeded(client:balance "USD")
      relay:order "strand"
      fixture.failed("timeout", client:balance("USD", { timeout = 0.3 }))
      local began, calls = client:stats(), {}
      for n = 1, 8 do calls[n] = client:start_balance "USD" end
      for _, call in ipairs(calls) do
        while not call:step() do client:step(1) end
        fixture.succeeded(call:result())
      end
      assert.equal(began.attempts + 8, client:stats().attempts)
      local opened = client:stats().connections - began.connections
      assert.is_true(opened <= (version == "2" and 1 or 8), opened)
    end)
  end
end)
