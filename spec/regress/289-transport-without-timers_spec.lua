-- Within nginx each request to the program's transport runs in a timer. nginx dropped
-- that timer when other code had used them up, and the call waited until its timeout.

local nginx = require "spec.support.nginx"

local init = [[
  client = uqpay.new {
    token = "token-of-the-program",
    transport = function(request)
      ngx.sleep(0.01)
      return { status = 200, body = '{"balance_id":"x","currency":"USD",'
        .. '"available_balance":7,"margin_balance":0,"frozen_balance":0}' }
    end,
  }
  function timers()
    return ngx.timer.running_count() + ngx.timer.pending_count()
  end
]]

nginx.describe("the program's transport without timers", function(start)
  for directive, hog in pairs(nginx.timer_hogs) do
    it("is called in time: " .. directive, function()
      local server = start {
        init = init, http = directive .. " 4; init_worker_by_lua_block {" .. hog .. "}",
        ["/timers"] = "ngx.say(timers())",
        ["/end"] = [[note "end"]],
        ["/"] = [[
          local right, begun = 0, ngx.now()
          local threads = {}
          for n = 1, 20 do
            threads[n] = ngx.thread.spawn(function() return client:balance "USD" end)
          end
          for n = 1, 20 do
            local _, balance = ngx.thread.wait(threads[n])
            if balance and balance.available_balance == 7 then right = right + 1 end
          end
          ngx.update_time()
          ngx.say(right, " ", ngx.now() - begun < 3 and "in time" or ngx.now() - begun)
        ]],
      }
      nginx.wait_until(function()
        return tonumber((select(2, server:get "/timers"))) >= 4
      end, "they are used up")
      assert.equal("20 in time\n", select(2, server:get "/"))
      server:get "/end"
    end)
  end
end)
