-- The first caller's timeout and max_retries applied to all that waited for the same
-- cached query: callers with 10 seconds got "timed out after 203 milliseconds", one 503
-- went to all, and a stale balance was never renewed if all callers had short timeouts.

local nginx = require "spec.support.nginx"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local init = [[
  cache = { dict = "uqpay", ttl = 60 }
  clients = {
    plain = uqpay.new(options { cache = cache }),
    short = uqpay.new(options { cache = cache, timeout = 0.3, max_retries = 0 }),
    hasty = uqpay.new(options { cache = cache, max_retries = 0 }),
    stale = uqpay.new(options { cache = { dict = "uqpay", ttl = 0.05, stale = 600 } }),
  }
]]

nginx.describe("callers that wait for the same cached question", function(start)
  local server

  local function serve(workers)
    server = start {
      workers = workers, init = init,
      ["/balance"] = "ask(clients[ngx.var.arg_client])",
    }
  end

  local function begin(path, count)
    local peers, before = {}, server:noted "begun"
    for n = 1, count or 1 do peers[n] = server:begin("/balance?client=" .. path) end
    nginx.wait_until(function()
      return server:noted "begun" == before + #peers
    end, "they wait")
    return peers
  end

  local function all_get(pattern, peers)
    for _, peer in ipairs(peers) do
      assert.matches(pattern, (select(2, server:finish(peer))))
    end
  end

  local function asked()
    return #sandbox.requests "balance"
  end

  local right = "^USD 5000.25 number cached\n$"

  for _, workers in ipairs { 1, 2, 4 } do
    local function with(text, body)
      it(("%s, %d worker(s)"):format(text, workers), function()
        serve(workers)
        body()
      end)
    end

    with("wait on when the first one's timeout is over", function()
      nginx.hold()
      local first = begin "plain&timeout=0.2"
      sandbox.until_arrived(1)
      local others = begin("plain&timeout=20", 20)
      all_get("^timeout: ", first)
      nginx.go()
      all_get(right, others)
      assert.equal(1, asked())
    end)

    with("ask again if they have more time than the try that failed", function()
      nginx.hold()
      local first = begin "short"
      sandbox.until_arrived(1)
      local alike, others = begin("short", 10), begin("short&timeout=20", 20)
      all_get("^timeout: ", first)
      all_get("^timeout: ", alike)
      sandbox.until_arrived(2) -- it is theirs
      nginx.go()
      all_get(right, others)
      assert.equal(2, asked())
    end)

    with("ask again if they have more retries than the try that failed", function()
      sandbox.fault { kind = "status", status = 503, store = false }
      nginx.hold()
      local first = begin "hasty"
      sandbox.until_arrived(1)
      local alike, others = begin("hasty", 10), begin("hasty&retries=2", 20)
      nginx.go()
      all_get("^api: ", first)
      -- they may come behind the answer of the others
      for _, peer in ipairs(alike) do
        local body = select(2, server:finish(peer))
        assert.is_truthy(body:find "^api: " or body:find(right), body)
      end
      all_get(right, others)
      assert.equal(2, asked())
    end)
  end

  it("have the retries of the client, though the first one has none", function()
    serve(2)
    sandbox.fault { kind = "status", status = 503, store = false }
    nginx.hold()
    local first = begin "plain&retries=0"
    sandbox.until_arrived(1)
    local others = begin("plain", 20)
    nginx.go()
    all_get(right, first)
    all_get(right, others)
    assert.equal(2, asked())
  end)

  it("do not ask again for what no retry and no time would change", function()
    serve(2)
    sandbox.fault { kind = "status", status = 403, store = false }
    nginx.hold()
    local first = begin "hasty"
    sandbox.until_arrived(1)
    local others = begin("hasty&retries=5&timeout=60", 20)
    nginx.go()
    all_get("^permission: ", first)
    all_get("^permission: ", others)
    assert.equal(1, asked())
  end)

  for _, workers in ipairs { 1, 2, 4 } do
    it("get a new balance after a stale one, however short their timeouts are, "
      .. workers .. " worker(s)", function()
        serve(workers)
        sandbox.balance { currency = "USD", available_balance = "1.5" }
        all_get("^USD 1.5 number cached\n$", begin "stale")
        nginx.hold()
        nginx.wait_until(function()
          all_get("^USD 1.5 number ", begin "stale&timeout=0.01")
          return asked() > 1
        end, "it is old")
        sandbox.balance { currency = "USD", available_balance = "2.5" }
        -- for ten times their timeout, and twice the ttl
        for _ = 1, 10 do
          all_get("^USD 1.5 number stale\n$", begin("stale&timeout=0.01", workers))
          socket.sleep(0.01)
        end
        assert.equal(2, asked())
        nginx.go()
        nginx.wait_until(function()
          local body = select(2, server:get "/balance?client=stale&timeout=0.01")
          assert.matches("^USD [12].5 number ", body)
          return body:find "^USD 2.5 "
        end, "it is new")
        assert.same({}, server:lines("error", "crit", "alert"))
      end)
  end
end)
