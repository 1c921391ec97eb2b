-- A failure for which the dictionary had no room was not remembered: in an outage
-- each request made a call.

local nginx = require "spec.support.nginx"
local sandbox = require "spec.sandbox.sandbox"

nginx.describe("an outage with a full dictionary", function(start)
  for _, workers in ipairs { 1, 2 } do
    it("does not multiply calls, " .. workers .. " worker(s)", function()
      local server = start {
        workers = workers, http = "lua_shared_dict small 32k;",
        init = [[
          client = uqpay.new(options { max_retries = 0,
            cache = { dict = "small", ttl = 60 } })
        ]],
        ["/fill"] = [[
          for _, size in ipairs { 2000, 1000, 500, 200, 50, 1 } do
            local n = 0
            repeat n = n + 1
            until not ngx.shared.small:safe_set(size .. " " .. n, ("x"):rep(size))
          end
        ]],
        ["/balance"] = "ask(client)",
      }
      server:get "/fill"
      sandbox.fault { kind = "status", status = 503, times = 1e6, store = false }
      for _ = 1, 20 do
        assert.matches("^api: HTTP 503 ", select(2, server:get "/balance"))
      end
      assert.is_true(#sandbox.requests "balance" <= workers)
      assert.same({}, server:lines("error", "crit", "alert"))
    end)
  end
end)
