-- The client under the event loops, each the real library in a child interpreter of its
-- own: spec/support/loops.lua has the words that the children are written in.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

local version = rawget(_G, "jit") and "LuaJIT" or _VERSION
local without = "there is no package of %s for " .. version

-- The children join our sandbox.
local function sandbox_env()
  return os.getenv "UQPAY_SANDBOX_ENV" or driver.kept "sandbox".dir .. "/env"
end

-- Runs the code under the loop, and returns what it printed and its exit status. A child
-- that hangs is ended, with the status 124.
local function run(loop, code)
  local command = driver.command("env", "ASAN_OPTIONS=detect_leaks=0",
    "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath,
    "UQPAY_SANDBOX_ENV=" .. sandbox_env(), "timeout", "60", os.getenv "UQPAY_LUA",
    "spec/support/loops.lua", loop, code)
  local text = driver.output(command .. " 2>&1; echo \"exit $?\"")
  local output, status = text:match "^(.-)exit (%d+)\n$"
  return output, tonumber(status)
end

-- The output of a child, which must have succeeded.
local function output(loop, code)
  local text, status = run(loop, code)
  assert.equal(0, status, text)
  return driver.pointed(text)
end

local function delay(seconds, times)
  sandbox.fault { kind = "delay", seconds = seconds, times = times or 1e6 }
end

