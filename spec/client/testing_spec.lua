-- uqpay.testing: what it promises to the tests of a user.

local api = require "uqpay.testing.server.api"
local driver = require "spec.support.driver"
local json = require "uqpay.testing.server.json"
local testing = require "uqpay.testing"
local uqpay = require "uqpay"

-- Runs a function, which must raise an error that has this text, at a line of this file.
local function raises(text, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.matches(text, message, 1, true)
  return message
end

-- The same of a method; the error names the line of the caller.
local function refuses(text, sandbox, method, ...)
  local args, count = { ... }, select("#", ...)
  local unpack = table.unpack or unpack
  local message = raises(text, function()
    sandbox[method](sandbox, unpack(args, 1, count))
    return nil -- no tail call: the line of the call is wanted
  end)
  assert.matches("testing_spec.lua:%d+: ", message)
end

local function available(client, currency, options)
  options = options or {}
  options.amounts = "string"
  return assert(client:balance(currency or "USD", options)).available_balance
end

describe("uqpay.testing", function()
  local sandbox, client

  local function begin(seed, options)
    sandbox = testing.sandbox(seed)
    client = sandbox:client(options)
  end

  before_each(function() begin { balances = { USD = "5000.25" } } end)
  after_each(function() client:close() end)

  describe("client", function()
    it("has these balances, and a sandbox", function()
      local other, its = testing.client { USD = "17.00", SGD = { margin = "3" } }
      finally(function() other:close() end)
      assert.equal("17.00", available(other))
      assert.equal(3, other:balance "SGD".margin_balance)
      local _, _, err = other:balance "EUR"
      assert.equal("invalid_request", err.kind)
      its:assert_requests(3, "balance")
      its:assert_requests(1, "token")
    end)

    it("takes options of uqpay.new", function()
      local seen = 0
      local other, its = testing.client({ USD = "1" }, {
        max_retries = 0, on_request = function() seen = seen + 1 end,
      })
      finally(function() other:close() end)
      its:fail { status = 503 }
      assert.equal(1, select(3, other:balance "USD").attempts)
      assert.is_true(seen > 0)
    end)

    it("refuses options that uqpay.new refuses, at the line of the test", function()
      refuses("bad option 'timeout'", sandbox, "client", { timeout = -1 })
      assert.matches("testing_spec.lua:%d+: ", raises("bad option 'timeout'", function()
        local _ = testing.client({ USD = "1" }, { timeout = -1 })
      end))
    end)

    it("refuses bad balances by their name", function()
      raises('balances.USD must be text such as "100.00", got a number', testing.client,
        { USD = 5 })
    end)
  end)

  describe("error", function()
    it("makes the error of a call", function()
      local err = testing.error("rate_limit", { retry_after = 2, endpoint = "balances" })
      assert.equal("rate_limit", err.kind)
      assert.same({ 2, "balances", 429, true, 1, 0 }, { err.retry_after, err.endpoint,
        err.status, err.retryable, err.attempts, err.elapsed })
      assert.equal(err.message, tostring(err))
      sandbox:fail { status = 500 }
      client = sandbox:client { max_retries = 0 }
      local real = select(3, client:balance "USD")
      assert.equal(getmetatable(real), getmetatable(err))
      for _, name in ipairs { "kind", "message", "endpoint", "attempts", "elapsed",
        "retryable" } do
        assert.equal(type(real[name]), type(err[name]), name)
      end
      assert.equal("gone", tostring(testing.error("connect", { message = "gone" })))
    end)

    it("of each kind, and of no other", function()
      for _, kind in ipairs(uqpay.kinds) do
        assert.equal(kind, testing.error(kind).kind)
      end
      for _, kind in ipairs { "fire", "" } do
        raises("unknown kind: " .. kind, testing.error, kind)
      end
      raises("unknown kind: nil", testing.error)
    end)

    it("has what the error of a real call has, with the same values", function()
      for _, fault in ipairs {
        { status = 400 }, { status = 403 }, { status = 404 }, { status = 409 },
        { status = 429, retry_after = 2 }, { status = 500 }, { kind = "connect" },
        { kind = "dns" }, { kind = "tls" }, { kind = "protocol" }, { odd = "huge" },
        { odd = "empty" }, { odd = "body", body = "{}" },
      } do
        local other, its = testing.client({ USD = "1" }, { max_retries = 0 })
        its:fail(fault)
        local real = select(3, other:balance "USD")
        other:close()
        local made = testing.error(real.kind, { retry_after = fault.retry_after })
        for _, name in ipairs { "endpoint", "attempts", "elapsed", "retryable", "status",
          "retry_stopped", "retry_after" } do
          assert.same({ name, real[name] }, { name, made[name] }, real.kind)
          assert.equal(tostring(real[name]), tostring(made[name]))
        end
      end
      assert.equal("canceled", testing.error("canceled").retry_stopped)
      assert.equal("max_retries", testing.error("conflict", { retryable = true })
        .retry_stopped)
    end)

    it("refuses fields that no error has, at the line of the test", function()
      for text, fields in pairs {
        ["unknown field: typo"] = { typo = 1 },
        ["unknown field: kind"] = { kind = "auth" },
        ["status must be a number, got a string"] = { status = "404" },
        ["retryable must be a boolean"] = { retryable = 1 },
        ["code must be a string or number, got a table"] = { code = {} },
        ["unknown endpoint: blance"] = { endpoint = "blance" },
        ["a table of fields expected, got a string"] = "x",
      } do
        assert.matches("testing_spec.lua:%d+: error: ", raises(text, function()
          local _ = testing.error("api", fields)
        end))
      end
    end)
  end)

  describe("a seed", function()
    it("has balances, accounts and settings", function()
      local id = "b5d7f924-0c6e-4183-9a2b-e1f84c7d3a22"
      begin {
        balances = { USD = { available = "1.10", margin = "2", frozen = "-3.00",
          status = "PENDING" } },
        accounts = {
          { id = id, name = "Berlin office", balances = { EUR = "12.00" } },
          { name = "Closed", status = "CLOSED", business = { "ISSUING" } },
          { short_id = "CB0000000001", business = { "BANKING" } },
        },
        settings = { amounts = "string" },
      }
      local balance = assert(client:balance("USD", { amounts = "string" }))
      assert.same({ "1.10", "2", "-3.00", "PENDING" }, { balance.available_balance,
        balance.margin_balance, balance.frozen_balance, balance.balance_status })
      assert.equal("12.00", available(client, "EUR", { on_behalf_of = id }))
      local names, ids = {}, {}
      for account in client:each_account() do
        names[#names + 1] = account.account_name .. " " .. account.status
        ids[#ids + 1] = account.short_reference_id
      end
      assert.same({ "Berlin office ACTIVE", "Closed CLOSED", "Account 3 ACTIVE" }, names)
      assert.equal("CB0000000001", ids[3])
      local _, _, err = client:balance("EUR", { on_behalf_of = ids[2] })
      assert.equal("invalid_request", err.kind)
      sandbox:settings { amounts = "number" }
      sandbox:reset()
      assert.equal("string", sandbox.world.state.settings.amounts)
    end)

    it("is the server's, if there is none", function()
      begin()
      assert.equal("12345678901234567890.12", available(client, "XUSD"))
      local count = 0
      for item in client:each_transaction { currency = "USD" } do
        count = count + (item.currency == "USD" and 1 or 0)
      end
      assert.is_true(count > 100)
    end)

    it("that is wrong names the field", function()
      for text, seed in pairs {
        ["seed.balance: unknown field"] = { balance = {} },
        ["balances must be a table, got a string"] = { balances = "5" },
        ['balances.USD must be text such as "100.00"'] = { balances = { USD = "5,00" } },
        ["balances.USD.frozen must be text"] = { balances = { USD = { frozen = 1 } } },
        ["balances.USD.frost: unknown"] = { balances = { USD = { frost = "1" } } },
        ["balances.SGD must be text"] = { balances = { SGD = "007" } },
        ["balances.TND must be text"] = { balances = { TND = "1." } },
        ["balances.USD.status must be"] = { balances = { USD = { status = 1 } } },
        ['like "USD", got usd'] = { balances = { usd = "1" } },
        ["accounts must be a list"] = { accounts = { id = "x" } },
        ["accounts[1] must be a table"] = { accounts = { "x" } },
        ["accounts[2].id must be text like"] = { accounts = { {}, { id = "x" } } },
        ["accounts[1].short_id must be"] = { accounts = { { short_id = "CB123" } } },
        ['short_id must be text like "CB'] =
          { accounts = { { short_id = "CB" .. ("1"):rep(21) } } },
        ["accounts[1].name must be"] = { accounts = { { name = 5 } } },
        ["accounts[1].balances.USD must be"] =
          { accounts = { { balances = { USD = 1 } } } },
        ["accounts[1].business must be a list"] = { accounts = { { business = {} } } },
        ['two with the name "A"'] = { accounts = { { name = "A" }, { name = "A" } } },
        ["settings: unknown setting: amount"] = { settings = { amount = "x" } },
        ['settings: amounts cannot be "x"'] = { settings = { amounts = "x" } },
        ["clock must be a table with"] = { clock = { now = os.time } },
        ["clock.now must return Unix seconds"] =
          { clock = { now = function() return "x" end, sleep = os.time } },
        ["balances.USD has more than 38 digits"] = { balances = { USD = ("9"):rep(39) } },
        ['got "1.00\\n"'] = { balances = { USD = "1.00\n" } },
        ["balances.USD.frozen must be text such"] =
          { balances = { USD = { frozen = false } } },
        ["sandbox: accounts must be a list"] = { accounts = { {}, [3] = {} } },
        [": accounts must be a list"] = { accounts = { {}, name = "x" } },
        ["accounts[1].business must be a list such as"] =
          { accounts = { { business = { "ISSUING", x = 1 } } } },
        ["accounts[2].short_id must be"] = { accounts = { {}, { short_id = "CB123" } } },
        ["balances has __index"] =
          { balances = setmetatable({}, { __index = { USD = "1" } }) },
        ["a table with __index"] = setmetatable({}, { __index = { balances = {} } }),
        ["settings: token_life must be at least 0"] = { settings = { token_life = -1 } },
        ["settings: token_life is not a number"] = { settings = { token_life = 0 / 0 } },
        ["settings: delay must be at most 1000000000"] =
          { settings = { delay = math.huge } },
        ["settings: rate_limit must be a whole"] = { settings = { rate_limit = 1.5 } },
        ["settings: token_bytes must be at most"] = { settings = { token_bytes = 1e12 } },
        ["settings: time must be at most"] = { settings = { time = 1e300 } },
        ["settings: retry_after has control bytes"] =
          { settings = { retry_after = "1\r\nx: y" } },
      } do
        local message = raises(text, function()
          local _ = testing.sandbox(seed)
        end)
        assert.matches("testing_spec.lua:%d+: sandbox: ", message)
      end
      raises("a table expected, got a string", testing.sandbox, "x")
    end)
  end)

  it("is several sandboxes side by side", function()
    local other, its = testing.client { USD = "1" }
    finally(function() other:close() end)
    its:spend(nil, "USD", "0.5")
    its:fail { status = 404 }
    assert.equal("5000.25", available(client))
    assert.is_nil((other:balance "USD"))
    assert.equal("0.5", available(other))
    sandbox:assert_requests(1, "balance")
  end)

  it("is a transport by itself", function()
    local request = { method = "GET", url = "https://x/api/v1/accounts", headers = {} }
    assert.equal(401, sandbox(request).status)
    assert.equal(401, sandbox.transport(request).status)
    for _, transport in ipairs { sandbox, sandbox.transport } do
      local other = uqpay.new { transport = transport, clock = sandbox.clock,
        token = sandbox.token }
      assert.equal("5000.25", available(other))
      other:close()
    end
  end)

  it("is for event loops, too", function()
    for _, name in ipairs { "cqueues", "luv", "copas" } do
      if pcall(require, name) then
        local other = require("uqpay." .. name).new(sandbox:options())
        assert.equal("5000.25", available(other))
        other:close()
      end
    end
  end)

  describe("the clock", function()
    it("begins now, and moves by waits and orders only", function()
      assert.is_true(math.abs(sandbox.clock.now() - os.time()) < 60)
      local before, real = sandbox.clock.now(), os.time()
      sandbox:fail { status = 503, times = 2, retry_after = 20 }
      assert.equal("5000.25", available(client, "USD", { timeout = 100 }))
      local waited = sandbox.clock.now() - before
      assert.is_true(waited >= 40 and waited < 80, waited)
      assert.is_true(os.time() - real < 20)
      before = sandbox.clock.now()
      sandbox:advance(3600)
      assert.equal(before + 3600, sandbox.clock.now())
      for _, seconds in ipairs { -1, math.huge, 0 / 0, "1" } do
        refuses("a number of seconds expected", sandbox, "advance", seconds)
      end
    end)

    it("can be the program's", function()
      local now, slept = 1e9, 0
      begin { balances = { USD = "1" }, clock = {
        now = function() return now end,
        sleep = function(seconds)
          slept, now = slept + seconds, now + seconds
        end,
      } }
      sandbox:fail { slow = 5 }
      assert.is_table(client:balance "USD")
      assert.equal(5, slept)
      assert.equal(1e9, sandbox:requests "balance"[1].time)
      sandbox:advance(1)
      assert.equal(6, slept)
    end)

    -- Unix seconds in a double have steps of 0.24 microseconds.
    it("ends waits that are shorter than a step of it", function()
      local now, sleeps = 1795987974, 0
      begin { balances = { USD = "1" }, clock = {
        now = function() return now end,
        sleep = function(seconds)
          sleeps, now = sleeps + 1, now + seconds
          assert(sleeps < 1000, "the client sleeps for ever")
        end,
      } }
      for _ = 1, 20 do
        sandbox:fail { status = 503, times = 2 }
        assert.is_table(client:balance "USD")
      end
      assert.is_true(sleeps >= 40)
    end)

    it("lets tokens end", function()
      assert.is_table(client:balance "USD")
      sandbox:advance(1000)
      assert.is_table(client:balance "USD")
      sandbox:assert_requests(1, "token")
      sandbox:advance(900)
      assert.is_table(client:balance "USD")
      sandbox:assert_requests(2, "token")
    end)
  end)

  describe("fail", function()
    local function failure(fault, options)
      options = options or {}
      options.max_retries = 0
      sandbox:fail(fault)
      return select(3, client:balance("USD", options))
    end

    it("answers with a status", function()
      local err = failure { status = 503, message = "gone" }
      assert.same({ "api", 503 }, { err.kind, err.status })
      assert.matches("gone", err.message, 1, true)
      assert.equal(7, failure { status = 429, retry_after = 7 }.retry_after)
      assert.equal("decode", failure { status = 200, body = "x" }.kind)
      assert.equal(20001, failure { status = 500, code = 20001 }.code)
      assert.matches("no JSON", failure { status = 500, shape = "F" }.message)
      assert.is_nil(failure({ status = 403, shape = "C" }).code)
    end)

    it("has every shape of the API's errors", function()
      for shape, case in pairs {
        A = { 400, "invalid_request", "closed" },
        B = { 400, "invalid_request", "closed" },
        C = { 401, "auth", "closed" }, D = { 403, "permission", "closed" },
        E = { 429, "rate_limit", "closed" }, F = { 502, "api", "HTTP 502" },
        G = { 200, "invalid_request", "closed" }, H = { 429, "rate_limit", "closed" },
      } do
        sandbox:reset()
        local one = sandbox:client { max_retries = 0 }
        finally(function() one:close() end)
        sandbox:fail { status = case[1], shape = shape, message = "closed", times = 2 }
        local _, message, err = one:balance "USD"
        assert.same({ case[1], case[2] }, { err.status, err.kind }, shape)
        assert.matches(case[3], message, 1, true)
      end
      refuses("shape must be one of A to H", sandbox, "fail",
        { status = 400, shape = "X" })
      refuses("shape has no effect with slow", sandbox, "fail",
        { slow = 1, shape = "A" })
    end)

    it("loses requests and answers", function()
      local key = uqpay.uuid()
      assert.equal("connect", failure { lost = "before" }.kind)
      assert.equal("connect", failure({ lost = "after" }, { idempotency_key = key }).kind)
      sandbox:set_balance(nil, "USD", "1")
      -- it was worked on: the key has its answer
      assert.equal("5000.25", available(client, "USD",
        { idempotency_key = key, allow_key_reuse = true }))
      assert.equal("1", available(client))
    end)

    it("cuts, garbles, swells answers", function()
      for _, case in ipairs {
        { "connect", cut = true }, { "connect", cut = 0 },
        { "protocol", odd = "garbage" },
        { "api", odd = "html" }, { "decode", odd = "empty" },
        { "protocol", odd = "redirect" }, { "conflict", odd = "processing" },
        { "too_large", odd = "huge" }, { "decode", odd = "body", body = "{" },
      } do
        local kind = table.remove(case, 1)
        assert.equal(kind, failure(case).kind)
      end
    end)

    it("breaks the wire in every way", function()
      for _, kind in ipairs { "connect", "dns", "tls", "timeout", "protocol" } do
        assert.equal(kind, failure({ kind = kind }, { timeout = 9 }).kind)
      end
      local err = failure { kind = "connect", message = "no route" }
      assert.matches("no route", err.message, 1, true)
      local before = sandbox.clock.now()
      assert.equal("timeout", failure({ kind = "timeout" }, { timeout = 9 }).kind)
      assert.equal(9, math.floor(sandbox.clock.now() - before + 0.5))
    end)

    it("is slow: an answer, or a timeout", function()
      local before = sandbox.clock.now()
      sandbox:fail { slow = 5 }
      assert.equal("5000.25", available(client, "USD", { timeout = 6 }))
      assert.equal(5, math.floor(sandbox.clock.now() - before + 0.5))
      assert.equal("timeout", failure({ slow = 5 }, { timeout = 5 }).kind)
      assert.equal(10, math.floor(sandbox.clock.now() - before + 0.5))
    end)

    it("leaves the key of a slow request in progress", function()
      local key = uqpay.uuid()
      assert.equal("timeout", failure({ slow = 5 },
        { timeout = 2, idempotency_key = key }).kind)
      local function again()
        return client:balance("USD", { max_retries = 0, amounts = "string",
          idempotency_key = key, allow_key_reuse = true })
      end
      assert.equal("conflict", select(3, again()).kind)
      sandbox:advance(3)
      assert.equal("5000.25", again().available_balance)
    end)

    it("strikes so many times, behind so many, at the place", function()
      begin { balances = { USD = "1" }, accounts = { { name = "A",
        balances = { USD = "2" } } } }
      client = sandbox:client { max_retries = 0 }
      local id = sandbox:requests()[1] == nil and sandbox.world.directory.by_name.A.id
      sandbox:fail { status = 500, times = 2, skip = 1, endpoint = "balance",
        account = "A" }
      local results = {}
      for n = 1, 4 do
        results[n] = client:balance("USD", { on_behalf_of = id }) ~= nil
        assert.is_table(client:balance "USD")
      end
      assert.same({ true, false, false, true }, results)
      sandbox:assert_no_faults_left()
      sandbox:fail { status = 500, endpoint = "token" }
      assert.is_table(client:balance "USD") -- it has a token
      assert.has_error(function() sandbox:assert_no_faults_left() end)
      sandbox:clear_faults()
      sandbox:assert_no_faults_left()
      sandbox:fail { status = 500 }
      sandbox:reset()
      sandbox:assert_no_faults_left()
    end)

    it("finds an account by its short id as well", function()
      begin { accounts = { { name = "A", short_id = "CB0000000007",
        balances = { USD = "2" } } } }
      sandbox:fail { lost = "before", account = "CB0000000007", times = 9 }
      for _, id in ipairs { "CB0000000007", sandbox.world.directory.by_name.A.id } do
        local _, _, err = client:balance("USD", { on_behalf_of = id, max_retries = 0 })
        assert.equal("connect", err.kind)
      end
    end)

    it("refuses what it does not understand", function()
      for text, fault in pairs {
        ["one of status, lost, slow, cut, odd and kind"] = {},
        ["only one of"] = { status = 500, slow = 1 },
        ["unknown field: state"] = { state = 500 },
        ["status must be a number, got a string"] = { status = "500" },
        ["status must be a whole number from 200"] = { status = 99 },
        ['lost must be one of "before", "after"'] = { lost = true },
        ["slow must be a number"] = { slow = "1" },
        ["cut must be true or a whole number of bytes"] = { cut = "1" },
        ['odd must be one of "garbage", "html"'] = { odd = "x" },
        ["body must be a string"] = { odd = "body" },
        ['kind must be one of "connect", "dns"'] = { kind = "fire" },
        ["times must be a whole number"] = { status = 500, times = 1.5 },
        ["skip must be a whole number"] = { status = 500, skip = "1" },
        ["endpoint must be one of"] = { status = 500, endpoint = "x" },
        ["not a connected account: B"] = { status = 500, account = "B" },
        ["not a connected account: master"] = { status = 500, account = "master" },
        ["message has no effect with lost"] = { lost = "after", message = "x" },
        ["headers must be a table"] = { status = 500, headers = 5 },
        ["retry_after must be a number"] = { status = 500, retry_after = true },
        ["a table expected, got a number"] = 5,
        ["cut must be true or a whole number"] = { cut = -1 },
        ["slow must be a number of seconds"] = { slow = 0 / 0 },
        ["times must be a whole number from 1"] = { status = 500, times = 0 },
        ["skip must be a whole number from 0"] = { status = 500, skip = math.huge },
        ["retry_after must be a number of seconds"] = { status = 500, retry_after = -1 },
        ["retry_after must be a number of seconds or a string"] =
          { status = 500, retry_after = "1\r\nx" },
        ["headers: a must be a string of one line"] =
          { status = 500, headers = { a = "x\r\nb: c" } },
        ["headers: not the name of a header: 1"] = { status = 500, headers = { "a" } },
        ["headers: not the name of a header: a b"] =
          { status = 500, headers = { ["a b"] = "" } },
        ['body has no effect with odd = "html"'] = { odd = "html", body = "x" },
        ["message has no effect with body"] = { status = 500, body = "", message = "x" },
        ["shape has no effect with slow"] = { slow = 1, shape = "A" },
        ["shape must be one of A to H"] = { status = 500, shape = "Z" },
      } do
        refuses(text, sandbox, "fail", fault)
      end
      sandbox:assert_no_faults_left()
    end)
  end)

  describe("money", function()
    local function entries(options)
      local list = {}
      options = options or {}
      options.amounts = "string"
      for item in client:each_transaction(options) do
        list[#list + 1] = { item.transaction_type, item.amount, item.ending_balance }
      end
      return list
    end

    it("is moved exactly, with transactions", function()
      sandbox:spend(nil, "USD", "0.26")
      assert.equal("4999.99", available(client))
      sandbox:advance(60)
      sandbox:deposit(nil, "USD", "12345678901234567890.01")
      assert.equal("12345678901234572890.00", available(client))
      sandbox:advance(60)
      sandbox:spend(nil, "USD", "12345678901234572890.5")
      assert.equal("-0.50", available(client))
      assert.same({
        { "ISSUING_AUTHORIZATION", "-12345678901234572890.5", "-0.50" },
        { "DEPOSIT", "12345678901234567890.01", "12345678901234572890.00" },
        { "ISSUING_AUTHORIZATION", "-0.26", "4999.99" },
      }, entries())
    end)

    it("is moved at the sandbox's time", function()
      local begun = sandbox.clock.now()
      sandbox:advance(86400)
      local id = sandbox:deposit(nil, "USD", "1")
      local item = client:transactions({ page_size = 10 }).data[1]
      assert.equal(id, item.transaction_id)
      assert.equal(begun + 86400, uqpay.parse_time(item.create_time))
      local balance = client:balance "USD"
      assert.equal(item.balance_id, balance.balance_id)
      assert.equal(item.create_time, balance.last_trade_time)
    end)

    it("of connected accounts, by name, id and short id", function()
      begin { accounts = { { name = "A", short_id = "CB0000000007",
        balances = { USD = "2" } } } }
      local id = sandbox.world.directory.by_name.A.id
      for _, name in ipairs { "A", "CB0000000007", id } do
        sandbox:deposit(name, "USD", "1.5")
      end
      assert.equal("6.5", available(client, "USD", { on_behalf_of = id }))
      assert.equal(3, #entries { on_behalf_of = id })
      assert.equal(0, #entries())
      sandbox:deposit(nil, "EUR", "1")
      assert.equal("1", available(client, "EUR"))
    end)

    it("is set and removed, without transactions", function()
      sandbox:set_balance(nil, "USD", "1.00")
      assert.equal("1.00", available(client))
      sandbox:set_balance(nil, "USD", { frozen = "2", status = "CLOSED" })
      local balance = client:balance "USD"
      assert.same({ 1, 2, "CLOSED" }, { balance.available_balance,
        balance.frozen_balance, balance.balance_status })
      sandbox:set_balance(nil, "USD", nil)
      assert.is_nil((client:balance "USD"))
      assert.same({}, entries())
      sandbox:reset()
      assert.equal("5000.25", available(client))
    end)

    it("is in transactions of one's own", function()
      local id = sandbox:add_transaction(nil, { amount = "-5.00",
        transaction_type = "FEE", create_time = "2026-01-01T00:00:00+08:00" })
      sandbox:add_transaction(nil)
      local list = client:transactions({ page_size = 10 }).data
      assert.equal(2, #list)
      assert.equal(id, list[2].transaction_id)
      assert.equal(-5, list[2].amount)
      assert.equal("5000.25", available(client))
    end)

    it("that is wrong is refused", function()
      for text, args in pairs {
        ["unknown account: B"] = { "B", "USD", "1" },
        ['currency must be like "USD"'] = { nil, "usd", "1" },
        ['amount must be text such as "100.00", got a number'] = { nil, "USD", 1 },
        ["amount must be more than zero"] = { nil, "USD", "0.00" },
        ['amount must be text such as "100.00"'] = { nil, "USD", "1e3" },
      } do
        for _, method in ipairs { "deposit", "spend" } do
          refuses(text, sandbox, method, args[1], args[2], args[3])
        end
      end
      refuses("amount must be more than zero", sandbox, "spend", nil, "USD", "-1")
      sandbox:set_balance(nil, "SGD", ("9"):rep(38))
      refuses("the balance would be out of range: ", sandbox, "deposit", nil, "SGD", "1")
      assert.equal(("9"):rep(38), available(client, "SGD"))
      refuses("available must be text", sandbox, "set_balance", nil, "USD", 1)
      refuses("unknown field: frost", sandbox, "set_balance", nil, "USD", { frost = "1" })
      refuses("status must be text", sandbox, "set_balance", nil, "USD",
        { status = 1 })
      refuses("unknown field: sum", sandbox, "add_transaction", nil, { sum = "1" })
      for text, fields in pairs {
        ["unknown field: times"] = { times = 1e9 },
        ["unknown field: account"] = { account = "B" },
        ['amount must be text such as "100.00", got "1e5"'] = { amount = "1e5" },
        ["ending_balance must be text"] = { ending_balance = "x" },
        ['currency must be like "USD", got usd'] = { currency = "usd" },
        ["a table expected, got a string"] = "x",
      } do
        refuses(text, sandbox, "add_transaction", nil, fields)
      end
      refuses("amount must be text", sandbox, "add_transaction", nil, { amount = 1 })
      assert.equal("5000.25", available(client))
      assert.same({}, entries())
    end)
  end)

  it("keeps an ending balance that is empty, as the API sends it", function()
    for _, form in ipairs { "number", "string", "mixed" } do
      sandbox:settings { amounts = form }
      sandbox:add_transaction(nil, { amount = "1.50", ending_balance = "" })
      local item = assert(client:transactions { amounts = "string" }).data[1]
      assert.equal("1.50", item.amount)
      assert.is_nil(item.ending_balance)
    end
  end)

  it("names the argument that is missing, and the colon", function()
    refuses("unknown account: USD (nil is the account of the token)", sandbox, "deposit",
      "USD", "1.00")
    for _, name in ipairs { "deposit", "client", "requests", "options", "reset" } do
      assert.matches("testing_spec.lua:%d+: ", raises(
        ("sandbox.%s: call it with a colon"):format(name), function()
          local _ = sandbox[name](nil, "USD", "1.00")
        end))
    end
    local inherited = setmetatable({}, { __index = { timeout = 5 } })
    for _, options in ipairs { 5, "x", inherited } do
      refuses("sandbox:client: a table", sandbox, "client", options)
      refuses("sandbox:options: a table", sandbox, "options", options)
      assert.matches("testing_spec.lua:%d+: ", raises("a table", function()
        local _ = testing.client({}, options)
      end))
    end
    refuses("a table expected, got a nil", sandbox, "settings")
    refuses("the clock ends with the year 9999", sandbox, "advance", 1e15)
  end)

  it("adds accounts until a reset", function()
    local id = sandbox:add_account { name = "New", balances = { USD = "3.00" } }
    assert.equal("3.00", available(client, "USD", { on_behalf_of = id }))
    sandbox:deposit("New", "USD", "1")
    local second = sandbox:add_account {}
    assert.equal("4.00", available(client, "USD", { on_behalf_of = id }))
    assert.not_equal(id, second)
    assert.equal(2, #client:accounts({ page_size = 10 }).data)
    refuses("there is an account with the name New", sandbox, "add_account",
      { name = "New" })
    refuses("account.balances.USD must be text", sandbox, "add_account",
      { balances = { USD = 1 } })
    sandbox:reset()
    assert.equal(0, #client:accounts({ page_size = 10 }).data)
  end)

  it("ends tokens", function()
    assert.is_table(client:balance "USD")
    sandbox:expire_tokens()
    assert.is_table(client:balance "USD")
    sandbox:assert_requests(2, "token")
    local other = sandbox:client { token = sandbox.token }
    finally(function() other:close() end)
    assert.equal("auth", select(3, other:balance "USD").kind)
  end)

  it("behaves as set, until a reset", function()
    sandbox:settings { rate_limit = 1, rate_window = 10, retry_after = "seconds" }
    client = sandbox:client { max_retries = 0 }
    assert.is_table(client:balance "USD")
    local err = select(3, client:balance "USD")
    assert.same({ "rate_limit", 10 }, { err.kind, err.retry_after })
    sandbox:advance(10)
    assert.is_table(client:balance "USD")
    sandbox:reset()
    assert.is_table(client:balance "USD")
    assert.is_table(client:balance "USD")
    refuses("unknown setting: x", sandbox, "settings", { x = 1 })
    refuses("a table expected", sandbox, "settings")
  end)

  describe("a journal", function()
    it("has what arrived, as copies", function()
      begin { balances = { USD = "1" }, accounts = { { name = "A",
        balances = { USD = "2" } } } }
      local id = sandbox.world.directory.by_name.A.id
      local key = uqpay.uuid()
      client:balance("USD", { on_behalf_of = id, idempotency_key = key })
      client:transactions { page_size = 10, currency = "EUR" }
      local list = sandbox:requests()
      assert.same({ "token", "balance", "transactions" },
        { list[1].endpoint, list[2].endpoint, list[3].endpoint })
      assert.same({ "POST", "USD", id, key, 200 }, { list[2].method,
        list[2].fields.currency, list[2].account, list[2].idempotency_key,
        list[2].status })
      assert.same({ "GET", "EUR", "10" }, { list[3].method, list[3].fields.currency,
        list[3].fields.page_size })
      assert.equal("Bearer " .. list[2].token, list[3].headers["x-auth-token"])
      list[2].headers["x-auth-token"], list[2].status = nil, nil
      assert.equal(200, sandbox:requests "balance"[1].status)
      assert.is_string(sandbox:requests "balance"[1].headers["x-auth-token"])
      assert.equal(1, #sandbox:requests { account = "A", currency = "USD" })
      assert.equal(0, #sandbox:requests { account = "A", currency = "EUR" })
      assert.equal(1, #sandbox:requests { ["x-idempotency-key"] = key })
      refuses("unknown endpoint: x", sandbox, "requests", "x")
      refuses("unknown account: x", sandbox, "requests", { account = "x" })
      refuses("a table or the name of an endpoint", sandbox, "requests", 5)
    end)

    it("is asserted about, at the line of the test", function()
      client:balance "USD"
      sandbox:assert_requests(2)
      sandbox:assert_requests(1, "balance")
      sandbox:assert_requests(0, { status = 503 })
      assert.equal(2, sandbox:assert_called("balance", { currency = "USD" }).n)
      sandbox:fail { status = 503 }
      client:balance("SGD", { max_retries = 0 })
      refuses("expected 1 requests with endpoint = \"balance\", got 2; arrived:\n"
        .. "  1. token  -> 200\n"
        .. "  2. balance  currency = \"USD\"  -> 200\n"
        .. "  3. balance  currency = \"SGD\"  -> 503 (status)",
        sandbox, "assert_requests", 1, "balance")
      refuses("expected requests with currency = \"EUR\", endpoint = \"balance\", "
        .. "got none; arrived:", sandbox, "assert_called", "balance",
        { currency = "EUR" })
      refuses("unknown endpoint: nil", sandbox, "assert_called")
      refuses("a whole number of requests expected", sandbox, "assert_requests", "1")
      refuses("a whole number of requests expected, got 1.5", sandbox, "assert_requests",
        1.5)
      refuses("a table of fields expected", sandbox, "assert_called", "balance", "USD")
      sandbox:reset()
      refuses("got none; no request arrived", sandbox, "assert_called", "balance")
      sandbox:fail { status = 503, times = 2 }
      refuses('faults that no request has met:\n  {"endpoint":"api","kind":"status",'
        .. '"status":503,"times":2}', sandbox, "assert_no_faults_left")
    end)
  end)

  describe("a filter", function()
    it("refuses a name that no request has: a count of 0 would prove nothing", function()
      for _, method in ipairs { "requests", "assert_requests", "assert_called" } do
        local first = method == "assert_requests" and 0
          or method == "assert_called" and "balance" or nil
        local filter = { currncy = "USD" }
        if first then
          refuses("unknown field of a request: currncy", sandbox, method, first, filter)
        else
          refuses("unknown field of a request: currncy", sandbox, method, filter)
        end
      end
      refuses("unknown field of a request: 1", sandbox, "requests", { "balance" })
    end)

    it("knows numbers of arguments, headers in any case, our own account", function()
      begin { balances = { USD = "1" }, accounts = { { name = "A", balances = {} } } }
      client:transactions { page_number = 2 }
      client:balance("USD", { on_behalf_of = sandbox.world.directory.by_name.A.id })
      client:balance "USD"
      sandbox:assert_requests(1, { page_number = 2 })
      sandbox:assert_requests(1, { page_number = "2" })
      sandbox:assert_requests(0, { page_number = 1 })
      sandbox:assert_requests(2, { ["Content-Type"] = "application/json",
        endpoint = "balance" })
      sandbox:assert_requests(1, { account = "A" })
      sandbox:assert_requests(2, { account = sandbox.account_id })
      sandbox:assert_requests(1, { account = sandbox.account_id, endpoint = "balance" })
    end)

    it("that fails shows the last of many requests", function()
      for _ = 1, 150 do client:balance "USD" end
      local message = raises("(51 before these; the last 151 are remembered)",
        sandbox.assert_requests, sandbox, 1)
      assert.is_nil(message:find("\n  51. balance", 1, true))
      assert.matches("\n  151. balance", message, 1, true)
    end)
  end)

  it("needs nothing but Lua and lua-cjson for its core", function()
    local files = driver.lines(driver.output
      "grep -l ngx -r --include=*.lua src/uqpay/testing")
    assert.same({ "src/uqpay/testing/nginx.lua" }, files)
    local found = driver.output(
      "grep -ho 'require \"[^\"]*\"' -r src/uqpay/testing/server | sort -u")
    for name in found:gmatch 'require "([^"]+)"' do
      assert.is_true(name:find "^uqpay%.testing%.server%." ~= nil
        or name == "cjson.safe", name)
    end
  end)

  it("logs headers that came twice", function()
    sandbox { method = "GET", url = "https://x/api/v1/accounts", headers = {
      ["x-auth-token"] = { "Bearer a", "Bearer b" }, ["x-on-behalf-of"] = { "a", "b" },
    } }
    local request = sandbox:requests "accounts"[1]
    assert.equal(401, request.status)
    assert.same({ "Bearer a", "Bearer b" }, request.headers["x-auth-token"])
    assert.is_nil(request.token)
    assert.is_nil(request.account)
  end)

  it("has a core that needs no description of connections", function()
    local answer = api.answer(sandbox.world, {
      method = "GET", path = "/api/v1/accounts", headers = {}, body = "",
    })
    assert.equal(401, answer.status)
  end)

  it("does not depend on the program's configuration of cjson", function()
    local cjson = require "cjson.safe"
    cjson.encode_number_precision(3)
    cjson.decode_max_depth(1)
    finally(function()
      cjson.encode_number_precision(14)
      cjson.decode_max_depth(1000)
    end)
    sandbox:fail { status = 400, code = 4711 }
    assert.equal(400, select(3, client:balance "USD").status)
    assert.equal("[[12345.5]]", json.encode_fast(json.array { { 12345.5 } }))
    assert.same({ { {} } }, json.decode "[[[]]]")
  end)

  it("writes the same JSON on every Lua", function()
    assert.equal('{"a":[1,2.5,-0.125,1e+20],"b":{},"c":"\\"\\\\\\u0001\\u0000é/",'
      .. '"d":null,"e":[],"f":true}', json.encode {
        a = { 1, 2.5, -0.125, 1e20 }, b = {}, c = '"\\\1\0é/', d = json.null,
        e = json.array {}, f = true })
  end)
end)
