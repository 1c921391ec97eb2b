-- After forget_balance in one worker the callers of another one still got the answer to a
-- call that had been in flight there; and a failure of it was remembered.

local nginx = require "spec.support.nginx"
local sandbox = require "spec.sandbox.sandbox"

nginx.describe("a balance that is forgotten", function(start)
  local server

  local function serve()
    server = start {
      workers = 2,
      init = [[
        client = uqpay.new(options { max_retries = 0,
          cache = { dict = "uqpay", ttl = 60 } })
        function is_owner() return ngx.shared.spec:get "owner" == ngx.worker.pid() end
      ]],
      ["/own"] = [[ ngx.shared.spec:set("owner", ngx.worker.pid()) ask(client) ]],
      ["/forget"] = [[
        if not is_owner() then ngx.say(client:forget_balance "USD") end
      ]],
      ["/balance"] = [[ if is_owner() then note "joined" ask(client) end ]],
      ["/any"] = "ask(client)",
    }
  end

  -- A call is in flight in a worker, and is forgotten by the other one.
  local function forget_in_flight()
    nginx.hold()
    local peer = server:begin "/own"
    sandbox.until_arrived(1)
    nginx.wait_until(function()
      return select(2, server:get "/forget") == "true\n"
    end, "the other worker forgets")
    return peer
  end

  it("is fetched again by later callers, in all workers", function()
    serve()
    local before, peers = forget_in_flight(), {}
    nginx.wait_until(function()
      peers[#peers + 1] = server:begin "/balance"
      return server:noted "joined" > 0
    end, "the worker that asks is asked")
    nginx.go()
    server:finish(before)
    for _, peer in ipairs(peers) do server:finish(peer) end
    assert.equal(2, #sandbox.requests "balance")
  end)

  it("leaves no failure that is remembered", function()
    serve()
    sandbox.fault { kind = "status", status = 503, times = 1, store = false }
    local peer = forget_in_flight()
    nginx.go()
    assert.matches("^api: ", select(2, server:finish(peer)))
    assert.equal("USD 5000.25 number cached\n", select(2, server:get "/any"))
  end)
end)
