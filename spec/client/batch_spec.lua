-- client:batch: many balances a few at a time, in order of completion. If one query
-- fails, the others continue.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

local modern = _VERSION >= "Lua 5.4"      -- has to-be-closed variables

-- The balances of each account in the sandbox.
local function sandbox_balances()
  return {
    master = { USD = 5000.25, SGD = 10000 },
    [sandbox.sub_account] = { USD = 111.11, SGD = 222.2 },
    [sandbox.other_sub_account] = { USD = 0, XUSD = 44444.4 },
  }
end

local function expected(query)
  if type(query) == "string" then return sandbox_balances().master[query] end
  return sandbox_balances()[query.on_behalf_of or "master"][query.currency]
end

-- All results of a batch: a list of { query =, balance =, message =, err = }.
local function collect(client, queries, options)
  local list = {}
  for query, balance, message, err in client:batch(queries, options) do
    list[#list + 1] = { query = query, balance = balance, message = message, err = err }
  end
  return list
end

-- A source of n queries; given.n counts those that it has returned.
local function source_of(n, query)
  local given = { n = 0 }
  return function()
    if given.n == n then return nil end
    given.n = given.n + 1
    return query or "USD"
  end, given
end

local function refused(text, ...)
  local ok, message = pcall(...)
  assert.is_false(ok)
  assert.is_truthy(message:find(text, 1, true), message)
end

describe("a batch", function()
  local client

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    client = fixture.client()
  end)
  after_each(function() client:close() end)

  describe("takes", function()
    it("a list of currencies and tables, and gives back these very tables", function()
      local queries = {
        "USD", { currency = "SGD" },
        { currency = "USD", on_behalf_of = sandbox.sub_account }, "SGD",
        { currency = "SGD", on_behalf_of = sandbox.sub_account },
        { currency = "XUSD", on_behalf_of = sandbox.other_sub_account },
      }
      local left = {}
      for _, query in ipairs(queries) do left[query] = (left[query] or 0) + 1 end
      for query, balance, message, err in client:batch(queries) do
        assert.equal(expected(query), balance.available_balance)
        assert.is_nil(message)
        assert.is_nil(err)
        left[query] = left[query] > 1 and left[query] - 1 or nil
      end
      assert.same({}, left)
      assert.equal(6, #sandbox.requests())
    end)

    it("an iterator function, and anything callable", function()
      assert.equal(5, #collect(client, (source_of(5))))
      assert.equal(5, #collect(client, coroutine.wrap(function()
        for _ = 1, 5 do coroutine.yield "USD" end
      end)))
      local source = source_of(5)
      assert.equal(5, #collect(client, setmetatable({}, { __call = source })))
    end)

    it("nothing at all", function()
      assert.equal(0, #collect(client, {}))
      assert.equal(0, #collect(client, function() end))
      local iterator = client:batch {}
      assert.is_nil(iterator())
      assert.is_nil(iterator())
      assert.equal(0, #sandbox.requests())
    end)

    it("the client's currency for a query that names none", function()
      local one = fixture.client { currency = "SGD" }
      local list = collect(one, { {}, { on_behalf_of = sandbox.sub_account } })
      table.sort(list, function(a, b)
        return a.balance.available_balance > b.balance.available_balance
      end)
      assert.equal(10000, list[1].balance.available_balance)
      assert.equal(222.2, list[2].balance.available_balance)
      one:close()
    end)
  end)

  it("gives two results for a balance and four for a failure", function()
    local iterator = client:batch({ "USD", "ZZZ", false }, { concurrency = 1 })
    assert.equal(2, select("#", iterator()))
    assert.equal(4, select("#", iterator()))
    local query, balance, message, err = iterator()
    assert.is_false(query)
    fixture.failed("invalid_request", balance, message, err)
    assert.is_nil(iterator())
  end)

  it("returns results in order of completion", function()
    sandbox.fault { kind = "delay", seconds = 0.6,
      match = { ["x-on-behalf-of"] = sandbox.sub_account } }
    local slow = { currency = "USD", on_behalf_of = sandbox.sub_account }
    local list = collect(client, { slow, "USD", "SGD", { currency = "USD" } })
    assert.equal(4, #list)
    assert.equal(slow, list[4].query)
    assert.equal(111.11, list[4].balance.available_balance)
  end)

  describe("whose queries fail", function()
    -- Bad queries beside a good one; they come back with a failure, and are not sent.
    local function check(bad)
      local queries = { "USD" }
      for n, query in ipairs(bad) do queries[n + 1] = query end
      local list = collect(client, queries)
      assert.equal(#queries, #list)
      for _, result in ipairs(list) do
        if result.query == "USD" then
          assert.equal(5000.25, result.balance.available_balance)
        else
          local err = fixture.failed("invalid_request", nil, result.message, result.err)
          assert.equal(0, err.attempts)
          assert.is_false(err.retryable)
          assert.is_truthy(result.message:find("batch", 1, true), result.message)
        end
      end
      assert.equal(1, #sandbox.requests())
      return list
    end

    it("continues with the others if they are not queries", function()
      check {
        5, false, true, print, "usd", "US", "", {}, { "USD" },
        { currency = 5 }, { currency = "usd" }, { currency = "USD", on_behalf_of = "x" },
        { currency = "USD", on_behalf_of = "" }, { currency = "USD", timeout = -1 },
        { currency = "USD", token = "t" }, { currency = "USD", concurrency = 2 },
        { currency = "USD", progress = print }, { currency = "USD", idempotency_key = 7 },
      }
    end)

    it("names the error, and suggests the right name", function()
      local list = check { { currency = "USD", timeuot = 3 } }
      local failure = list[1].message or list[2].message
      assert.is_truthy(failure:find("unknown option 'timeuot' to 'batch' (did you "
        .. "mean 'timeout'?)", 1, true), failure)
    end)

    it("continues with the others if the API rejects them", function()
      local list = collect(client, {
        "USD", "ZZZ", { currency = "USD", on_behalf_of = sandbox.closed_sub_account },
        { currency = "USD", on_behalf_of = sandbox.foreign_sub_account }, "SGD",
      })
      local kinds = { balance = 0 }
      for _, result in ipairs(list) do
        local kind = result.err and result.err.kind or "balance"
        kinds[kind] = (kinds[kind] or 0) + 1
      end
      assert.same({ balance = 2, invalid_request = 3 }, kinds)
    end)

    it("retries those that are retryable, and continues", function()
      sandbox.fault { kind = "status", status = 503, times = 3 }
      sandbox.fault { kind = "drop_before", times = 3 }
      sandbox.fault { kind = "html", times = 100,
        match = { ["x-on-behalf-of"] = sandbox.sub_account } }
      local queries = { { currency = "USD", on_behalf_of = sandbox.sub_account } }
      for n = 2, 12 do queries[n] = "USD" end
      local failures = 0
      for _, result in ipairs(collect(client, queries, { max_retries = 6 })) do
        if not result.balance then
          failures = failures + 1
          assert.equal(queries[1], result.query)
          assert.equal("api", result.err.kind)
          assert.equal(7, result.err.attempts)
          assert.equal(sandbox.sub_account, result.err.on_behalf_of)
        end
      end
      assert.equal(1, failures)
    end)
  end)

  for _, version in ipairs { "1.1", "auto" } do
    describe("over HTTP " .. version, function()
      before_each(function()
        client:close()
        client = fixture.client { http_version = version }
      end)

      -- Each answer takes `delay` seconds. With at most `bound` calls in flight, request
      -- n + bound arrives after the answer to request n.
      local function check_bound(bound, count, options)
        local delay = math.max(0.08, bound / 80) -- `bound` requests must arrive in it
        sandbox.fault { kind = "delay", seconds = delay, times = count }
        assert.equal(count, #collect(client, (source_of(count)), options))
        local log = sandbox.requests()
        assert.equal(count, #log)
        local together = false
        for n = 1, count - bound do
          local took = log[n + bound].time - log[n].time
          assert.is_true(took > delay - 0.01, took)
          together = together or log[n + bound - 1].time - log[n].time < delay - 0.01
        end
        assert.is_true(together)
      end

      it("has no more calls in flight than its concurrency", function()
        check_bound(5, 20, { concurrency = 5 })
      end)

      it("has 32 calls in flight by default", function()
        check_bound(32, 70)
      end)

      it("can make one call at a time", function()
        local list = {}
        for n = 1, 10 do list[n] = { currency = n % 2 == 0 and "USD" or "SGD" } end
        for n, result in ipairs(collect(client, list, { concurrency = 1 })) do
          assert.equal(list[n], result.query)
        end
        local log = sandbox.requests()
        for n, request in ipairs(log) do
          assert.equal(n % 2 == 0 and "USD" or "SGD", request.body:match '"(%u+)"')
          assert.equal(log[1].connection, request.connection)
        end
      end)

      it("returns each balance with the query of its account", function()
        local queries, accounts = {}, sandbox_balances()
        for n = 1, 150 do
          local account = n % 3 == 0 and sandbox.sub_account
            or n % 3 == 1 and sandbox.other_sub_account or nil
          local currency = n % 3 ~= 1 and n % 2 == 0 and "SGD" or "USD"
          queries[n] = { currency = currency, on_behalf_of = account }
        end
        for query, balance, message in client:batch(queries, { concurrency = 50 }) do
          assert.is_truthy(balance, message)
          assert.equal(query.currency, balance.currency)
          assert.equal(accounts[query.on_behalf_of or "master"][query.currency],
            balance.available_balance)
        end
        for _, request in ipairs(sandbox.requests()) do
          assert.equal(version == "1.1" and "1.1" or "2", request.http)
        end
      end)

      it("can have calls of the same client in its loop", function()
        local n = 0
        for _, balance in client:batch((source_of(10)), { concurrency = 3 }) do
          assert.equal(5000.25, balance.available_balance)
          assert.equal(10000, fixture.succeeded(client:balance "SGD").available_balance)
          n = n + 1
        end
        assert.equal(10, n)
      end)

      it("runs beside other batches and call objects", function()
        local call = client:start_balance("USD", { on_behalf_of = sandbox.sub_account })
        local usd = client:batch((source_of(12, "USD")), { concurrency = 3 })
        local sgd = client:batch((source_of(12, "SGD")), { concurrency = 5 })
        for _ = 1, 12 do
          local query, balance = usd()
          assert.equal("USD", query)
          assert.equal(5000.25, balance.available_balance)
          query, balance = sgd()
          assert.equal("SGD", query)
          assert.equal(10000, balance.available_balance)
        end
        assert.is_nil(usd())
        assert.is_nil(sgd())
        while not call:step() do client:step(1) end
        assert.equal(111.11, fixture.succeeded(call:result()).available_balance)
        assert.equal(25, client:stats().succeeded)
      end)

      if modern then
        it("ends its calls when its loop is left", function()
          sandbox.fault { kind = "hang", times = 100 }
          sandbox.fault { kind = "delay", seconds = 0 }
          local source, given = source_of(100)
          local n = 0
          for query in client:batch(function()
            return given.n == 0 and source() and "usd" or source()
          end, { concurrency = 8 }) do
            assert.equal("usd", query)
            n = n + 1
            if n == 1 then break end
          end
          assert.equal(1, n)
          assert.is_true(given.n <= 9)
          assert.equal(client:stats().calls, client:stats().failed)
          sandbox.reset()
          fixture.succeeded(client:balance "USD")
        end)
      end

      it("ends its calls when it is collected", function()
        sandbox.fault { kind = "hang", times = 100 }
        do
          local iterator = client:batch({ "usd", "USD", "USD", "USD" })
          assert.equal("usd", (iterator()))
          assert.equal(3, client:stats().calls)
        end
        for _ = 1, 3 do collectgarbage() end
        assert.equal(3, client:stats().failed)
        sandbox.reset()
        fixture.succeeded(client:balance "USD")
      end)
    end)
  end

  describe("asks its source", function()
    it("for no more than it has room for", function()
      local source, given = source_of(100)
      local returned = 0
      local iterator = client:batch(source, { concurrency = 7 })
      assert.equal(0, given.n)
      while iterator() do
        returned = returned + 1
        assert.is_true(given.n - returned <= 7, given.n - returned)
      end
      assert.equal(100, returned)
    end)

    it("until it gives nil, and not again", function()
      local asked = 0
      local iterator = client:batch(function()
        asked = asked + 1
        return asked < 4 and "USD" or nil
      end)
      for _ = 1, 3 do assert.equal("USD", (iterator())) end
      for _ = 1, 3 do assert.is_nil(iterator()) end
      assert.equal(4, asked)
    end)

    it("and raises the message that comes with nil: the list is not complete", function()
      local n = 0
      local iterator = client:batch(function()
        n = n + 1
        if n == 3 then return nil, "page 2 is lost", {} end
        return "USD"
      end)
      local ok, message = pcall(iterator)
      assert.is_false(ok)
      assert.equal("page 2 is lost", message)
      for _ = 1, 2 do assert.equal("USD", (iterator())) end
      assert.is_nil(iterator())
      assert.equal(3, n)
    end)

    it("and raises what it raises, but loses no result by it", function()
      local n = 0
      local iterator = client:batch(function()
        n = n + 1
        if n == 5 then error("no more accounts", 0) end
        return "USD"
      end, { concurrency = 3 })
      local results, errors = 0, {}
      for _ = 1, 20 do
        local ok, query, balance = pcall(iterator)
        if not ok then
          errors[#errors + 1] = query
        elseif query then
          results = results + 1
          assert.equal(5000.25, balance.available_balance)
        end
      end
      assert.same({ "no more accounts" }, errors)
      assert.equal(4, results)
      assert.equal(5, n)
    end)
  end)

  describe("needs no more memory", function()
    -- Kibibytes in use.
    local function used()
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end

    it("for 100,000 queries than for a few", function()
      local source = source_of(100000, { currency = "USD", on_behalf_of = "nobody" })
      local n, before, most = 0, nil, 0
      for _, balance, _, err in client:batch(source) do
        n = n + 1
        assert(balance == nil and err.kind == "invalid_request")
        if n == 1000 then before = used() end
        if n % 20000 == 0 then most = math.max(most, used()) end
      end
      assert.equal(100000, n)
      assert.is_true(most - before < 200, most - before)
      assert.equal(0, client:stats().calls)
    end)

    it("for a thousand calls than for a hundred", function()
      local source = source_of(1000)
      local n, before, after = 0, nil, nil
      for _, balance, message in client:batch(source, { concurrency = 40 }) do
        assert.is_truthy(balance, message)
        n = n + 1
        if n == 100 then before = used() end
        if n == 950 then after = used() end
      end
      assert.equal(1000, n)
      assert.is_true(after - before < 200, after - before)
    end)
  end)

  describe("reports its progress", function()
    it("the numbers done, failed and in all, the rate and the estimated end", function()
      local told = {}
      local before = os.time()
      local n = 0
      for _ in client:batch({ "USD", "usd", "SGD", "ZZZ" }, {
        progress = function(state) told[#told + 1] = state end,
      }) do
        n = n + 1
        assert.equal(n, #told)
        assert.equal(n, told[n].done)
      end
      assert.equal(4, n)
      local failed_before = 0
      for done, state in ipairs(told) do
        assert.equal(done, state.done)
        assert.equal(4, state.total)
        assert.is_true(state.failed >= failed_before and state.failed <= 2)
        failed_before = state.failed
        assert.is_true(state.rate > 0)
        assert.is_true(state.ends >= before and state.ends < os.time() + 60)
      end
      assert.equal(2, told[4].failed)
    end)

    it("without an estimated end if the number of queries is unknown", function()
      local told = {}
      collect(client, (source_of(3)), {
        progress = function(state) told[#told + 1] = state end,
      })
      assert.equal(3, #told)
      assert.is_nil(told[3].total)
      assert.is_nil(told[3].ends)
      assert.equal(3, told[3].done)
    end)

    it("and counts an error that the function raises", function()
      local list = collect(client, { "USD", "SGD", "usd" }, {
        progress = function() error "the terminal is gone" end,
      })
      assert.equal(3, #list)
      assert.equal(3, client:stats().hook_errors)
      assert.equal(2, client:stats().succeeded)
    end)
  end)

  describe("passes on", function()
    it("what calls accept", function()
      local list = collect(client, { "USD" }, { amounts = "string" })
      assert.equal("5000.25", list[1].balance.available_balance)
      sandbox.fault { kind = "status", status = 503, times = 5 }
      list = collect(client, { "USD" }, { max_retries = 4 })
      assert.equal(5, list[1].err.attempts)
      sandbox.fault { kind = "hang" }
      list = collect(client, { "USD" }, { timeout = 0.2, max_retries = 0 })
      fixture.failed("timeout", list[1].balance, list[1].message, list[1].err)
      list = collect(client, { "SGD" }, { on_behalf_of = sandbox.sub_account })
      assert.equal(222.2, list[1].balance.available_balance)
    end)

    it("options of a query, which take precedence", function()
      sandbox.fault { kind = "status", status = 503, times = 2 }
      local list = collect(client, {
        { currency = "USD", amounts = "string", max_retries = 0,
          on_behalf_of = sandbox.sub_account },
        { currency = "SGD" },
      }, { max_retries = 2, concurrency = 1 })
      assert.equal(1, list[1].err.attempts)
      assert.equal(10000, list[2].balance.available_balance)
    end)

    it("keys of queries", function()
      local key = uqpay.uuid()
      collect(client, { { currency = "USD", idempotency_key = key } })
      assert.equal(key, sandbox.requests()[1].headers["x-idempotency-key"])
      local list = collect(client, { { currency = "USD", idempotency_key = key } })
      assert.equal("idempotency", list[1].err.kind)
    end)
  end)

  describe("refuses", function()
    it("unknown options, and names them", function()
      local function with(options)
        return function()
          -- no tail call: messages need the method's name
          local iterator = client:batch({}, options)
          return iterator
        end
      end
      refused("unknown option 'concurency' to 'batch' (did you mean 'concurrency'?)",
        with { concurency = 3 })
      refused("unknown option 'timeuot' to 'batch' (did you mean 'timeout'?)",
        with { timeuot = 3 })
      refused("'token' to 'batch'", with { token = "t" })
      for _, value in ipairs { 0, 1001, 1.5, -1, "3", true, {}, 0 / 0 } do
        refused("option 'concurrency' to 'batch'", with { concurrency = value })
      end
      for _, value in ipairs { 1, "x", true, {} } do
        refused("option 'progress' to 'batch'", with { progress = value })
      end
      for _, name in ipairs { "currency", "idempotency_key", "allow_key_reuse" } do
        refused("option '" .. name .. "' to 'batch' (it belongs to a query)",
          with { [name] = "USD" })
      end
      refused("__index", with(setmetatable({}, { __index = { timeout = 1 } })))
      refused("argument #2 to 'batch' (table expected, got number)", with(5))
    end)

    it("values that are not a source", function()
      for _, source in ipairs { 5, "USD", true, io.stdout } do
        refused("argument #1 to 'batch' (list or iterator function expected, got "
          .. type(source) .. ")", function()
            local iterator = client:batch(source)
            return iterator
          end)
      end
      refused("got nil)", client.batch, client)
    end)

    it("a closed client", function()
      client:close()
      refused("closed uqpay client", client.batch, client, {})
    end)
  end)

  describe("whose client is closed", function()
    it("in its loop: the calls in flight are canceled, then it raises", function()
      sandbox.fault { kind = "hang", times = 100 }
      local asked, n = 0, 0
      local function source()
        asked = asked + 1
        return asked == 1 and "usd" or "USD"
      end
      refused("attempt to use a closed uqpay client", function()
        for query, balance, message, err in client:batch(source,
          { concurrency = 5 }) do
          n = n + 1
          if query == "usd" then
            client:close()
          else
            fixture.failed("canceled", balance, message, err)
          end
        end
      end)
      assert.equal(6, n)
    end)

    it("by its source", function()
      local n = 0
      local iterator = client:batch(function()
        n = n + 1
        if n == 4 then client:close() end
        return "USD"
      end)
      local returned = 0
      local function loop()
        for _, balance, message, err in iterator do
          fixture.failed("canceled", balance, message, err)
          returned = returned + 1
        end
      end
      refused("attempt to use a closed uqpay client", loop)
      assert.equal(3, returned)
      assert.equal(4, n)
    end)

    it("by a hook", function()
      client:close()
      local one
      one = fixture.client { on_response = function() one:close() end }
      local returned = 0
      refused("attempt to use a closed uqpay client", function()
        for _ in one:batch((source_of(50)), { concurrency = 4 }) do
          returned = returned + 1
        end
      end)
      assert.is_true(returned >= 1 and returned <= 5, returned)
    end)
  end)

  it("is interrupted by Ctrl-C, which does not count as a query's failure", function()
    local interrupted = 0
    for nth = 1, 10 do
      -- From the moment when the source has given a query, the nth call of a function
      -- raises, as the interpreter's signal handler does.
      local n = 0
      local function source()
        if n > 0 then return nil end
        debug.sethook(function()
          n = n + 1
          if n == nth then
            debug.sethook()
            error("interrupted!", 0)
          end
        end, "c")
        return "USD"
      end
      local iterator = client:batch(source)
      local ok, query, balance, message, err = pcall(function()
        local query, balance, message, err = iterator()
        debug.sethook()
        return query, balance, message, err
      end)
      if not ok then
        assert.equal("interrupted!", query)
        interrupted = interrupted + 1
      elseif not balance then
        fixture.failed("decode", balance, message, err) -- the answer was half read
      end
    end
    assert.is_true(interrupted >= 3, interrupted)
  end)
end)
