-- A server's version was known from its answers alone. When a crowd's connection was cut
-- before the first of them, each retry opened a connection of its own: libcurl does not
-- wait for one whose handshake goes on, and nobody had told it how many it may open.

local fixture = require "spec.support.fixture"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local CROWD = 40

describe("a crowd whose connection is cut before any answer", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("shares the next ones, too", function()
    local relay = relays.start(sandbox.url)
    local client = fixture.client { base_url = relay.url, retry_delay = 0 }
    local deadline = socket.gettime() + 30
    local calls, left = {}, CROWD
    sandbox.fault { kind = "hang", times = CROWD }
    for _ = 1, CROWD do
      local call = client:start_balance "USD"
      calls[call:id()] = call
    end
    repeat
      client:step(0.01)
      assert.is_true(socket.gettime() < deadline, "the requests do not arrive")
    until #sandbox.requests() == CROWD
    assert.equal(1, relay:order "total")
    relay:order "cut"
    while left > 0 do
      client:step(0.1)
      for call in function() return client:ready() end do
        if call:step() then
          fixture.succeeded(call:result())
          left = left - 1
        end
      end
      assert.is_true(socket.gettime() < deadline, "the calls do not end")
    end
    local total = relay:order "total"
    client:close()
    relay:stop()
    assert.is_true(total <= 3, total)
  end)
end)
