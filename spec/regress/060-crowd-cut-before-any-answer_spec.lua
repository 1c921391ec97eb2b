-- A server's HTTP version was known only from its answers. When the connection of
-- concurrent calls was cut before the first answer, each retry opened its own connection:
-- libcurl does not wait for a handshake, and had no limit of connections.

local fixture = require "spec.support.fixture"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local CROWD = 40

describe("concurrent calls whose connection is cut before any answer", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("shares the next ones, too", function()
    local relay = relays.start(sandbox.url)
    local client = fixture.client { base_url = relay.url, retry_delay = 0 }
    local deadline = socket.gettime() + 30
    local calls, left = {}, CROWD
    sandbox.fault { kind = "hang", times = CROWD }
    for _ = 1, CROWD do
      calls[#calls + 1] = client:start_balance "USD" -- keeps it
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
