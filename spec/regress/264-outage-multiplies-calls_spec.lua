-- While UQPAY failed, callers of a cached question asked it again and again: 90, 360 and
-- 560 calls a minute for 1, 4 and 8 workers with stale answers, up to 2,180 without; the
-- API allows 300. A failure was known to no other caller, or only after the lock.

local clock = require "uqpay.internal".clock
local fixture = require "spec.support.fixture"
local nginx = require "spec.support.nginx"
local sandbox = require "spec.sandbox.sandbox"

local init = [[
  local function made(ttl, stale, retries, changes)
    local all = { max_retries = retries, cache = { dict = "uqpay", ttl = ttl,
      stale = stale } }
    for name, value in pairs(changes or {}) do all[name] = value end
    return uqpay.new(options(all))
  end
  clients = {
    bare = made(1, 0, 0), brief = made(0.01, 0, 0),
    stale = made(0.05, 600, 0), retried = made(0.05, 600, 2),
    other = made(60, 0, 0), short = made(60, 0, 0, { timeout = 0.2 }),
    dead = made(60, 0, 0, { base_url = "https://127.0.0.1:1" }),
  }
]]

-- The question of each client has an account of its own.
local clients = { "bare", "stale", "retried", "brief" }
local accounts = {}
for n, name in ipairs(clients) do accounts[name] = ("CB%010d"):format(n) end
local attempts = { bare = 1, stale = 1, retried = 3, brief = 1 }
local failing = "^api: HTTP 503 "
local stale = "^USD 1 number stale\n$"
local bodies_of = { bare = failing, brief = failing, stale = stale, retried = stale }

nginx.describe("an outage", function(start)
  local server

  local function serve(workers)
    server = start {
      workers = workers, init = init,
      ["/balance"] = "ask(clients[ngx.var.arg_client])",
    }
  end

  -- How often each question has been asked.
  local function asked()
    local counts = {}
    for _, name in ipairs(clients) do counts[name] = 0 end
    for _, request in ipairs(sandbox.requests "balance") do
      for name, account in pairs(accounts) do
        if request.headers["x-on-behalf-of"] == account then
          counts[name] = counts[name] + 1
        end
      end
    end
    return counts
  end

  local function path(name)
    return ("/balance?client=%s&account=%s"):format(name, accounts[name])
  end

  local function answer_all(fault)
    for _, name in ipairs(clients) do
      fault.match = { ["x-on-behalf-of"] = accounts[name] }
      sandbox.fault(fault)
    end
  end

  local good = { kind = "answer", body = fixture.body(1), times = 1e6 }

  for _, workers in ipairs { 1, 2, 4 } do
    it("makes a call a second and question, " .. workers .. " worker(s)", function()
      serve(workers)
      answer_all(good)
      for _, name in ipairs { "stale", "retried" } do
        assert.equal("USD 1 number cached\n", select(2, server:get(path(name))))
      end
      sandbox.reset()
      answer_all { kind = "status", status = 503, store = false, times = 1e6 }
      nginx.wait_until(function()
        return select(2, server:get(path "stale")):find(stale)
          and select(2, server:get(path "retried")):find(stale)
      end, "the answers are old")
      local begun, first = clock(), asked()
      repeat
        local _, bodies = server:many(16 * #clients, function(n)
          return path(clients[n % #clients + 1])
        end)
        for n, body in ipairs(bodies) do
          local name = clients[n % #clients + 1]
          assert.matches(bodies_of[name], body)
        end
      until clock() - begun > 2.2
      local seconds = clock() - begun
      for name, count in pairs(asked()) do
        count = count - first[name]
        local most = attempts[name] * (1 + math.ceil(seconds))
        assert.is_true(count <= most, ("%d calls in %.1f s, %s"):format(count, seconds,
          name))
        assert.is_true(count >= attempts[name], "no call, " .. name)
      end
      sandbox.reset()
      answer_all(good)
      for _, name in ipairs(clients) do
        nginx.wait_until(function()
          return select(2, server:get(path(name))) == "USD 1 number cached\n"
        end, "there is an answer again, " .. name)
      end
      assert.same({}, server:lines("error", "crit", "alert"))
    end)
  end

  -- Every kind of failure is remembered for all workers.
  local function is_one_failure(query, pattern, calls)
    local first = select(2, server:get(query))
    assert.matches("^" .. pattern, first)
    local _, all = server:many(40, query)
    for n = 1, 40 do assert.equal(first, all[n]) end
    assert.equal(calls, #sandbox.requests "balance")
  end

  it("of any kind is remembered, with its kind and message", function()
    serve(4)
    for n, case in ipairs {
      { "api: HTTP 500", { kind = "status", status = 500 } },
      { "api: HTTP 502", { kind = "html", status = 502 } },
      { "permission: HTTP 403", { kind = "status", status = 403 } },
      { "not_found: HTTP 404", { kind = "status", status = 404 } },
      { "conflict: HTTP 409", { kind = "status", status = 409 } },
      { "auth: HTTP 401", { kind = "status", status = 401 } },
      { "timeout: HTTP 408", { kind = "status", status = 408 } },
      { "connect: ", { kind = "drop_before" } },
      { "decode: ", { kind = "answer", body = "{" } },
      { "schema: ", { kind = "answer", body = fixture.body '"x"' } },
      { "schema: ", { kind = "answer", body = fixture.body(1, "SGD") } },
      { "rate_limit: HTTP 429", { kind = "status", status = 429 } },
    } do
      local pattern, fault = case[1], case[2]
      sandbox.reset()
      fault.times = 1e6
      if fault.kind == "status" then fault.store = false end
      sandbox.fault(fault)
      is_one_failure(("/balance?client=other&account=CB%010d"):format(n), pattern, 1)
    end
    sandbox.reset()
    is_one_failure("/balance?client=dead", "connect: ", 0)
    nginx.hold()
    is_one_failure("/balance?client=short", "timeout: ", 1)
  end)
end)
