-- A remembered failure, and the lock of a worker that had been killed, expired by the
-- wall clock: when that was set back by an hour, both lived an hour longer. All calls of
-- the query failed, and no login succeeded.

local nginx = require "spec.support.nginx"
local sandbox = require "spec.sandbox.sandbox"

nginx.describe("a wall clock that is set back", function(start)
  local server

  local function serve()
    server = start {
      workers = 1, preload = "shift",
      init = [[
        shift = require "shift"
        local url = sandbox.http_url -- certificates have their time, too
        cached = uqpay.new(options { base_url = url, max_retries = 0,
          cache = { dict = "uqpay", ttl = 1 } })
        shared = uqpay.new(options { base_url = url, token = false, shared = "uqpay",
          client_id = sandbox.client_id, api_key = sandbox.api_key, timeout = 20 })
      ]],
      ["/shift"] = [[
        shift.realtime(tonumber(ngx.var.arg_realtime))
        shift.monotonic(tonumber(ngx.var.arg_monotonic or 0))
      ]],
      ["/cached"] = "ask(cached)",
      ["/shared"] = "ask(shared)",
    }
  end

  local function get(path) return (select(2, server:get(path))) end

  it("makes no failure last longer", function()
    serve()
    get "/shift?realtime=3600"
    sandbox.fault { kind = "status", status = 503, times = 1, store = false }
    assert.matches("^api: ", get "/cached")
    get "/shift?realtime=0&monotonic=0"
    assert.matches("^api: ", get "/cached")
    get "/shift?realtime=0&monotonic=1.1"
    assert.equal("USD 5000.25 number cached\n", get "/cached")
  end)

  it("makes no lock last longer", function()
    serve()
    get "/shift?realtime=3600"
    nginx.hold "token"
    local peer = server:begin "/shared"
    sandbox.until_arrived(1)
    local pid = server:workers()[1]
    server:signal("KILL", pid)
    nginx.wait_until(function()
      return server:log():find("worker process " .. pid .. " exited on signal 9", 1, true)
    end, "it is dead")
    server:finish(peer)
    nginx.go()
    assert.equal("USD 5000.25 number asked\n", get "/shared")
  end)
end)
