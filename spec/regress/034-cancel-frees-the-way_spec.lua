-- A call may have to wait for another one's connection. When that one was cancelled or
-- collected, the waiting call was not woken: the descriptor became readable only at some
-- timeout.

local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local internal = require "uqpay.internal"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local body = '{"balance_id":"x","currency":"USD","available_balance":7,'
  .. '"margin_balance":0,"frozen_balance":0,"create_time":"","last_trade_time":"",'
  .. '"balance_status":"ACTIVE"}'
local good = ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body)

describe("a call that waits for another's connection", function()
  local server, client

  setup(function() sandbox.start() end)
  after_each(function()
    client:close()
    server:stop()
  end)

  local ways = {
    ["is cancelled"] = function(calls) calls[1]:cancel() end,
    ["is collected"] = function(calls)
      calls[1] = nil
      collectgarbage()
      collectgarbage()
    end,
  }

  for name, stop in pairs(ways) do
    it("continues when that " .. name .. ", and the descriptor tells", function()
      local silent = { read = true, keep = true }
      server = faulty.start { silent, silent, { read = true, send = good, keep = true } }
      client = fixture.client {
        base_url = server.url, ca_file = false, timeout = 60, connect_timeout = 60,
      }
      internal.limit(client, 2, 1)
      local calls = {}
      for n = 1, 3 do calls[n] = client:start_balance "USD" end
      local deadline = socket.gettime() + 60
      repeat     -- and no timer of a connection's beginning is left
        assert.is_true(socket.gettime() < deadline, "no call waits")
        client:step(0.01)
      until #server:requests() == 2 and client:timeout() > 3
      local fd = client:pollfd()
      local plain = {
        getfd = function() return fd end, dirty = function() return false end,
      }
      local timer = socket.gettime() + client:timeout() - 0.3
      stop(calls)
      repeat
        assert.equal(1, #socket.select({ plain }, nil, timer - socket.gettime()))
      until calls[3]:step()
      assert.equal(7, fixture.succeeded(calls[3]:result()).available_balance)
    end)
  end
end)
