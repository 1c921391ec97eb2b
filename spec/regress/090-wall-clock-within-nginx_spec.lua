-- resty.uqpay used ngx.now(), which is the wall clock. When that was set back by an hour,
-- a rate limit that workers share rejected all calls for an hour, and balances in the
-- cache were fresh for an hour too long; set forward, it ended all waits for another's
-- answer.

local sandbox = require "spec.sandbox.sandbox"

if not rawget(_G, "jit") then
  describe("within nginx, a wall clock that is set", function()
    pending "nginx's Lua is LuaJIT"
  end)
  return
end

local driver = require "spec.support.driver"
local nginx = require "spec.support.nginx"

describe("within nginx, a wall clock that is set", function()
  local server
  setup(sandbox.start)
  before_each(function()
    sandbox.reset()
    server = nginx.start {
      preload = "shift",
      init = [[
        shift = require "shift"
        local url = sandbox.http_url -- certificates have their time, too
        paced = uqpay.new(options { base_url = url, shared = "uqpay", rate_limit = 6000 })
        cached = uqpay.new(options { base_url = url,
          cache = { dict = "uqpay", ttl = 60 } })
        stale = uqpay.new(options { base_url = url, amounts = "string", max_retries = 0,
          cache = { dict = "uqpay", ttl = 60, stale = 60, identity = "other" } })
        function show(balance, message, err)
          if not balance then return ngx.say(err.kind, ": ", message) end
          ngx.say(balance.available_balance, balance.stale and " stale" or "")
        end
      ]],
      ["/shift"] = [[
        local arg = ngx.req.get_uri_args()
        shift.realtime(tonumber(arg.realtime or 0))
        shift.monotonic(tonumber(arg.monotonic or 0))
      ]],
      ["/paced"] = "show(paced:balance('USD', { timeout = 10 }))",
      ["/cached"] = "show(cached:balance 'USD')",
      ["/stale"] = "show(stale:balance 'USD')",
      ["/failures"] = "ngx.say(stale:stats().cache_failures)",
    }
  end)
  after_each(function() server:stop() end)

  local function get(path) return (select(2, server:get(path))) end
  local function asked() return sandbox.counts().endpoints.balance or 0 end

  it("holds no call of a shared rate limit up", function()
    for _, seconds in ipairs { 0, -3600, -7200, 1e6, 3e9, -6e9 } do
      get(("/shift?realtime=%d"):format(seconds))
      assert.equal("5000.25\n", get "/paced")
    end
  end)

  it("back makes no balance in the cache younger", function()
    assert.equal("5000.25\n", get "/cached")
    assert.equal("5000.25\n", get "/cached")
    assert.equal(1, asked())
    get "/shift?realtime=-3600"
    get "/shift?monotonic=30"
    assert.equal("5000.25\n", get "/cached")
    assert.equal(1, asked())
    sandbox.balance { currency = "USD", available_balance = "1.5" }
    get "/shift?monotonic=31"
    assert.equal("1.5\n", get "/cached")
    assert.equal(2, asked())
  end)

  it("back makes no old answer serve for longer", function()
    assert.equal("5000.25\n", get "/stale")
    get "/shift?realtime=-3600"
    get "/shift?monotonic=61"
    sandbox.fault { kind = "status", status = 503, times = 1000000, store = false }
    assert.equal("5000.25 stale\n", get "/stale")
    nginx.wait_until(function() return get "/failures" == "1\n" end, "no new one comes")
    get "/shift?monotonic=60"
    assert.matches("^api: ", get "/stale")
  end)

  it("forward causes a new fetch", function()
    assert.equal("5000.25\n", get "/cached")
    get "/shift?realtime=61"
    assert.equal("5000.25\n", get "/cached")
    assert.equal(2, asked())
  end)

  it("neither ends nor lengthens a wait for another's answer", function()
    for _, seconds in ipairs { 7200, -14400 } do
      sandbox.reset()
      nginx.hold()
      local path = seconds > 0 and "/cached" or "/stale"
      local first, second = server:begin(path), server:begin(path)
      sandbox.until_arrived(1)
      get(("/shift?realtime=%d"):format(seconds))
      driver.output "sleep 1.2"     -- they look at the clock once a second
      nginx.go()
      assert.equal("5000.25\n", select(2, server:finish(first)))
      assert.equal("5000.25\n", select(2, server:finish(second)))
      assert.equal(1, asked())
    end
  end)
end)
