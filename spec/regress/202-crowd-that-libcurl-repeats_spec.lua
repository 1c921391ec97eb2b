-- libcurl repeats requests itself when their shared connection has ended. Built with
-- GnuTLS it repeats all of them, and opened a connection for each as long as there was no
-- answer; through a proxy some ended as wrongly configured.

local fixture = require "spec.support.fixture"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local CROWD = 40

describe("concurrent calls whose connection ends before any answer", function()
  local client, relay
  local closing = fixture.closing()

  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  local function arrive(count)
    local deadline = socket.gettime() + 20
    repeat
      client:step(0.01)
      assert.is_true(socket.gettime() < deadline, "the requests do not arrive")
    until #sandbox.requests() == count
  end

  local function finish(calls)
    local deadline, left, by_id = socket.gettime() + 20, #calls, {}
    for _, call in ipairs(calls) do by_id[call:id()] = call end
    while left > 0 do
      assert.is_true(socket.gettime() < deadline, "the calls do not end")
      client:step(0.1)
      for call in function() return client:ready() end do
        if by_id[call:id()] and call:step() then
          fixture.succeeded(call:result())
          left = left - 1
        end
      end
    end
  end

  for _, how in ipairs { "cut", "close" } do
    for _, proxy in ipairs { false, true } do
      it(("shares the next ones: %s, %s"):format(how, proxy and "through a proxy"
        or "directly"), function()
        relay = closing(relays.start(sandbox.url))
        client = closing(fixture.client {
          base_url = not proxy and relay.url or nil,
          proxy = proxy and "http://127.0.0.1:" .. relay.port or "",
        })
        local calls = {}
        sandbox.fault { kind = "hang", times = CROWD }
        for n = 1, CROWD do calls[n] = client:start_balance "USD" end
        arrive(CROWD)
        local before = relay:order "total"
        relay:order(how)
        finish(calls)
        local opened = relay:order "total" - before
        assert.is_true(opened <= 3, opened)
      end)
    end
  end
end)
