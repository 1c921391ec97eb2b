-- Over HTTP/2 a call that ran out of time left its connection to the next ones. When the
-- other end had died without a word, each of them was sent into the void, for as long as
-- the system believes in such a connection: a quarter of an hour.

local fixture = require "spec.support.fixture"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"

describe("a connection of HTTP/2 whose other end has died", function()
  local relay, client

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    relay = relays.start(sandbox.url)
    client = fixture.client { base_url = relay.url, http_version = "2" }
    fixture.succeeded(client:balance "USD")
  end)
  after_each(function()
    client:close()
    relay:stop()
  end)

  it("costs no call", function()
    relay:order "strand"
    fixture.succeeded(client:balance("USD", { timeout = 3 }))
    fixture.succeeded(client:balance "USD")
    assert.equal(2, relay:order "total")
  end)

  it("is distinguished from one whose server is slow with one answer", function()
    local slow = client:start_balance("USD",
      fixture.with_fault({ kind = "hang", times = 2 }, { timeout = 0.3 }))
    local other = client:start_balance("SGD",
      fixture.with_fault { kind = "delay", seconds = 0.6 })
    while not slow:step() do client:step(0.1) end
    while not other:step() do client:step(0.1) end
    fixture.failed("timeout", slow:result())
    fixture.succeeded(other:result())
    assert.equal(1, other:attempts())
  end)
end)
