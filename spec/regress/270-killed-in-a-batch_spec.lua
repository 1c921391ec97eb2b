-- A light thread of nginx that was killed while it waited for a batch took the driver
-- with it, which asked the batch to cancel itself as it asks calls: an error was logged,
-- and the batch's calls stayed in flight.

local nginx = require "spec.support.nginx"
local sandbox = require "spec.sandbox.sandbox"

nginx.describe("a thread that is killed while it waits for a batch", function(start)
  local server

  local function kill_one()
    local status, body = server:get "/kill"
    assert.equal(200, status, body)
    return body
  end

  it("cancels its calls, and the client goes on", function()
    server = start {
      workers = 1, init = [[client = uqpay.new(options())]],
      ["/kill"] = [[
        local thread = ngx.thread.spawn(function()
          for _ in client:batch { "USD", "USD" } do end
        end)
        ngx.sleep(0.05)
        ngx.thread.kill(thread)
        local other = client:balance "SGD"
        local ends = ngx.now() + 5
        while client:stats().failed < 2 and ngx.now() < ends do
          ngx.sleep(0.01)
          ngx.update_time()
        end
        ngx.say(other and other.currency or "nothing", " ", client:stats().failed)
      ]],
    }
    sandbox.fault { kind = "delay", endpoint = "balance", hold = true, seconds = 20,
      times = 2 }
    local body = kill_one()
    sandbox.release()
    local errors = server:lines("error", "crit", "alert")
    assert.same({}, errors)
    assert.equal("SGD 2\n", body)
  end)
end)
