-- Each client of a worker had a driver in a timer of its own, and each cached query
-- another one. When other code had used up nginx's timers, calls took 5 to 7 seconds; 300
-- clients in a worker used them up by themselves.

local fixture = require "spec.support.fixture"
local nginx = require "spec.support.nginx"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local init = [[
  client = uqpay.new(options())
  cached = uqpay.new(options { cache = { dict = "uqpay", ttl = 0.001 } })
  stale = uqpay.new(options {
    cache = { dict = "uqpay", ttl = 0.001, stale = 600, identity = "stale" } })
  tenants = {}
  for n = 1, 40 do
    tenants[n] = uqpay.new(options {
      cache = n % 2 == 0 and { dict = "uqpay", ttl = 60 } or nil })
  end
  function timers()
    return ngx.timer.running_count() + ngx.timer.pending_count()
  end
]]

nginx.describe("nginx's timers", function(start)
  local server

  local function serve(setup)
    setup.init = init
    setup.workers = setup.workers or 1
    setup["/balance"] = { content = "ask(client)", log = [[note "ended"]] }
    setup["/cached"] = { content = "ask(cached)", log = [[note "ended"]] }
    setup["/stale"] = "ngx.sleep(0.005) ask(stale)" -- more than its ttl
    setup["/tenant"] = "ask(tenants[tonumber(ngx.var.arg_n)])"
    setup["/timers"] = "ngx.say(timers())"
    server = start(setup)
  end

  local function timers()
    return tonumber((select(2, server:get "/timers")))
  end

  local function account(n)
    return ("CB%010d"):format(n)
  end

  -- Rounds of calls, plain and cached ones.
  local function rounds(count)
    for _ = 1, count do
      local _, bodies = server:many(40, function(n)
        return n % 2 == 0 and "/balance" or "/cached"
      end)
      for n = 1, 40 do assert.matches("^USD 5000.25 number ", bodies[n]) end
    end
  end

  for directive, hog in pairs(nginx.timer_hogs) do
    for _, workers in ipairs { 1, 2 } do
      it(("may be used up by others, %s, %d worker(s)"):format(directive, workers),
        function()
          serve { workers = workers, http = directive .. " 4; init_worker_by_lua_block {"
            .. hog .. "}", ["/end"] = [[note "end"]] }
          nginx.wait_until(function() return timers() >= 4 end, "they are used up")
          local begun = socket.gettime()
          rounds(3)
          local took = socket.gettime() - begun
          assert.is_true(took < 2.5, "three rounds of calls take " .. took .. " s")
          server:get "/end"
          local lines = server:lines("error", "crit", "alert")
          -- the hog's own, and one for each second in which a timer was tried
          local most = workers * (10 + 1 + math.ceil(took))
          assert.is_true(#lines <= most, #lines .. " lines, the last: "
            .. tostring(lines[#lines]))
          for _, line in ipairs(lines) do
            assert.matches("lua_max_running_timers are not enough", line)
          end
        end)
    end
  end

  for directive, hog in pairs(nginx.timer_hogs) do
    it("may be used up while a stale balance is renewed, " .. directive, function()
      serve { http = directive .. " 4; init_worker_by_lua_block {" .. hog .. "}" }
      nginx.wait_until(function() return timers() >= 4 end, "they are used up")
      assert.equal("USD 5000.25 number cached\n", select(2, server:get "/stale"))
      for n = 1, 3 do -- one at a time: no other thread steps the call
        sandbox.balance { currency = "USD", available_balance = tostring(n) }
        assert.equal(("USD %d number cached\n"):format(n),
          select(2, server:get "/stale"))
      end
    end)
  end

  for _, path in ipairs { "/balance", "/cached" } do
    it("may be used up while a request ends in the midst of its call, " .. path,
      function()
        serve { server = "lua_check_client_abort on;", http = "lua_max_pending_timers 4;"
          .. "init_worker_by_lua_block {"
          .. nginx.timer_hogs.lua_max_pending_timers .. "}" }
        local quickest, n = math.huge, 0
        while quickest > 0.5 and n < 3 do -- others use the machine, too
          n = n + 1
          sandbox.reset()
          nginx.hold()
          local before, begun = server:noted "ended", server:noted "begun"
          local gone = server:begin(path) -- it is on its own, and does all the work
          sandbox.until_arrived(1)
          local peers = {}
          for i = 1, 10 do peers[i] = server:begin(path) end
          nginx.wait_until(function() return server:noted "begun" == begun + 11 end,
            "they wait")
          gone:close()
          nginx.wait_until(function() return server:noted "ended" > before end, "ended")
          nginx.go()
          local since = socket.gettime()
          for i = 1, 10 do
            assert.matches("^USD 5000.25 number ", select(2, server:finish(peers[i])))
          end
          quickest = math.min(quickest, socket.gettime() - since)
          assert.equal(path == "/cached" and 1 or 11, #sandbox.requests "balance")
        end
        assert.is_true(quickest < 0.5, "the others take " .. quickest .. " s")
        assert.same({}, server:lines("error", "crit", "alert"))
      end)
  end

  it("are one, however many clients there are in a worker", function()
    serve { http = "lua_max_running_timers 8;" }
    nginx.hold()
    local peers = {}
    for n = 1, 40 do
      peers[n] = server:begin(("/tenant?n=%d&account=%s"):format(n, account(n)))
      sandbox.fault { kind = "answer", match = { ["x-on-behalf-of"] = account(n) },
        body = fixture.body(n) }
    end
    sandbox.until_arrived(40)
    assert.equal(1, timers())
    nginx.go()
    for n = 1, 40 do
      assert.matches(("^USD %d number "):format(n), select(2, server:finish(peers[n])))
    end
    nginx.wait_until(function() return timers() == 0 end, "no timer is left")
    assert.same({}, server:lines("error", "crit", "alert"))
  end)
end)
