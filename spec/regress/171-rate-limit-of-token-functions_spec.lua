-- With `shared`, all clients with a token function shared one count of requests, for all
-- tokens: a busy one used up the limit of the others.

local sandbox = require "spec.sandbox.sandbox"

if not rawget(_G, "jit") then
  describe("the rate limit of clients with token functions", function()
    pending "nginx's Lua is LuaJIT"
  end)
  return
end

local nginx = require "spec.support.nginx"

describe("the rate limit of clients with token functions", function()
  local server
  setup(sandbox.start)
  before_each(sandbox.reset)
  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  -- How many counts there are behind a call of each of two clients.
  local function counts(one, two, where)
    local make = ([[
      local function made(changes)
        local all = options { token = function() return sandbox.token end,
          shared = "uqpay", rate_limit = 6000 }
        for name, value in pairs(changes) do all[name] = value end
        return uqpay.new(all)
      end
      one, two = made %s, made %s
    ]]):format(one, two)
    local setup = { workers = 1, ["/counts"] = [[
      assert(one:balances())
      assert(two:balances())
      local seen, n = {}, 0
      for _, key in ipairs(ngx.shared.uqpay:get_keys()) do
        local name = key:match "^uqpay slots (%S+) "
        if name and not seen[name] then n = n + 1 end
        seen[name or 0] = true
      end
      ngx.say(n)
    ]] }
    setup[where] = where == "init" and make or "init_worker_by_lua_block {" .. make .. "}"
    server = nginx.start(setup)
    return select(2, server:get "/counts")
  end

  it("is each one's own, made in init_by_lua", function()
    assert.equal("2\n", counts("{}", "{}", "init"))
  end)

  it("is each one's own, made in a worker", function()
    assert.equal("2\n", counts("{}", "{}", "http"))
  end)

  it("is one if they are said to be the same", function()
    local name = '{ identity = "same" }'
    assert.equal("1\n", counts(name, name, "init"))
    server:stop()
    assert.equal("1\n", counts(name, name, "http"))
    server:stop()
    assert.equal("2\n", counts(name, '{ identity = "other" }', "init"))
  end)

  it("is one for the workers of a client that init_by_lua made", function()
    server = nginx.start { workers = 2, init = [[
      client = uqpay.new(options { token = function() return sandbox.token end,
        shared = "uqpay", rate_limit = 6000 })
    ]], ["/name"] = [[
      assert(client:balances())
      ngx.say(ngx.worker.pid(), " ", client.own.identity)
    ]] }
    local names, workers, n = {}, {}, 0
    nginx.wait_until(function()
      for _, body in ipairs(select(2, server:many(8, "/name"))) do
        local pid, name = body:match "^(%d+) (%S+)\n$"
        if not workers[pid] then n = n + 1 end
        workers[pid], names[name] = true, true
      end
      return n == 2
    end, "both workers have answered")
    assert.is_nil(next(names, (next(names))))
  end)
end)
