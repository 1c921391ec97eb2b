-- Balances that the workers of an nginx server share in resty.uqpay, with the option
-- `cache`.

local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local nginx = require "spec.support.nginx"
local sandbox = require "spec.sandbox.sandbox"

local hold, go, wait_until = nginx.hold, nginx.go, nginx.wait_until

local init = [[
  local function made(changes, cache)
    cache = cache or { dict = "uqpay", ttl = 60 }
    local all = { cache = cache }
    for name, value in pairs(changes) do all[name] = value end
    return uqpay.new(options(all))
  end
  clients = {
    master = made {},
    other = made { token = sandbox.other_token },
    exact = made({ amounts = "exact", shared = "uqpay" }, { ttl = 60 }),
    text = made { amounts = "string" },
    http = made { base_url = sandbox.http_url },
    hasty = made { max_retries = 0 },
    stale = made({ max_retries = 0 }, { dict = "uqpay", ttl = 0.05, stale = 600 }),
    plain = uqpay.new(options()),
  }
  function client() return clients[ngx.var.arg_client or "master"] end
]]

local handlers = {
  ["/balance"] = "ask(client())",
  ["/peek"] = [[
    local kept, message, err = client():peek_balance(question())
    show(kept, message, err)
  ]],
  ["/forget"] = "ngx.say(client():forget_balance(question()))",
  ["/stats"] = [[
    local s = client():stats()
    ngx.say(tostring(s.cache_hits), " ", tostring(s.cache_stale), " ",
      tostring(s.cache_failures))
  ]],
}