-- Tests for every loop.
local function specs(loop)
  it("runs a hundred calls at once, while other work runs", function()
    delay(0.3)
    local text = output(loop, [[
      local sent, sent_first, right, ended = 0, nil, 0, 0
      local ticks = tick()
      local c = client {
        on_request = function() sent = sent + 1 end,
        on_response = function() sent_first = sent_first or sent end,
      }
      each(100, function(i)
        local query = queries[i % #queries + 1]
        local balance, message = c:balance(query[1])
        ended = ended + 1
        if ended == 100 then ticks = ticks() end
        assert(balance, message)
        if balance.available_balance == query[2]
          and balance.currency == query[1].currency then right = right + 1 end
      end)
      run()
      say("right", right, "sent before the first answer", sent_first, "ticks", ticks)
      ]])
    local right, sent, ticks = text:match
      "^right\t(%d+)\tsent before the first answer\t(%d+)\tticks\t(%d+)\n$"
    assert.equal("100", right, text)
    assert.equal("100", sent)
    ticks = tonumber(ticks)
    assert.is_true(ticks >= 3, "ticks: " .. ticks)
    assert.is_true(ticks < 1500, "ticks: " .. ticks) -- one after the other: 3000
  end)

  it("steps the client for what happens, not for each that waits", function()
    delay(0.05)
    local text = output(loop, [[
      local c, steps, ended = client(), 0, 0
      local methods = getmetatable(c.client).__index
      local step = methods.step
      methods.step = function(...)
        steps = steps + 1
        return step(...)
      end
      each(300, function()
        assert(c:balance "USD")
        ended = ended + 1
      end)
      run()
      say(ended, steps)
      ]])
    local ended, steps = text:match "^(%d+)\t(%d+)\n$"
    assert.equal("300", ended, text)
    assert.is_true(tonumber(steps) < 300 * 10, "steps: " .. steps)
  end)

  it("gives errors as the plain client does", function()
    assert.equal([[
invalid_request	string	1
raised	child:8: bad argument #2 to 'balance' (table expected, got number)
raised	child:9: unknown option 'tiemout' to 'balance' (did you mean 'timeout'?)
raised	child:12: unknown option 'tokne' to 'new' (did you mean 'token'?)
raised	child:13: unknown option 'foo' to 'start_balance'
]], output(loop, [[
      local c = client()
      go(function()
        local balance, message, err = c:balance "ZZZ"
        say(err.kind, type(message), err.attempts)
        local function raised(f) say("raised", select(2, pcall(f))) end
        raised(function()
          local x -- the line that calls is the one that is named
            = c:balance("USD", 1) end)
        raised(function() local x = c:balance("USD", { tiemout = 1 }) end)
        local uqpay = require(module)
        raised(function()
          local x = uqpay.new { tokne = 1 } end)
        raised(function() local x = c:start_balance("USD", { foo = 1 }) end)
      end)
      run()
      ]]))
  end)

  it("fails a call whose value is wrong, before anything is sent", function()
    local text = output(loop, [[
      local c = client()
      local function show(value, message, err)
        say(value, err.kind, err.attempts, err.endpoint, message)
      end
      local function all()
        show(c:balance "usd")
        show(c:balance("USD", { on_behalf_of = "" }))
        show(c:transactions { transaction_id = "x" })
        show(c:start_balance { currency = "USD", idempotency_key = "x" }:result())
        for _, value, message, err in c:batch { "usd" } do
          show(value or nil, message, err)
        end
      end
      go(all)
      run()
      all() -- outside of the loop
      say(c:stats().attempts)
      ]])
    local expected = ""
    for _, case in ipairs {
      { "balance", "currency", "balance", 'an upper-case currency code such as "USD"' },
      { "balance", "on_behalf_of", "balance",
        'a UUID, or a short id such as "CB4488338944",', ", got an empty string" },
      { "transactions", "transaction_id", "transactions", "a UUID" },
      { "balance", "idempotency_key", "balance", "a UUID" },
      { "balance", "currency", "batch", 'an upper-case currency code such as "USD"' },
    } do
      expected = expected .. ("nil\tinvalid_request\t0\t%s\tbad option '%s' to '%s' "
        .. "(%s expected%s)\n"):format(case[1], case[2], case[3], case[4], case[5] or "")
    end
    assert.equal(expected .. expected .. "0\n", text)
    assert.equal(0, #sandbox.requests())
  end)

  it("says how a method or new is called", function()
    local function said(method)
      return ("calling '%s' on bad self (uqpay.client expected, got string: use "
        .. "client:%s(...), not client.%s(...))\n"):format(method, method, method)
    end
    assert.equal("child:4: " .. said "balance" .. "child:5: " .. said "start_balance"
      .. "child:6: " .. said "batch" .. "child:7: " .. said "each_account"
      .. "child:8: " .. said("close"):gsub("got string", "got nil")
      .. "child:9: bad call of 'new' (use uqpay.new{...}, not uqpay:new{...})\n"
      .. "child:10: bad call of 'new' (use uqpay.new{...}, not uqpay:new{...})\n",
      output(loop, [[
      local c, uqpay = client(), require(module)
      local function raised(f) say(select(2, pcall(f))) end
      go(function()
        raised(function() local x = c.balance "USD" end)
        raised(function() local x = c.start_balance "USD" end)
        raised(function() local x = c.batch "USD" end)
        raised(function() local x = c.each_account "USD" end)
        raised(function() local x = c.close() end)
        raised(function() local x = uqpay:new { token = "x" } end)
        raised(function() local x = uqpay:new() end)
      end)
      run()
      ]]))
  end)

  it("waits for retries, the rate limit and timeouts in the loop", function()
    sandbox.fault { kind = "status", status = 503, store = false,
      match = { ["x-on-behalf-of"] = sandbox.sub_account } }
    sandbox.fault { kind = "hang", seconds = 20,
      match = { ["x-on-behalf-of"] = sandbox.other_sub_account } }
    assert.equal("limited\t9\ttrue\nretried\t2\ttrue\ntimeout\t1\ttrue\n", output(loop, [[
      local limited, ended, said = client { rate_limit = 350 }, 0, {} -- seven at once
      local attempt
      local retrying = client { retry_delay = 0.4, on_request = function(info)
        attempt = info.attempt
      end }
      local function report(name, count, ticks)
        said[#said + 1] = table.concat({ name, count, tostring(ticks() >= 3) }, "\t")
      end
      local ticks = tick()
      each(9, function()
        assert(limited:balance "USD")
        ended = ended + 1
        if ended == 9 then report("limited", ended, ticks) end
      end)
      go(function()
        local ticks = tick()
        assert(retrying:balance { currency = "USD", on_behalf_of = sandbox.sub_account })
        report("retried", attempt, ticks)
      end)
      go(function()
        local ticks = tick()
        local _, _, err = client():balance { currency = "USD", timeout = 1,
          on_behalf_of = sandbox.other_sub_account }
        report(err.kind, err.attempts, ticks)
      end)
      run()
      table.sort(said)
      say(table.concat(said, "\n"))
      ]]))
  end)

  it("leaves an error in a waiting coroutine to the loop, and harms no other", function()
    delay(0.05, 1)
    local text, status = run(loop, [[
      local c = client()
      go(function()
        assert(c:balance "USD")
        say "first"
        error "an error of the program's"
      end)
      each(5, function(i)
        assert(c:balance "SGD")
        sleep(0.1)
        assert(c:balance "USD")
        say "another"
      end)
      run()
      say "over"
      ]])
    local _, others = text:gsub("another\n", "")
    assert.matches("^first\n", text)
    assert.matches("child:5: an error of the program's", text, 1, true)
    if loop == "luv" then -- luv itself ends the program
      assert.equal(255, status)
      assert.matches("Uncaught Error", text, 1, true)
      assert.matches("child:5: in ", text, 1, true) -- the traceback of the coroutine
    else
      assert.equal(0, status)
      assert.equal(5, others, text)
      assert.matches("over\n$", text)
    end
  end)

  it("wakes all that wait when the client is closed", function()
    delay(20)
    local text = output(loop, [[
      local c, canceled = client(), 0
      local ticks = tick()
      local function check(balance, _, err)
        assert(balance == nil and err.kind == "canceled")
        assert(err.retry_stopped == "closed")
        canceled = canceled + 1
      end
      each(20, function() check(c:balance "USD") end)
      go(function()
        local next_balance = c:batch { "USD", "SGD" }
        check(select(2, next_balance()))
        check(select(2, next_balance()))
        assert(next_balance() == nil)
      end)
      go(function()
        sleep(0.05)
        c:close()
        c:close()
        sleep(0.01)
        say(tostring(c), select(2, pcall(function() local x = c:balance "USD" end)))
        ticks = ticks()
      end)
      run()
      say(canceled, ticks < 1000)
      ]])
    assert.equal("uqpay.client (closed)\t"
      .. "child:20: attempt to use a closed uqpay client\n22\ttrue\n", text)
  end)

  it("ends with the loop's work, and begins again", function()
    assert.equal("1\n2\n3\ntrue\n", output(loop, [[
      local c = client()
      local before
      for round = 1, 3 do
        local right = 0
        each(10, function(i)
          local query = queries[i % #queries + 1]
          assert(assert(c:balance(query[1])).available_balance == query[2])
          assert(c:balance "SGD") -- one after the other in one coroutine, too
          right = right + 1
        end)
        run()
        assert(right == 10)
        say(round)
        if round == 1 then before = descriptors() end
      end
      say(descriptors() <= before)
      ]]))
  end)

  it("leaves nothing of a client that is collected", function()
    assert.equal("true\ttrue\n", output(loop, [[
      go(function() assert(client():balance "USD") end)
      run()
      local before = descriptors()
      local kept = setmetatable({}, { __mode = "v" })
      for round = 1, 5 do
        go(function()
          local c = client()
          kept[round] = c.client
          assert(c:balance "USD")
        end)
        run()
      end
      local count = descriptors()
      say(next(kept) == nil, count <= before)
      ]]))
  end)

  it("runs several clients in one loop", function()
    assert.equal("40\n", output(loop, [[
      local one = client()
      local other = client { token = sandbox.other_token }
      local right = 0
      each(20, function()
        collectgarbage()
        assert(assert(one:balance "USD").available_balance == 5000.25)
        right = right + 1
      end)
      each(20, function()
        collectgarbage()
        assert(assert(other:balance "USD").available_balance == 66666.6)
        right = right + 1
      end)
      run()
      say(right)
      ]]))
  end)

  it("blocks outside the loop's coroutines, and forgets no waiter", function()
    sandbox.fault { kind = "delay", seconds = 0.1, times = 2,
      match = { ["x-on-behalf-of"] = sandbox.sub_account } }
    delay(0.04)
    assert.equal("outside\t111.11\niterated\t111.11\nright\t10\n", output(loop, [[
      local c, right = client(), 0
      local slow = { currency = "USD", on_behalf_of = sandbox.sub_account }
      local function wait()
        assert(assert(c:balance "USD").currency == "USD")
        right = right + 1
      end
      each(5, wait)
      begin()
      say("outside", assert(c:balance(slow)).available_balance)
      run()
      each(5, wait)
      begin()
      for _, balance in c:batch { slow } do
        say("iterated", balance.available_balance)
      end
      run()
      say("right", right)
      ]]))
  end)

  it("raises if it would wait within a hook, and then works", function()
    assert.equal("USD\t1\nSGD\t1\n", output(loop, [[
      local c
      local other = client()
      c = client { on_request = function(info)
        if info.currency == "USD" then c:balance "SGD" end
      end }
      go(function()
        say(assert(c:balance "USD").currency, c:stats().hook_errors)
        sleep(0.05)
        say(assert(c:balance "SGD").currency, c:stats().hook_errors)
      end)
      run()
      ]]))
  end)

  it("raises an error of the client's step in all waiters, and then works", function()
    assert.equal("50\t50\n", output(loop, [[
      local c, raised, right = client(), 0, 0
      local methods = getmetatable(c.client).__index
      local step = methods.step
      methods.step = function()
        methods.step = step
        error("broken", 0)
      end
      each(50, function()
        local ok, err = yielding_pcall(c.balance, c, "USD")
        if not ok and err:find "^broken" then raised = raised + 1 end
        assert(c:balance "SGD")
        right = right + 1
      end)
      run()
      say(raised, right)
      ]]))
  end)

  it("fetches batches, also from a source that waits itself", function()
    delay(0.1, 30)
    assert.equal("40\ttrue\n20\t20\n", output(loop, [[
      local c, ticks = client(), tick()
      local function fresh(i) -- a query of its own, and its answer
        local query = queries[i % #queries + 1]
        return { currency = query[1].currency, on_behalf_of = query[1].on_behalf_of },
          query[2]
      end
      go(function()
        local list, expected, right = {}, {}, 0
        for i = 1, 40 do
          local query, answer = fresh(i)
          list[i], expected[query] = query, answer
        end
        local next_balance = c:batch(list, { concurrency = 8 })
        local query, balance = next_balance()
        while query do
          assert(balance.available_balance == expected[query])
          expected[query], right = nil, right + 1
          query, balance = next_balance()
        end
        say(right, ticks() >= 3)
      end)
      run()
      go(function()
        local count, right = 0, 0
        local next_balance = c:batch(function()
          sleep(0.002)
          count = count + 1
          if count <= 20 then return (fresh(count)) end
          count = 20
        end)
        while next_balance() do right = right + 1 end
        say(right, c:stats().succeeded - 40)
      end)
      run()
      ]]))
  end)

  it("takes the iterator of a batch in a for loop, except in Lua 5.1", function()
    delay(0.05)
    local text = output(loop, [[
      local c, count = client(), 0
      local function walk()
        for _, balance in c:batch { "USD", "SGD", "USD" } do
          assert(balance)
          count = count + 1
        end
      end
      go(function()
        if _VERSION ~= "Lua 5.1" or jit then
          walk()
        else
          local ok, err = coroutine.resume(coroutine.create(walk))
          assert(not ok and err:find "attempt to yield across")
          local next_balance = c:batch { "USD", "SGD", "USD" }
          while next_balance() do count = count + 1 end
        end
        say(count)
      end)
      run()
      ]])
    assert.equal("3\n", text)
  end)

  it("lets go of a batch that is left early", function()
    sandbox.fault { kind = "delay", seconds = 20, times = 1e6,
      match = { ["x-on-behalf-of"] = sandbox.sub_account } }
    assert.equal("USD\n1\ttrue\nSGD\n", output(loop, [[
      local c = client()
      go(function()
        local list = { "USD" }
        for i = 2, 20 do
          list[i] = { currency = "USD", on_behalf_of = sandbox.sub_account }
        end
        if _VERSION == "Lua 5.1" and not jit then
          local next_balance = c:batch(list, { concurrency = 8 })
          say(select(2, next_balance()).currency)
        else
          for _, balance in c:batch(list, { concurrency = 8 }) do
            say(balance.currency)
            break
          end
        end
      end)
      run()
      collectgarbage()
      collectgarbage()
      local stats = c:stats() -- nothing is in flight
      say(stats.succeeded, stats.calls == stats.succeeded + stats.failed)
      go(function() say(assert(c:balance "SGD").currency) end)
      run()
      ]]))
  end)

  it("serves one coroutine with an iterator, and refuses another", function()
    delay(0.05)
    assert.equal("another coroutine waits for the same iterator\n2\n", output(loop, [[
      local c, count = client(), 0
      local next_balance = c:batch { "USD", "SGD" }
      go(function()
        while next_balance() do count = count + 1 end
        say(count)
      end)
      go(function()
        sleep(0.02)
        say(select(2, pcall(next_balance)))
      end)
      run()
      ]]))
  end)

  it("does not wake a waiter that could not wait, and now waits elsewhere", function()
    delay(0.05)
    assert.equal("true\ttrue\tdead\ttrue\nUSD\n", output(loop, [[
      local c, now = client(), require "socket".gettime
      local function refused(f) -- yields are impossible there
        local ok, err = pcall(string.gsub, "x", "x", f)
        return not ok and err:find "attempt to yield" ~= nil
      end
      go(function()
        local first = refused(function() c:balance "USD" end)
        local second = refused(function()
          for _ in c:batch { "USD", "SGD" } do error "never" end
        end)
        local dead = coroutine.create(function()
          string.gsub("x", "x", function() c:balance "USD" end)
        end)
        assert(not coroutine.resume(dead))
        collectgarbage()
        collectgarbage()
        local start = now()
        sleep(0.15) -- the answers come during this
        say(first, second, coroutine.status(dead), now() - start > 0.1)
        say(assert(c:balance "USD").currency)
      end)
      run()
      ]]))
  end)

  it("sees what became ready while no coroutine waited", function()
    sandbox.fault { kind = "delay", seconds = 0.1,
      match = { ["x-on-behalf-of"] = sandbox.other_sub_account } }
    assert.equal("6\n", output(loop, [[
      local c, count = client(), 0
      go(function()
        local list = {}
        for i = 1, 6 do list[i] = { currency = i % 2 == 0 and "USD" or "SGD" } end
        local next_balance = c:batch(list)
        while next_balance() do
          count = count + 1
          if count == 1 then -- it blocks, and all others end during this
            assert(c.client:balance { currency = "USD",
              on_behalf_of = sandbox.other_sub_account })
          end
        end
        say(count)
      end)
      run()
      ]]))
  end)

  it("waits within pcall, in Lua 5.1 that of coxpcall", function()
    assert.equal("true\tUSD\nfalse\tmine\n", output(loop, [[
      local c = client()
      go(function()
        say(yielding_pcall(function() return assert(c:balance "USD").currency end))
        local ok, err = yielding_pcall(function()
          assert(c:balance "USD")
          error("mine", 0)
        end)
        say(ok, err:match "[^\n]+") -- coxpcall adds a traceback
      end)
      run()
      ]]))
  end)

  it("lets a hook close the client for all that wait", function()
    sandbox.fault { kind = "empty", status = 500, times = 1,
      match = { ["x-on-behalf-of"] = sandbox.sub_account } }
    delay(20)
    assert.equal("api\n4\n", output(loop, [[
      local c, canceled = nil, 0
      c = client { on_response = function() c:close() end }
      each(4, function()
        local _, _, err = c:balance "USD"
        if err.kind == "canceled" then canceled = canceled + 1 end
      end)
      go(function()
        local _, _, err = c:balance { currency = "USD", max_retries = 0,
          on_behalf_of = sandbox.sub_account }
        say(err.kind)
      end)
      run()
      say(canceled)
      ]]))
  end)

  it("blocks where the system has no descriptor to wait on", function()
    assert.equal("2\n", output(loop, [[
      local c, right = client(), 0
      getmetatable(c.client).__index.pollfd = function() end
      each(2, function()
        assert(c:balance "USD")
        right = right + 1
      end)
      run()
      say(right)
      ]]))
  end)
end

-- Tests of the options transport and clock for every loop.
local function transport_specs(loop)
  local prelude = [[
    local function ok(request)
      return { status = 200, body = ('{"balance_id":"x","currency":"%s",'
        .. '"available_balance":7,"margin_balance":0,"frozen_balance":0}')
        :format(request.body:match '"currency":"(%u+)"') }
    end
    local t = 1000
    local clock = {
      now = function() return t end, sleep = function(seconds) t = t + seconds end,
    }
  ]]

  it("calls the program's transport, which may yield, for many calls at once", function()
    assert.equal("20\ttrue\t20\n", output(loop, prelude .. [[
      local active, most, right, sent = 0, 0, 0, 0
      local c = client { transport = function(request)
        active, sent = active + 1, sent + 1
        most = math.max(most, active)
        sleep(0.05)
        active = active - 1
        return ok(request)
      end }
      each(20, function()
        local balance, message = c:balance "USD"
        if assert(balance, message).available_balance == 7 then right = right + 1 end
      end)
      run()
      say(right, most > 1, sent)
    ]]))
  end)

  it("logs in, retries and batches by it, and its clock takes the waits away", function()
    assert.equal("SGD\ttrue\n3\n1\n", output(loop, prelude .. [[
      local n, logins = 0, 0
      local c = client { token = false, client_id = "the-client", clock = clock,
        api_key = "the-api-key-of-the-client", transport = function(request)
          if request.endpoint == "token" then
            logins = logins + 1
            return { status = 200, body = '{"auth_token":"token-of-the-login"}' }
          end
          n = n + 1
          if n < 3 then
            return { status = 503, headers = { ["retry-after"] = 9 }, body = "" }
          end
          return ok(request)
        end }
      go(function()
        local balance, message = c:balance "SGD"
        say(assert(balance, message).currency, t - 1000 == 18)
        local iterate, count = c:batch { "USD", "SGD", "EUR" }, 0
        local query, result, text = iterate() -- by hand, for Lua 5.1
        while query do
          assert(result, text)
          count = count + 1
          query, result, text = iterate()
        end
        say(count)
        say(logins)
      end)
      run()
    ]]))
  end)

  it("reports what the transport raises, before and after it yields", function()
    local text = output(loop, prelude .. [[
      local n = 0
      local c = client { transport = function()
        n = n + 1
        if n == 2 then sleep(0.01) end
        error "it broke"
      end, clock = name ~= "luv" and clock or nil, timeout = 3 }
      go(function()
        for _ = 1, name == "luv" and 1 or 2 do
          local _, message, err = c:balance "USD"
          say(err.kind, message)
        end
      end)
      run()
    ]])
    local count = 0
    for _ in text:gmatch "config\tthe option transport: [^\n]*it broke" do
      count = count + 1
    end
    assert.equal(loop == "luv" and 1 or 2, count, text)
  end)

  it("raises what the clock raises where the call waits", function()
    assert.matches("^false\t[^\n]*no sleep.*\nSGD\n$", output(loop, prelude .. [[
      local n, broken = 0, true
      local c = client { transport = function(request)
        n = n + 1
        return n == 1 and { status = 503, body = "" } or ok(request)
      end, clock = {
        now = clock.now,
        sleep = function(seconds)
          if broken then error "no sleep" end
          clock.sleep(seconds)
        end,
      } }
      go(function()
        say(yielding_pcall(c.balance, c, "USD"))
        broken = false
        local balance, message = c:balance "SGD"
        say(assert(balance, message).currency)
      end)
      run()
    ]]))
  end)

  it("fails a call if the clock raises after the transport", function()
    local text = output(loop, prelude .. [[
      local broken = false
      local c = client { transport = function(request)
        sleep(0.01)
        broken = true
        return ok(request)
      end, clock = {
        now = function()
          if not broken then return t end
          broken = false
          error "no time"
        end,
        sleep = clock.sleep,
      } }
      go(function()
        local _, message, err = c:balance "USD"
        say(err.kind, message)
      end)
      run()
    ]])
    assert.matches("^config\tthe option clock: [^\n]*no time", text)
  end)

  it("leaves nothing behind of a call that ends while the transport runs", function()
    assert.equal("timeout\nright\n", output(loop, prelude .. [[
      local late, ended = true, 0
      local c = client { transport = function(request)
        sleep(late and 0.3 or 0.01)
        ended = ended + 1
        return ok(request)
      end }
      go(function()
        local _, _, err = c:balance("USD", { timeout = 0.05, max_retries = 0 })
        say(err.kind)
        late = false
        assert(c:balance("SGD", { timeout = 20 }).currency == "SGD")
        while ended < 2 do sleep(0.01) end
        say "right"
      end)
      run()
    ]]))
  end)
end

describe("under the event loop", function()
  setup(sandbox.start)
  before_each(sandbox.reset)

  describe("of cqueues", function()
    if not driver.has_loop "cqueues" then return pending(without:format "cqueues") end
    specs "cqueues"
    transport_specs "cqueues"

    it("continues where a loop was given up with calls in flight", function()
      delay(0.2, 3)
      assert.equal("USD\n0\n", output("cqueues", [[
        local c, given_up = client(), 0
        each(3, function()
          c:balance "SGD"
          given_up = given_up + 1
        end)
        begin()
        begin()
        give_up()
        collectgarbage()
        go(function() say(assert(c:balance "USD").currency) end)
        run()
        say(given_up)
        ]]))
    end)

    it("serves a loop within a loop", function()
      delay(0.1)
      assert.equal("inner ended\nouter\t5\n", output("cqueues", [[
        local c, inner, outer = client(), 0, 0
        each(5, function()
          sleep(0.05)
          assert(c:balance "USD")
          outer = outer + 1
        end)
        go(function()
          local controller = require "cqueues".new()
          for _ = 1, 5 do
            controller:wrap(function()
              assert(c:balance "SGD")
              inner = inner + 1
            end)
          end
          assert(controller:loop())
          assert(inner == 5)
          say "inner ended"
        end)
        run()
        say("outer", outer)
        ]]))
    end)

    it("takes an iterator from one loop to another", function()
      assert.equal("2\n", output("cqueues", [[
        local c, count = client(), 0
        go(function()
          local next_balance = c:batch { "USD", "SGD" }
          assert(not pcall(string.gsub, "x", "x", next_balance)) -- it cannot wait there
          local inner = require "cqueues".new()
          inner:wrap(function()
            while next_balance() do count = count + 1 end
          end)
          assert(inner:loop())
        end)
        run()
        say(count)
        ]]))
    end)

    it("waits for call objects by themselves, beside those of its clients", function()
      delay(0.05)
      assert.equal("40\ttrue\n", output("cqueues", [[
        local c, poll, right = client(), require "cqueues".poll, 0
        local now = require "socket".gettime
        local start = now()
        each(40, function(i)
          local query = queries[i % #queries + 1]
          local balance
          if i % 2 == 0 then
            balance = assert(c:balance(query[1]))
          else
            local call = c:start_balance(query[1])
            while not call:step() do poll(call) end
            balance = assert(call:result())
          end
          assert(balance.available_balance == query[2])
          right = right + 1
        end)
        run()
        say(right, now() - start < 15) -- their timeout is twice that
        ]]))
    end)

    it("yields through the coroutines of cqueues.auxlib", function()
      assert.equal("USD\nSGD\n", output("cqueues", [[
        local c = client()
        go(function()
          local balances = require "cqueues.auxlib".wrap(function()
            coroutine.yield(assert(c:balance "USD").currency)
            coroutine.yield(assert(c:balance "SGD").currency)
          end)
          say(balances())
          say(balances())
        end)
        run()
        ]]))
    end)
  end)

  describe("of luv", function()
    if not driver.has_loop "luv" then return pending(without:format "luv") end
    specs "luv"
    transport_specs "luv"

    it("puts up with coroutines that others resume or close", function()
      delay(0.1)
      assert.equal("USD\n", output("luv", [[
        local c = client()
        local co = coroutine.create(function() say(assert(c:balance "USD").currency) end)
        assert(coroutine.resume(co))
        assert(coroutine.resume(co, "for no reason"))
        if coroutine.close then
          local closed = coroutine.create(function() say(c:balance "SGD") end)
          assert(coroutine.resume(closed))
          assert(coroutine.close(closed))
        end
        run()
        ]]))
    end)
  end)

  describe("of copas", function()
    local major, why = driver.copas()
    if not major then
      pending("itself: " .. why)
      describe("4, as documented", function()
        specs "copas4"
        transport_specs "copas4"
      end)
    else
      specs(major < 4 and "copas" or "copas4")
      transport_specs(major < 4 and "copas" or "copas4")
    end
  end)
end)
