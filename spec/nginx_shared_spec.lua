-- What the workers of an nginx server share in resty.uqpay: the token of a login, turns
-- under the rate limit. Balances: nginx_cache_spec.lua.

local sandbox = require "spec.support.sandbox"

if not rawget(_G, "jit") then
  describe("workers of nginx", function()
    pending "nginx's Lua is LuaJIT"
  end)
  return
end

local driver = require "spec.support.driver"
local nginx = require "spec.support.nginx"

local until_so = nginx.until_so

local login = [[
  client = uqpay.new(options { token = false, client_id = sandbox.client_id,
    api_key = sandbox.api_key, shared = "uqpay" })
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

  it("share one token, get it once and anew once", function()
    sandbox.settings { single_token = true }
    start { init = login, ["/usd"] = "answer(client:balance 'USD')" }
    all_say(60, "/usd", "USD 5000.25\n")
    assert.equal(1, #sandbox.mints())
    sandbox.expire_minted()
    all_say(60, "/usd", "USD 5000.25\n")
    assert.equal(2, #sandbox.mints())
    local workers = table.concat(server:workers(), " ")
    server:signal "HUP"
    until_so(function()
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
      ngx.say(one.lock "k", two.lock "k", one.lock "k", two.lock "other")
      two.unlock "k"
      ngx.say(two.lock "k")
      one.unlock "k"
      ngx.say(two.lock "k", dict:ttl "uqpay login k" <= 15)
      ngx.say(one.get "k")
      one.set("k", "first", math.floor(ngx.now()) + 100)
      local token, ends = two.get "k"
      ngx.say(token, ends - math.floor(ngx.now()) <= 100, dict:ttl "uqpay token k" <= 100)
      one.set("k", "without end")
      ngx.say(two.get "k")
      one.set "k"
      ngx.say(two.get "k")
    ]] }
    assert.equal("truefalsefalsetrue\nfalse\ntruetrue\nnil\nfirsttruetrue\n"
      .. "without endnil\nnil\n", (get "/store":gsub("nilnil", "nil")))
  end)

  it("count the same turns", function()
    start { ["/turn"] = [[
      turn = turn or require "resty.uqpay.shared".turns(ngx.shared.uqpay, "k", 500)
      local waits, wait = turn(60)
      ngx.say(("%.3f %s %.3f"):format(ngx.now(), ngx.worker.pid(), waits and wait or 1e9))
    ]], ["/late"] = [[
      local turn = require "resty.uqpay.shared".turns(ngx.shared.uqpay, "k", 500)
      local granted, wait = turn(1)
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

  it("keep to one rate limit, with retries and failures for haste", function()
    start { workers = 1, init = [[
      client = uqpay.new(options { rate_limit = 100, shared = "uqpay", timeout = 0.4 })
      patient = uqpay.new(options { rate_limit = 100, shared = "uqpay" })
    ]], ["/haste"] = "answer(client:balance 'USD')",
        ["/patience"] = "answer(patient:balance 'USD')", ["/turns"] = [[
      local sum = 0
      for _, key in ipairs(ngx.shared.uqpay:get_keys()) do
        local taken = key:find "^uqpay turns " and ngx.shared.uqpay:get(key)
        sum = sum + (taken and math.min(taken, 2) or 0)
      end
      ngx.say(sum)
    ]] }
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