nginx.describe("balances in the cache of nginx's workers", function(start)
  local server

  local function serve(setup)
    setup = setup or {}
    setup.workers, setup.init = setup.workers or 2, init .. (setup.init or "")
    for name, value in pairs(handlers) do setup[name] = setup[name] or value end
    server = start(setup)
  end

  local function get(path)
    return (select(2, server:get(path)))
  end

  local function asked()
    return sandbox.counts().endpoints.balance or 0
  end

  local function failing(more)
    local fault = { kind = "status", status = 503, times = 1e6, store = false }
    for name, value in pairs(more or {}) do fault[name] = value end
    sandbox.fault(fault)
  end

  -- Of a server of one worker whose clocks /shift?seconds= sets forward.
  local function with_clock(setup)
    setup = setup or {}
    setup.workers, setup.preload = 1, "shift"
    setup.init = 'shift = require "shift"'
    setup["/shift"] = [[
      shift.realtime(tonumber(ngx.var.arg_seconds))
      shift.monotonic(tonumber(ngx.var.arg_seconds))
      ngx.update_time()
    ]]
    return setup
  end

  local cached, stale = "USD 5000.25 number cached\n", "USD 5000.25 number stale\n"

  -- ------------------------------------------------------------------------------------

  it("fail a call whose value is wrong, and keep nothing of it", function()
    serve()
    for _, method in ipairs { "balance", "peek", "balance" } do
      local name = method == "peek" and "peek_balance" or "balance"
      assert.equal("invalid_request: bad option 'currency' to '" .. name .. "' (an "
        .. 'upper-case currency code such as "USD" expected)\n',
        get("/" .. method .. "?currency=usd"))
      assert.equal("invalid_request: bad option 'on_behalf_of' to '" .. name .. "' (a "
        .. 'UUID, or a short id such as "CB4488338944", expected)\n',
        get("/" .. method .. "?account=CB1"))
    end
    assert.equal(0, #sandbox.requests())
  end)

  it("keep short account ids apart, and a UUID is the same in any case", function()
    serve()
    for n = 0, 1 do
      local id = "CB448833894" .. n
      sandbox.fault { kind = "answer", body = fixture.body(n + 1),
        match = { ["x-on-behalf-of"] = id } }
      for _ = 1, 3 do
        assert.equal(("USD %d number cached\n"):format(n + 1),
          get("/balance?account=" .. id))
      end
    end
    for _ = 1, 2 do
      for _, id in ipairs { sandbox.sub_account, sandbox.sub_account:upper() } do
        assert.equal("USD 111.11 number cached\n", get("/balance?account=" .. id))
      end
    end
    assert.equal(3, #sandbox.requests())
  end)

  it("are fetched once for each query, and never mixed up", function()
    serve()
    local answers = {
      ["/balance"] = cached,
      ["/balance?currency=SGD"] = "SGD 10000 number cached\n",
      ["/balance?account=" .. sandbox.sub_account] = "USD 111.11 number cached\n",
      ["/balance?client=exact"] = "USD 5000.25 userdata cached\n",
      ["/balance?client=text"] = "USD 5000.25 string cached\n",
      ["/balance?client=http"] = cached,
      ["/balance?client=text&currency=SGD"] = "SGD 10000.00 string cached\n",
    }
    -- the form of amounts is the client's, the text that is kept has them all
    local questions, paths = 4, {}
    for path in pairs(answers) do
      for _ = 1, 20 do paths[#paths + 1] = path end
    end
    for round = 1, 2 do
      local _, bodies = server:many(#paths, function(i) return paths[i] end)
      for i, path in ipairs(paths) do assert.equal(answers[path], bodies[i], path) end
      assert.equal(questions, asked(), "round " .. round)
    end
    get "/balance?client=other"
    assert.equal(questions + 1, asked())
    get("/balance?account=" .. sandbox.sub_account:upper())
    assert.equal(questions + 1, asked())
    assert.equal("USD 5000.25 number asked\n", get("/balance?key="
      .. "0b7e8a52-3f3c-4c26-9d5e-0c8a3f2b7d11"))
    assert.equal(questions + 2, asked())
    sandbox.balance { currency = "USD", available_balance = "1.5" }
    assert.equal("USD 1.5 number asked\n", get("/balance?key="
      .. "0b7e8a52-3f3c-4c26-9d5e-0c8a3f2b7d12"))
    assert.equal(cached, get "/balance") -- it is not kept
  end)

  it("wait for the caller that fetches, however it ends", function()
    serve { server = "lua_check_client_abort on;" }
    hold()
    local gone = server:begin "/balance"
    sandbox.until_arrived(1)
    local peers = {}
    for i = 1, 40 do peers[i] = server:begin "/balance" end
    wait_until(function() return server:noted "begun" == 41 end, "they wait")
    gone:close()
    local _, bodies = server:many(100, function(i)
      return "/balance?timeout=" .. i * 0.0017
    end)
    for i = 1, 100 do
      assert.matches("^timeout: .*within the timeout of 0%.", bodies[i])
    end
    go()
    for i = 1, 40 do assert.equal(cached, select(2, server:finish(peers[i]))) end
    assert.equal(1, asked())
  end)

  it("are fetched by others when the caller that fetches is killed", function()
    serve()
    hold()
    local peer = server:begin "/balance"
    sandbox.until_arrived(1)
    for _, pid in ipairs(server:workers()) do server:signal("KILL", pid) end
    server:finish(peer)
    go()
    wait_until(function() return #server:workers() == 2 end, "there are new workers")
    local _, bodies = server:many(20, "/balance")
    for i = 1, 20 do assert.equal(cached, bodies[i]) end
    assert.equal(2, asked())
  end)

  it("fail with one failure for all waiters, each with its own table", function()
    serve { workers = 1, ["/mine"] = [[
      local _, message, err = clients.hasty:balance "USD"
      local fresh = err.marked == nil and err.message == message
      err.marked = true
      ngx.say(err.kind, " ", tostring(fresh), " ", tostring(err), " ", err.status, " ",
        tostring(err.retryable), " ", err.endpoint)
    ]] }
    failing()
    hold()
    local peers = {}
    for i = 1, 20 do peers[i] = server:begin "/mine" end
    sandbox.until_arrived(1)
    go()
    for i = 1, 21 do
      local body = peers[i] and select(2, server:finish(peers[i])) or get "/mine"
      assert.matches("^api true HTTP 503 .* 503 true balance\n$", body)
    end
    assert.equal(1, asked())
  end)

  it("end with the kind canceled when their client is closed", function()
    serve { workers = 1, ["/close"] = "client():close()" }
    hold()
    local peers = {}
    for i = 1, 10 do peers[i] = server:begin "/balance" end
    local other = server:begin "/balance?client=hasty" -- which has the same question
    sandbox.until_arrived(1)
    wait_until(function() return server:noted "begun" == 11 end, "they wait")
    get "/close"
    for i = 1, 10 do
      local body = select(2, server:finish(peers[i]))
      assert.equal("canceled: the client was closed\n", body)
    end
    go()
    assert.equal(cached, select(2, server:finish(other)))
    assert.equal(500, (server:get "/balance"))
    local lines = server:lines("error", "crit", "alert")
    assert.equal(1, #lines)
    assert.matches("_by_lua%S+ attempt to use a closed uqpay client", lines[1])
  end)

  it("are stale while one is fetched, and when that fails", function()
    serve()
    assert.equal(cached, get "/balance?client=stale")
    failing()
    sandbox.balance { currency = "USD", available_balance = "1.5" }
    wait_until(function() return get "/balance?client=stale" == stale end, "it is old")
    wait_until(function()
      assert.equal(stale, get "/balance?client=stale")
      return asked() > 2
    end, "it is asked for again")
    sandbox.reset()
    sandbox.balance { currency = "USD", available_balance = "1.5" }
    wait_until(function()
      return get "/balance?client=stale" == "USD 1.5 number cached\n"
    end, "it is new")
    assert.same({}, server:lines("error", "crit", "alert"))
  end)

  it("may begin slowly in a worker's first iteration, with other calls in it", function()
    serve { workers = 1, ["/first"] = [[
      local clock = require "uqpay.internal".clock
      local begun = require "ngx.semaphore".new()
      local slow = uqpay.new(options { cache = { dict = "uqpay", ttl = 60 },
        on_request = function()
          local ends = clock() + 0.005
          repeat until clock() >= ends
          begun:post()
        end })
      local other = ngx.thread.spawn(function()
        begun:wait(30)
        return clients.plain:balance "SGD"
      end)
      show(slow:balance "USD")
      show(select(2, ngx.thread.wait(other)))
    ]] }
    assert.equal(cached .. "SGD 10000 number asked\n", get "/first")
    assert.same({}, server:lines("error", "crit", "alert"))
  end)

  it("begin some at a time, for any number of queries", function()
    serve { workers = 1, ["/many"] = [[
      local turns, most = {}, 0
      local mine = uqpay.new(options { cache = { dict = "uqpay", ttl = 60 },
        timeout = 60, on_request = function()
          local now = ngx.now() -- nginx sets it once a turn
          turns[now] = (turns[now] or 0) + 1
          most = math.max(most, turns[now])
        end })
      local threads, good = {}, 0
      for n = 1, 800 do
        threads[n] = ngx.thread.spawn(function()
          return mine:balance { currency = "USD", on_behalf_of = ("CB%010d"):format(n) }
        end)
      end
      for n = 1, 800 do
        local _, balance = ngx.thread.wait(threads[n])
        good = good + (balance and 1 or 0)
      end
      ngx.say(good, " ", most <= 400 or most)
    ]] }
    sandbox.fault { kind = "answer", body = fixture.body(1), times = 1e6 }
    assert.equal("800 true\n", get "/many")
    assert.equal(800, asked())
  end)

  it("keep every digit, and fields that are not known", function()
    serve { workers = 1, ["/same"] = [[
      local form = ngx.var.arg_form
      local mine = uqpay.new(options { amounts = form,
        cache = { dict = "uqpay", ttl = 60 } })
      local plain = uqpay.new(options { amounts = form }):balance "USD"
      local first, kept = mine:balance "USD", mine:balance "USD"
      local function same(a, b)
        if type(a) ~= "table" then return a == b and type(a) == type(b) end
        for name, value in pairs(a) do
          if not same(value, b[name]) then return false end
        end
        return true
      end
      for _, one in ipairs { first, kept } do
        local at = one.cached_at
        one.cached_at = nil
        ngx.say(same(plain, one), " ", same(one, plain), " ", type(at))
      end
      mine:forget_balance "USD"
    ]] }
    local body = '{"balance_id":"x","currency":"USD","available_balance":0.1,'
      .. '"margin_balance":0.30000000000000004,"frozen_balance":3,"create_time":"",'
      .. '"last_trade_time":"","balance_status":"ACTIVE","more":{"list":[1,true,'
      .. '"a:b;}"],"x":{}}}'
    for _, form in ipairs { "number", "string", "exact" } do
      sandbox.fault { kind = "answer", body = body, times = 2 }
      assert.equal(("true true number\n"):rep(2), get("/same?form=" .. form), form)
    end
  end)

  -- ------------------------------------------------------------------------------------

  for _, workers in ipairs { 1, 2, 4 } do
    it("are asked for with cache = false, and kept for all, " .. workers .. " worker(s)",
      function()
        serve { workers = workers }
        assert.equal(cached, get "/balance")
        sandbox.balance { currency = "USD", available_balance = "1.5" }
        for _ = 1, 4 do
          assert.equal(cached, get "/balance")
          assert.equal(cached, get "/balance?cache=true")
        end
        assert.equal(1, asked())
        assert.matches("^USD 1.5 number ", get "/balance?cache=false")
        assert.equal(2, asked())
        for _ = 1, 8 do assert.equal("USD 1.5 number cached\n", get "/balance") end
        assert.equal(2, asked())
        -- beside one that is in flight
        hold()
        local peer = server:begin "/balance?cache=false"
        sandbox.until_arrived(3)
        for _ = 1, 4 do assert.equal("USD 1.5 number cached\n", get "/balance") end
        go()
        assert.matches("^USD 1.5 number ", select(2, server:finish(peer)))
        -- whatever has failed, and what fails takes nothing away
        failing()
        assert.matches("^api: ", get "/balance?client=hasty&cache=false")
        assert.matches("^api: ", get "/balance?client=hasty&cache=false")
        assert.equal(5, asked())
        assert.equal("USD 1.5 number cached\n", get "/balance")
      end)
  end

  it("are asked for with cache = false while a failure is remembered", function()
    serve()
    failing { times = 1 }
    assert.matches("^api: ", get "/balance?client=hasty")
    assert.matches("^api: ", get "/balance?client=hasty")
    assert.equal(1, asked())
    assert.matches("^USD 5000.25 number ", get "/balance?client=hasty&cache=false")
    assert.equal(2, asked())
    for _ = 1, 4 do assert.equal(cached, get "/balance?client=hasty") end
    assert.equal(2, asked())
  end)

  it("are not there without the option; then `cache` of a call has no effect",
    function()
      serve { ["/bad"] = [[
        for _, client in ipairs { clients.plain, clients.master } do
          for _, value in ipairs { "no", 1, {} } do
            ngx.say((select(2, pcall(function()
              local x = client:balance("USD", { cache = value })
            end))))
            ngx.say((select(2, pcall(function()
              local x = client:balance { currency = "USD", cache = value }
            end))))
          end
          ngx.say((select(2, pcall(function()
            local x = client:balances { cache = false }
          end))))
        end
        local balance = clients.plain:balance { currency = "SGD", cache = false }
        ngx.say(balance.currency, " ", clients.master:balance { currency = "SGD",
          cache = false }.currency)
      ]] }
      for _, value in ipairs { "true", "false" } do
        assert.equal("USD 5000.25 number asked\n",
          get("/balance?client=plain&cache=" .. value))
      end
      assert.equal(2, asked())
      local lines = driver.lines((get "/bad":gsub("content_by_lua%(.-%):%d+: ", "")))
      local n = 0
      for _ = 1, 2 do
        for _, got in ipairs { "string", "number", "table" } do
          for _ = 1, 2 do
            n = n + 1
            assert.equal("bad option 'cache' to 'balance' (boolean expected, got " .. got
              .. ")", lines[n])
          end
        end
        n = n + 1
        assert.matches("^unknown option 'cache' to 'balances'", lines[n])
      end
      assert.equal("SGD SGD", lines[n + 1])
      assert.equal(4, asked())
    end)

  -- ------------------------------------------------------------------------------------

  for _, workers in ipairs { 1, 2, 4 } do
    it("can be peeked at, which never asks nor waits, " .. workers .. " worker(s)",
      function()
        serve { workers = workers }
        for _ = 1, 4 do assert.equal("nothing\n", get "/peek") end
        assert.equal(0, #sandbox.requests())
        hold()
        local peer = server:begin "/balance"
        sandbox.until_arrived(1)
        for _ = 1, 4 do assert.equal("nothing\n", get "/peek") end
        go()
        assert.equal(cached, select(2, server:finish(peer)))
        for _ = 1, 4 do assert.equal(cached, get "/peek") end
        assert.equal("USD 5000.25 string cached\n", get "/peek?client=text")
        assert.equal("USD 5000.25 userdata cached\n", get "/peek?client=exact")
        wait_until(function()
          return get "/peek?client=stale" == stale
        end, "older than the ttl")
        assert.equal("nothing\n", get "/peek?client=other")
        assert.equal("nothing\n", get "/peek?currency=SGD")
        assert.equal("nothing\n", get("/peek?account=" .. sandbox.sub_account))
        failing()
        assert.matches("^api: ", get "/balance?client=hasty&currency=SGD")
        assert.equal("nothing\n", get "/peek?client=hasty&currency=SGD")
        assert.equal(2, #sandbox.requests())
      end)
  end

  it("can be peeked at in every phase", function()
    local peek = [[
      local kept = clients.master:peek_balance "USD"
      found[ngx.get_phase()] = kept and kept.available_balance or "nothing"
    ]]
    serve {
      init = "found = {} " .. peek, workers = 1,
      http = ([[
        init_worker_by_lua_block { %s }
        upstream nowhere { server 127.0.0.1:1; balancer_by_lua_block { %s
          ngx.exit(503) } }
      ]]):format(peek, peek),
      ["/filters"] = {
        conf = ("set_by_lua_block $x { %s return '' }"):format(peek),
        content = "ngx.say 'x'", header_filter = peek, body_filter = peek, log = peek,
      },
      ["/balancer"] = { conf = "proxy_pass http://nowhere;" },
      ["/timer"] = ([[
        local semaphore = require("ngx.semaphore").new()
        ngx.timer.at(0, function() %s semaphore:post() end)
        semaphore:wait(30)
        ngx.say "x"
      ]]):format(peek),
      ["/hook"] = ([[
        local hooked = uqpay.new(options { on_request = function()
          %s
          found.hook = found.content
        end })
        assert(hooked:balances())
        ngx.say "x"
      ]]):format(peek),
      ["/found"] = [[
        local names = {}
        for name in pairs(found) do names[#names + 1] = name end
        table.sort(names)
        for _, name in ipairs(names) do ngx.say(name, " ", found[name]) end
      ]],
    }
    assert.equal(cached, get "/balance")
    for _, path in ipairs { "/filters", "/balancer", "/timer", "/hook" } do get(path) end
    assert.equal([[
balancer 5000.25
body_filter 5000.25
content 5000.25
header_filter 5000.25
hook 5000.25
init nothing
init_worker nothing
log 5000.25
set 5000.25
timer 5000.25
]], get "/found")
    assert.equal(1, asked())
    assert.same({}, server:lines("error", "crit", "alert"))
  end)

  it("have an age", function()
    serve(with_clock { ["/age"] = [[
        local b = client():peek_balance("USD")
        ngx.say(b.age >= 0 and math.floor(b.age / 10), " ", math.floor((ngx.now()
          - b.cached_at) / 10), " ", tostring(b.stale), " ", select("#",
          client():peek_balance("SGD")))
      ]] })
    assert.equal(cached, get "/balance?client=http")
    assert.equal("0 0 nil 1\n", get "/age?client=http")
    get "/shift?seconds=40"
    assert.equal("4 4 nil 1\n", get "/age?client=http")
    assert.equal(1, asked())
  end)

  it("cannot be peeked at or forgotten without a cache", function()
    serve { ["/raise"] = [[
      for _, name in ipairs { "peek_balance", "forget_balance" } do
        for _, arguments in ipairs { { clients.plain, "USD" }, { 1 },
          { clients.master, "USD", { tiemout = 1 } }, { clients.master, true } } do
          ngx.say((select(2, pcall(function()
            local x = clients.master[name](unpack(arguments))
          end))))
        end
      end
    ]] }
    local lines = driver.lines(get "/raise")
    for n, name in ipairs { "peek_balance", "forget_balance" } do
      assert.matches("^content_by_lua%(.-%):%d+: .*cache", lines[4 * n - 3])
      assert.matches("^content_by_lua%(.-%):%d+: calling '" .. name .. "' on bad self",
        lines[4 * n - 2])
      assert.matches("^content_by_lua%(.-%):%d+: unknown option 'tiemout' to '" .. name
        .. "'", lines[4 * n - 1])
      assert.matches("^content_by_lua%(.-%):%d+: bad argument #1 to '" .. name .. "'",
        lines[4 * n])
    end
  end)

  -- ------------------------------------------------------------------------------------

  for _, workers in ipairs { 1, 2, 4 } do
    it("can be forgotten, one question's, " .. workers .. " worker(s)", function()
      serve { workers = workers }
      assert.equal("true\n", get "/forget") -- there is nothing
      assert.equal(cached, get "/balance")
      assert.equal("SGD 10000 number cached\n", get "/balance?currency=SGD")
      sandbox.balance { currency = "USD", available_balance = "1.5" }
      assert.equal("true\n", get "/forget")
      assert.equal("nothing\n", get "/peek")
      assert.equal("SGD 10000 number cached\n", get "/peek?currency=SGD")
      assert.equal("USD 1.5 number cached\n", get "/balance")
      assert.equal(3, asked())
      -- a failure that is remembered
      failing { times = 1 }
      assert.equal("true\n", get "/forget")
      assert.matches("^api: ", get "/balance?client=hasty")
      assert.matches("^api: ", get "/balance?client=hasty")
      assert.equal(4, asked())
      assert.equal("true\n", get "/forget")
      assert.equal("USD 1.5 number cached\n", get "/balance?client=hasty")
      assert.equal(5, asked())
    end)

    it("are not kept when they were asked for before, " .. workers .. " worker(s)",
      function()
        serve { workers = workers }
        hold()
        local peer = server:begin "/balance"
        sandbox.until_arrived(1)
        assert.equal("true\n", get "/forget")
        go()
        assert.matches("^USD 5000.25 number ", select(2, server:finish(peer)))
        assert.equal("nothing\n", get "/peek")
        local before = asked()
        assert.equal(cached, get "/balance")
        assert.equal(before + 1, asked())
        assert.equal(cached, get "/peek")
      end)
  end

  -- ------------------------------------------------------------------------------------

  it("are counted: fresh ones, stale ones, failures", function()
    serve { workers = 1 }
    assert.equal("nil nil nil\n", get "/stats?client=plain")
    assert.equal("0 0 0\n", get "/stats?client=stale")
    get "/balance?client=hasty&cache=false"
    for _ = 1, 3 do assert.equal(cached, get "/balance?client=hasty") end
    assert.equal("3 0 0\n", get "/stats?client=hasty")
    failing()
    -- a first question that fails, and those that are given its failure
    for _ = 1, 3 do get "/balance?client=hasty&currency=SGD" end
    assert.equal("3 0 1\n", get "/stats?client=hasty")
    -- renewals that fail
    local n = 0
    wait_until(function()
      n = n + (get "/balance?client=stale" == stale and 1 or 0)
      return asked() == 4
    end, "there are two renewals that fail")
    wait_until(function()
      return get "/stats?client=stale":find " 2\n$"
    end, "both have failed")
    assert.matches("^%d+ " .. n .. " 2\n$", get "/stats?client=stale")
    assert.equal("0 0 0\n", get "/stats?client=master")
  end)

  it("that cannot be renewed are worth a warning a minute", function()
    serve(with_clock())
    local path = "/balance?client=stale"
    local function fails_again()
      local before = asked()
      wait_until(function()
        assert.equal(stale, get(path))
        return asked() > before + 1
      end, "it is asked for again, twice")
    end
    assert.equal(cached, get(path))
    wait_until(function() return get "/peek?client=stale" == stale end, "it is old")
    failing()
    fails_again()
    assert.equal(1, #server:lines "warn")
    assert.matches("uqpay", server:lines "warn"[1])
    assert.matches("503", server:lines "warn"[1])
    get "/shift?seconds=61"
    fails_again()
    assert.equal(2, #server:lines "warn")
    assert.same({}, server:lines("error", "crit", "alert"))
    assert.is_nil(server:log():find(sandbox.token, 1, true))
  end)

  for _, workers in ipairs { 2, 4 } do
    it("that cannot be renewed are worth one warning of all, " .. workers .. " workers",
      function()
        serve { workers = workers }
        local paths = {}
        for n, account in ipairs { sandbox.sub_account, sandbox.other_sub_account } do
          paths[n] = "/balance?client=stale&account=" .. account
          assert.matches("^USD %d.* number cached\n", get(paths[n]))
        end
        failing()
        wait_until(function()
          server:many(16 * workers, function(n) return paths[n % 2 + 1] end)
          return asked() >= 6
        end, "both are asked for again, twice")
        wait_until(function() return #server:lines "warn" > 0 end, "there is a warning")
        assert.equal(1, #server:lines "warn")
      end)
  end

  it("without a cached balance cause no warning: their callers know", function()
    serve()
    failing()
    for _ = 1, 3 do assert.matches("^api: ", get "/balance?client=hasty") end
    assert.same({}, server:lines("warn", "error", "crit", "alert"))
  end)

  it("that failed are remembered for ten seconds at most", function()
    serve(with_clock())
    failing()
    local path = "/balance?client=hasty" -- its ttl is 60 s
    assert.matches("^api: ", get(path))
    get "/shift?seconds=8"
    assert.matches("^api: ", get(path))
    assert.equal(1, asked())
    get "/shift?seconds=3"
    assert.matches("^api: ", get(path))
    assert.equal(2, asked())
  end)
end)
