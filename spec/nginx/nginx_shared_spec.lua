-- The workers of an nginx server share in resty.uqpay: the token of a login, slots
-- under the rate limit. Balances: nginx_cache_spec.lua.

local sandbox = require "spec.sandbox.sandbox"

if not rawget(_G, "jit") then
  describe("workers of nginx", function()
    pending "nginx's Lua is LuaJIT"
  end)
  return
end

local driver = require "spec.support.driver"
local nginx = require "spec.support.nginx"

local hold, go, wait_until = nginx.hold, nginx.go, nginx.wait_until

local login = [[
  client = uqpay.new(options { token = false, client_id = sandbox.client_id,
    api_key = sandbox.api_key, shared = "uqpay" })
]]

-- Turns of a limit of 100 that are taken: two in a window.
local turns = [[
  local sum = 0
  for _, key in ipairs(ngx.shared.uqpay:get_keys()) do
    local taken = key:find "^uqpay slots " and ngx.shared.uqpay:get(key)
    sum = sum + (taken and math.min(taken, 2) or 0)
  end
  ngx.say(sum)
]]

describe("workers of nginx", function()
  local server
  local function start(setup)
    setup.workers = setup.workers or 2
    server = nginx.start(setup)
  end
  setup(sandbox.start)
  before_each(sandbox.reset)
  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  local function count(endpoint)
    return sandbox.counts().endpoints[endpoint] or 0
  end

  local function get(path)
    return (select(2, server:get(path)))
  end

  local function all_say(n, path, body)
    local _, bodies = server:many(n, path)
    for i = 1, n do assert.equal(body, bodies[i]) end
  end

  it("share one token, get it once and renew it once", function()
    sandbox.settings { single_token = true }
    start { init = login, ["/usd"] = "answer(client:balance 'USD')" }
    all_say(60, "/usd", "USD 5000.25\n")
    assert.equal(1, #sandbox.mints())
    sandbox.expire_minted()
    all_say(60, "/usd", "USD 5000.25\n")
    assert.equal(2, #sandbox.mints())
    local workers = table.concat(server:workers(), " ")
    server:signal "HUP"
    wait_until(function()
      local now = server:workers()
      return #now == 2 and table.concat(now, " ") ~= workers
    end, "new workers")
    all_say(20, "/usd", "USD 5000.25\n")
    assert.equal(2, #sandbox.mints())
    -- the token that a new worker finds may be refused
    sandbox.expire_minted()
    server:signal "HUP"
    all_say(20, "/usd", "USD 5000.25\n")
    assert.equal(3, #sandbox.mints())
    local log = server:log()
    for _, secret in ipairs { sandbox.api_key, sandbox.mints()[1].minted } do
      assert.is_nil(log:find(secret, 1, true))
    end
    assert.is_nil(log:find("[error]", 1, true), log)
  end)

  it("have locks that end", function()
    start { workers = 1, ["/store"] = [[
      local sharing = require "resty.uqpay.shared"
      local dict = ngx.shared.uqpay
      local one, two = sharing.token_store(dict), sharing.token_store(dict)
      ngx.say((one:lock "k"), (two:lock "k"), (one:lock "k"), (two:lock "other"))
      two:unlock "k"
      ngx.say((two:lock "k"))
      one:unlock "k"
      ngx.say((two:lock "k"), dict:ttl "uqpay login k" <= 2)
      ngx.say(one:get "k")
      one:set("k", "first", math.floor(ngx.now()) + 100)
      local token, ends = two:get "k"
      ngx.say(token, ends - math.floor(ngx.now()) <= 100, dict:ttl "uqpay token k" <= 100)
      one:set("k", "without end")
      ngx.say(two:get "k")
      one:set "k"
      ngx.say(two:get "k")
    ]] }
    assert.equal("truefalsefalsetrue\nfalse\ntruetrue\nnil\nfirsttruetrue\n"
      .. "without endnil\nnil\n", (get "/store":gsub("nilnil", "nil")))
  end)

  it("count the same slots", function()
    start { ["/turn"] = [[
      take = take or require "resty.uqpay.shared".rate_limit(ngx.shared.uqpay, "k", 500)
      local waits, wait = take(60)
      ngx.say(("%.3f %s %.3f"):format(ngx.now(), ngx.worker.pid(), waits and wait or 1e9))
    ]], ["/late"] = [[
      local take = require "resty.uqpay.shared".rate_limit(ngx.shared.uqpay, "k", 500)
      local granted, wait = take(1)
      ngx.say(granted == nil and wait > 1)
    ]] }
    local _, bodies = server:many(100, "/turn")
    local moments, workers, n = {}, {}, 0
    for i = 1, 100 do
      local now, pid, wait = bodies[i]:match "(%S+) (%S+) (%S+)"
      moments[i] = tonumber(now) + tonumber(wait)
      if not workers[pid] then n = n + 1 end
      workers[pid] = true
    end
    table.sort(moments)
    for i = 1, 80 do -- ten at once, and no more in two windows than twenty
      assert.is_true(moments[i + 20] - moments[i] > 1.2, "turns come too fast")
    end
    assert.is_true(moments[100] - moments[1] < 60)
    assert.equal("true\n", get "/late")
    assert.is_true(n >= 1)
  end)

  it("keep to one rate limit, with retries and 429s", function()
    start { workers = 1, init = [[
      client = uqpay.new(options { rate_limit = 100, shared = "uqpay", timeout = 0.4 })
      patient = uqpay.new(options { rate_limit = 100, shared = "uqpay" })
    ]], ["/haste"] = "answer(client:balance 'USD')",
        ["/patience"] = "answer(patient:balance 'USD')", ["/turns"] = turns }
    local _, bodies = server:many(40, "/haste")
    local good, bad = 0, 0
    for _, body in ipairs(bodies) do
      if body == "USD 5000.25\n" then
        good = good + 1
      else
        assert.matches("^rate_limit: the client's rate_limit is used up", body)
        bad = bad + 1
      end
    end
    assert.equal(good, count "balance")
    assert.is_true(good >= 1 and bad >= 20, "good: " .. good)
    sandbox.fault { kind = "status", status = 503, store = false }
    assert.equal("USD 5000.25\n", get "/patience")
    assert.equal(good + 2, count "balance")
    assert.equal(good + 2 .. "\n", get "/turns")
  end)

  it("pay for what libcurl sends again, too", function()
    start { workers = 1, init = [[
      client = uqpay.new(options { rate_limit = 100, shared = "uqpay",
        http_version = "1.1", max_retries = 0 })
    ]], ["/usd"] = "answer(client:balance 'USD')", ["/turns"] = turns }
    assert.equal("USD 5000.25\n", get "/usd")
    assert.equal("1\n", get "/turns")
    sandbox.fault { kind = "drop_before" } -- the connection was kept: libcurl tries again
    assert.equal("USD 5000.25\n", get "/usd")
    assert.equal(3, count "balance")
    assert.equal("3\n", get "/turns")
  end)

  for _, case in ipairs {
    { workers = 1, limit = 0 }, { workers = 2, limit = 60000 },
    { workers = 4, limit = 0 },
  } do
    local n = case.workers
    it(("pause together, %d of them, when one meets a 429; rate_limit = %d")
      :format(n, case.limit), function()
      start { workers = n, init = ([[
        local function new(changes)
          changes.shared, changes.rate_limit = "uqpay", %d
          return uqpay.new(options(changes))
        end
        client, second = new {}, new {}
        stranger = new { token = sandbox.other_token }
      ]]):format(case.limit), ["/usd"] = [[
        ngx.shared.uqpay:set("here " .. ngx.worker.pid(), true)
        answer(client:balance "USD")
      ]], ["/second"] = "answer(second:balance 'USD')",
          ["/stranger"] = "answer(stranger:balance 'USD')", ["/keys"] = [[
        local found = 0
        for _, key in ipairs(ngx.shared.uqpay:get_keys()) do
          if key:find(ngx.var.args .. " ", 1, true) then found = found + 1 end
        end
        ngx.say(found)
      ]] }
      sandbox.fault { kind = "status", status = 429, store = false,
        headers = { ["Retry-After"] = "1" } }
      local peers = { server:begin "/usd" }
      wait_until(function() return get "/keys?pause" == "1\n" end, "one meets it")
      hold()
      for _ = 1, 5 do peers[#peers + 1] = server:begin "/second" end
      wait_until(function()
        for _ = 1, 5 do peers[#peers + 1] = server:begin "/usd" end
        return get "/keys?here" == n .. "\n"
      end, "every worker has calls")
      local stranger = server:begin "/stranger"
      wait_until(function() return count "balance" >= 3 end, "the pause is over")
      driver.output "sleep 0.2"
      -- then one of each client and worker goes ahead, and the stranger has gone at once
      assert.is_true(count "balance" <= 1 + 2 * n + 1, count "balance")
      go()
      server:finish(stranger)
      for _, peer in ipairs(peers) do
        assert.equal("USD 5000.25\n", select(2, server:finish(peer)))
      end
      local requests = sandbox.requests()
      local first = table.remove(requests, 1)
      for _, request in ipairs(requests) do
        if request.headers["x-auth-token"] == first.headers["x-auth-token"] then
          assert.is_true(request.time - first.time > 0.99, request.time - first.time)
        end
      end
    end)
  end

  it("fail at once in a pause that is longer than their time", function()
    start { workers = 1, init = [[
      client = uqpay.new(options { shared = "uqpay" })
      second = uqpay.new(options { shared = "uqpay", timeout = 3 })
    ]], ["/usd"] = "answer(client:balance('USD', { max_retries = 0 }))", ["/second"] = [[
      local _, message, err = second:balance "USD"
      ngx.say(message)
      ngx.say(err.kind, " ", err.retry_stopped, " ", err.attempts, " ",
        err.retry_after > 3 and err.retry_after <= 30, " ", err.elapsed < 1)
    ]] }
    sandbox.fault { kind = "status", status = 429, store = false,
      headers = { ["Retry-After"] = "30" } }
    assert.matches("^rate_limit: ", get "/usd")
    for _ = 1, 3 do
      assert.matches("^the server has told the client to slow down %(429%): the call "
        .. "could go in [%d.]+ s, and the call has a timeout of 3 s.-\n"
        .. "rate_limit deadline 0 true true\n$", get "/second")
    end
    assert.equal(1, count "balance")
  end)

  it("name what is wrong with the options", function()
    start { workers = 1, ["/bad"] = [[
      for _, changes in ipairs {
        { shared = 1 }, { shared = "none" }, { cache = 1 }, { cache = {} },
        { cache = { ttl = 1 } }, { cache = { ttl = "1", dict = "uqpay" } },
        { cache = { ttl = 1, dict = "none" } }, { cache = { ttl = 1, life = 1 } },
        { cache = { ttl = 1, stale = -1, dict = "uqpay" } },
        { cache = { ttl = 1, dict = "uqpay" }, token = function() end },
        { cache = { ttl = 1, dict = "uqpay", identity = "" } }, { shared = "" },
        { identity = 1 }, { identity = "" },
        { max_connections = 0 }, { max_connections = 1.5 }, { max_connections = "1" },
      } do
        ngx.say((select(2, pcall(function() local x = uqpay.new(options(changes)) end))))
      end
    ]] }
    local lines = driver.lines((get "/bad":gsub("content_by_lua%(.-%):%d+: ", "")))
    assert.same({
      "bad option 'shared' to 'new' (string expected, got number)",
      "bad option 'shared' to 'new' (nginx.conf has no lua_shared_dict 'none')",
      "bad option 'cache' to 'new' (table expected, got number)",
      "bad option 'cache.ttl' to 'new' (seconds from 0.001 to 86400 expected, got nil)",
      "bad option 'cache.dict' to 'new' (string expected, got nil)",
      "bad option 'cache.ttl' to 'new' (number expected, got string)",
      "bad option 'cache.dict' to 'new' (nginx.conf has no lua_shared_dict 'none')",
      "bad option 'cache' to 'new' (no 'life' in it)",
      "bad option 'cache.stale' to 'new' (seconds from 0 to 86400 expected)",
      "bad option 'cache.identity' to 'new' (a name of whose token it is expected with a "
        .. "token function, got nil)",
      "bad option 'cache.identity' to 'new' (got an empty string)",
      "bad option 'shared' to 'new' (a dictionary's name expected, got an empty string)",
      "bad option 'identity' to 'new' (string expected, got number)",
      "bad option 'identity' to 'new' (got an empty string)",
      "bad option 'max_connections' to 'new' (a whole number from 1 to 1024 expected)",
      "bad option 'max_connections' to 'new' (a whole number from 1 to 1024 expected)",
      "bad option 'max_connections' to 'new' (a whole number from 1 to 1024 expected)",
    }, lines)
  end)
end)
