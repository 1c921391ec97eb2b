-- Calls that succeed: one balance from the call to the wire and back; then the life of a
-- client, its hooks and counters, and the module table.

local driver = require "spec.support.driver"
local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

local number_type = rawget(math, "type")     -- Lua 5.3 and later
local v4 = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-" .. ("%x"):rep(12) .. "$"
local closed = "attempt to use a closed uqpay client"

local dollars = {
  balance_id = "72970a7c-7921-431c-b95f-3438724ba16f", currency = "USD",
  available_balance = 5000.25, margin_balance = 10000, frozen_balance = 2353.25,
  create_time = "2024-03-21T17:17:32+08:00",
  last_trade_time = "2026-11-02T09:05:00+08:00", balance_status = "ACTIVE",
}

local function sent()
  local list = sandbox.requests()
  return list[#list], #list
end

local function is_new_key(key)
  assert.matches(v4, key)
  assert.equal(key:lower(), key)
end

local function raises(message, ...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.equal("string", type(err))
  assert.matches(message, err, 1, true)
end

-- Runs Lua code in a process of its own, with this interpreter; returns its output.
local function child(code)
  code = ("package.cpath = %q\n"):format(package.cpath) .. code
  return driver.output(driver.command(os.getenv "UQPAY_LUA", "-e", code) .. " 2>&1")
end

-- How many descriptors this process has open.
local function descriptors()
  local count = tonumber((driver.output "ls /proc/$PPID/fd | wc -l"))
  assert.is_true(count > 0, "there is no /proc here to count descriptors with")
  return count
end

describe("balance", function()
  local client

  fixture.with_client(function(made) client = made end)

  describe("returns", function()
    it("the eight documented fields, no more", function()
      assert.same(dollars, fixture.succeeded(client:balance "USD"))
    end)

    it("text as strings and amounts as floats", function()
      local balance = fixture.succeeded(client:balance "USD")
      for name, value in pairs(dollars) do
        assert.equal(type(value), type(balance[name]), name)
        if number_type and type(value) == "number" then
          assert.equal("float", number_type(balance[name]), name)
        end
      end
    end)

    it("exactly one value", function()
      assert.equal(1, select("#", client:balance "USD"))
      assert.equal(1, select("#", client:balance("USD", { amounts = "string" })))
      assert.equal(1, select("#", client:balance { currency = "USD" }))
    end)

    it("a value that assert passes through", function()
      assert.equal("USD", (assert(client:balance "USD")).currency)
    end)

    it("a table of its own at every call", function()
      local first = client:balance "USD"
      first.currency, first.available_balance, first.more = "XXX", 0, true
      assert.same(dollars, (client:balance "USD"))
    end)

    it("the balance as it is now, at every call", function()
      for _, amount in ipairs { "1.00", "2.00", "3.00" } do
        sandbox.balance { currency = "USD", available_balance = amount }
        assert.equal(tonumber(amount), client:balance "USD".available_balance)
      end
    end)

    it("numbers and strings on the wire alike", function()
      sandbox.settings { amounts = "string" }
      assert.same(dollars, fixture.succeeded(client:balance "USD"))
    end)

    it("every currency's own balance", function()
      for currency, available in pairs { USD = "5000.25", SGD = "10000.00",
        XUSD = "12345678901234567890.12" } do
        local balance = fixture.succeeded(client:balance { currency = currency,
          amounts = "string" })
        assert.equal(currency, balance.currency)
        assert.equal(available, balance.available_balance)
      end
    end)

    it("statuses as they are", function()
      for _, status in ipairs { "PENDING", "PROCESSING", "CLOSED", "SOMETHING_NEW" } do
        sandbox.balance { currency = "USD", balance_status = status }
        assert.equal(status, client:balance "USD".balance_status)
      end
    end)

    it("the balance of a 201, too", function()
      sandbox.fault { kind = "answer", status = 201, body = fixture.body(1) }
      assert.equal(1, fixture.succeeded(client:balance "USD").available_balance)
    end)
  end)

  describe("takes", function()
    it("a currency, a currency and options, only options", function()
      for _, arguments in ipairs {
        { "USD" }, { "USD", {} }, { "USD", { timeout = 5 } }, { { currency = "USD" } },
        { { currency = "USD", timeout = 5, max_retries = 0 } },
      } do
        assert.same(dollars,
          fixture.succeeded(client:balance(arguments[1], arguments[2])))
      end
      assert.same(dollars, fixture.succeeded(client:balance("USD", nil)))
    end)

    it("nothing, when the client has a currency", function()
      local one = fixture.client { currency = "SGD" }
      assert.equal("SGD", fixture.succeeded(one:balance()).currency)
      assert.equal("SGD", fixture.succeeded(one:balance {}).currency)
    end)

    it("a currency string that is made at run time", function()
      local text = ("USD"):lower()
      assert.same(dollars, fixture.succeeded(client:balance(text:upper())))
    end)

    it("a call from a coroutine", function()
      local thread = coroutine.wrap(function() return client:balance "USD" end)
      assert.same(dollars, thread())
    end)
  end)

  describe("of a sub-account", function()
    local accounts

    before_each(function()
      accounts = {
        { sandbox.sub_account, "USD", 111.11 }, { sandbox.sub_account, "SGD", 222.2 },
        { sandbox.other_sub_account, "USD", 0 },
        { sandbox.other_sub_account, "XUSD", 44444.4 },
      }
    end)

    it("is that account's, by an option of the call", function()
      for _, case in ipairs(accounts) do
        local balance = fixture.succeeded(
          client:balance(case[2], { on_behalf_of = case[1] }))
        assert.equal(case[2], balance.currency)
        assert.equal(case[3], balance.available_balance)
        assert.equal(case[1], sent().headers["x-on-behalf-of"])
      end
    end)

    it("is that account's, by an option of the client", function()
      for _, case in ipairs(accounts) do
        local one = fixture.client { on_behalf_of = case[1] }
        assert.equal(case[3], fixture.succeeded(one:balance(case[2])).available_balance)
      end
    end)

    it("does not stick to the next call", function()
      client:balance("USD", { on_behalf_of = sandbox.sub_account })
      assert.same(dollars, fixture.succeeded(client:balance "USD"))
      assert.is_nil(sent().headers["x-on-behalf-of"])
    end)

    it("which is unknown, closed, foreign or of another product is an error", function()
      for _, name in ipairs {
        "closed_sub_account", "banking_sub_account", "foreign_sub_account",
      } do
        local err = fixture.failed("invalid_request",
          client:balance("USD", { on_behalf_of = sandbox[name] }))
        assert.equal("sub_account_not_found", err.code)
        assert.equal(sandbox[name], err.on_behalf_of)
      end
    end)

    it("is sent in the letter case that was given", function()
      local id = sandbox.sub_account:upper()
      fixture.failed("invalid_request", client:balance("USD", { on_behalf_of = id }))
      assert.equal(id, sent().headers["x-on-behalf-of"])
    end)
  end)

  describe("on the wire is", function()
    local function head(url, key, more)
      return table.concat({
        "POST /api/v1/issuing/balances HTTP/1.1", "Host: " .. url:match "//([^/]+)",
        "User-Agent: lua-uqpay/" .. uqpay._VERSION, "Content-Type: application/json",
        "x-auth-token: Bearer " .. sandbox.token, "x-idempotency-key: " .. key,
      }, "\r\n") .. (more or "") .. "\r\nContent-Length: 18\r\n\r\n"
    end

    it("this head and body, byte by byte, over HTTP/1.1", function()
      client:balance "USD"
      local request = sent()
      local key = request.headers["x-idempotency-key"]
      is_new_key(key)
      assert.equal(head(sandbox.url, key), request.raw_headers)
      assert.equal('{"currency":"USD"}', request.body)
      assert.equal("1.1", request.http)
    end)

    it("the same with one line more for a sub-account", function()
      client:balance { currency = "SGD", on_behalf_of = sandbox.sub_account }
      local request = sent()
      assert.equal(head(sandbox.url, request.headers["x-idempotency-key"],
        "\r\nx-on-behalf-of: " .. sandbox.sub_account), request.raw_headers)
      assert.equal('{"currency":"SGD"}', request.body)
    end)

    it("these bytes and none after them, on a bare socket", function()
      local server = faulty.start { { read = true, send = "HTTP/1.1 200 OK\r\n\r\n" } }
      local one = fixture.client { base_url = server.url .. "/api" }
      local err = fixture.failed("decode", one:balance "USD")
      local bytes = server:requests()
      server:stop()
      assert.same({ head(server.url, err.idempotency_key) .. '{"currency":"USD"}' },
        bytes)
    end)

    it("the same fields over HTTP/2", function()
      local one = fixture.client { http_version = "2" }
      one:balance { currency = "XUSD", on_behalf_of = sandbox.other_sub_account }
      local request = sent()
      assert.equal("2", request.http)
      assert.equal("POST", request.method)
      assert.equal("/api/v1/issuing/balances", request.path)
      assert.is_nil(request.query)
      assert.equal('{"currency":"XUSD"}', request.body)
      is_new_key(request.headers["x-idempotency-key"])
      assert.same({
        host = sandbox.url:match "//([^/]+)",
        ["user-agent"] = "lua-uqpay/" .. uqpay._VERSION,
        ["content-type"] = "application/json", ["content-length"] = "19",
        ["x-auth-token"] = "Bearer " .. sandbox.token,
        ["x-idempotency-key"] = request.headers["x-idempotency-key"],
        ["x-on-behalf-of"] = sandbox.other_sub_account,
      }, request.headers)
    end)

    it("one request a call, each with a key of its own", function()
      local keys = {}
      for n = 1, 20 do
        fixture.succeeded(client:balance "USD")
        local request, count = sent()
        local key = request.headers["x-idempotency-key"]
        assert.equal(n, count)
        assert.is_nil(keys[key])
        is_new_key(key)
        keys[key] = true
      end
    end)

    it("encrypted by TLS 1.2 or later", function()
      client:balance "USD"
      assert.matches("^TLSv1%.[23]$", sent().tls)
    end)

    it("one connection for many calls, over HTTP/1.1 and HTTP/2", function()
      for _, version in ipairs { "1.1", "2" } do
        local one, connections = fixture.client { http_version = version }, {}
        for _ = 1, 5 do
          fixture.succeeded(one:balance "USD")
          fixture.failed("invalid_request", one:balance "EUR")
          connections[sent().connection] = true
        end
        local first = next(connections)
        assert.is_nil(next(connections, first))
        assert.equal(1, one:stats().connections)
        assert.equal(10, sent().connection_requests)
      end
    end)
  end)

  describe("a client", function()
    it("shows its host and no secret", function()
      local host = sandbox.url:match "//([^/]+)"
      assert.equal("uqpay.client (" .. host .. ")", tostring(client))
      client:close()
      assert.equal("uqpay.client (closed)", tostring(client))
    end)

    it("may be closed again and again", function()
      for _ = 1, 3 do assert.equal(0, select("#", client:close())) end
      fixture.client():close() -- one that was never used
    end)

    it("refuses to be used after its close, in these words", function()
      client:balance "USD"
      client:close()
      raises(closed, client.balance, client, "USD")
      raises(closed, client.balance, client, { timeout = -1 })
      raises(closed, client.stats, client)
      assert.equal(1, #sandbox.requests())
    end)

    it("has methods that reject any other value", function()
      local meta = getmetatable(client)
      for _, name in ipairs { "__gc", "__close", "__tostring" } do
        for _, other in ipairs { {}, io.stdout, 5 } do
          assert.is_false((pcall(meta[name], other)), name)
        end
        assert.is_false((pcall(meta[name])), name)
      end
      for name in pairs(meta.__index) do
        assert.is_false((pcall(client[name], {})), name)
      end
    end)

    it("may be collected by hand and then by Lua", function()
      client:balance "USD"
      getmetatable(client).__gc(client)
      raises(closed, client.balance, client, "USD")
      client = fixture.client()
      collectgarbage()
      collectgarbage()
    end)

    if _VERSION >= "Lua 5.4" then
      it("is closed at the end of its block by Lua 5.4", function()
        local run = assert(load [[
          local client, fail = ...
          local guarded <close> = client
          if fail then error "on the way" end
          return guarded:balance "USD"]])
        assert.same(dollars, run(client))
        raises(closed, client.balance, client, "USD")
        local second = fixture.client()
        raises("on the way", run, second, true)
        raises(closed, second.balance, second, "USD")
      end)
    end

    -- The count may be off by a few: the pipe to ls, descriptors that earlier specs have
    -- left, the last client, which Lua's stack still refers to. Twenty clients have at
    -- least twenty sockets.
    it("gives back its descriptors when it is closed or collected", function()
      for _, close in ipairs { true, false } do
        collectgarbage()
        collectgarbage()
        local before = descriptors()
        for _ = 1, 20 do
          local one = fixture.client()
          fixture.succeeded(one:balance "USD")
          if close then one:close() end
        end
        if not close then
          collectgarbage()
          collectgarbage()
        end
        assert.is_true(descriptors() < before + 20)
      end
    end)

    it("opens no descriptor before its first call", function()
      local before, clients = descriptors(), {}
      for n = 1, 20 do clients[n] = fixture.client() end
      assert.is_true(descriptors() < before + 20)
      for _, one in ipairs(clients) do one:close() end
    end)

    it("without a reference is not collected in the middle of its call", function()
      local one = fixture.client {
        on_request = function() collectgarbage() collectgarbage() end,
        on_response = function() collectgarbage() collectgarbage() end,
      }
      local balance = one.balance
      local function call()
        local arguments = { one, "USD" }
        one = nil
        return balance((table.remove(arguments, 1)), "USD")
      end
      assert.same(dollars, fixture.succeeded(call()))
    end)
  end)

  describe("two clients at once", function()
    it("keep their tokens, settings and answers apart", function()
      local other = fixture.client { token = sandbox.other_token, amounts = "string" }
      for _ = 1, 3 do
        assert.same(dollars, fixture.succeeded(client:balance "USD"))
        assert.equal("66666.60", fixture.succeeded(other:balance "USD").available_balance)
      end
      other:close()
      assert.same(dollars, fixture.succeeded(client:balance "USD"))
    end)

    it("may be used in each other's hooks", function()
      local other = fixture.client { token = sandbox.other_token }
      local inside = {}
      local function ask() inside[#inside + 1] = other:balance "USD".available_balance end
      local one = fixture.client { on_request = ask, on_response = ask }
      assert.same(dollars, fixture.succeeded(one:balance "USD"))
      assert.same({ 66666.6, 66666.6 }, inside)
    end)

    it("may alternate between coroutines", function()
      local function asking(one)
        return coroutine.wrap(function()
          while true do coroutine.yield(one:balance "USD") end
        end)
      end
      local first = asking(client)
      local second = asking(fixture.client { on_behalf_of = sandbox.sub_account })
      for _ = 1, 3 do
        assert.equal(5000.25, first().available_balance)
        assert.equal(111.11, second().available_balance)
      end
    end)
  end)

  describe("stats", function()
    it("count what the client did", function()
      assert.same({ calls = 0, succeeded = 0, failed = 0, attempts = 0, retries = 0,
        connections = 0, logins = 0, hook_errors = 0 }, client:stats())
      client:balance "USD"
      client:balance "SGD"
      client:balance "EUR"
      sandbox.fault { kind = "status", status = 503, times = 2, store = false }
      client:balance "USD"
      sandbox.fault { kind = "status", status = 503, times = 3, store = false }
      client:balance "USD"
      assert.same({ calls = 5, succeeded = 3, failed = 2, attempts = 9, retries = 4,
        connections = 1, logins = 0, hook_errors = 0 }, client:stats())
      assert.equal(9, #sandbox.requests())
    end)

    it("are whole numbers, in a table of their own", function()
      client:balance "USD"
      local stats = client:stats()
      for name, value in pairs(stats) do
        if number_type then assert.equal("integer", number_type(value), name) end
      end
      stats.calls = 99
      assert.equal(1, client:stats().calls)
    end)
  end)

  describe("hooks", function()
    local told

    local function hook(name)
      return function(...)
        assert(select("#", ...) == 1)
        told[#told + 1] = { hook = name, info = ... }
      end
    end

    local function hooked(changes)
      local all = {
        on_request = hook "request", on_response = hook "response",
        on_retry = hook "retry",
      }
      for name, value in pairs(changes or {}) do all[name] = value end
      return fixture.client(all)
    end

    local function names(info)
      local list = {}
      for name in pairs(info) do list[#list + 1] = name end
      table.sort(list)
      return table.concat(list, " ")
    end

    local function of(name)
      local list = {}
      for _, one in ipairs(told) do
        if one.hook == name then list[#list + 1] = one.info end
      end
      return list
    end

    local function order()
      local list = {}
      for _, one in ipairs(told) do list[#list + 1] = one.hook end
      return table.concat(list, " ")
    end

    before_each(function() told = {} end)

    it("are called for a call that succeeds", function()
      local one = hooked { on_behalf_of = sandbox.sub_account }
      one:balance "SGD"
      assert.equal("request response", order())
      local key = sent().headers["x-idempotency-key"]
      assert.same({
        endpoint = "balance", method = "POST", attempt = 1, currency = "SGD",
        url = sandbox.url .. "/v1/issuing/balances",
        on_behalf_of = sandbox.sub_account, idempotency_key = key,
      }, of "request"[1])
      local answer = of "response"[1]
      assert.equal("attempt currency elapsed endpoint idempotency_key method "
        .. "on_behalf_of request_id status url", names(answer))
      assert.equal(200, answer.status)
      assert.equal(key, answer.idempotency_key)
      assert.is_true(answer.elapsed > 0 and answer.elapsed < 30)
    end)

    it("are called for every attempt and every wait", function()
      -- in this order: on a connection that was used before, curl would resend by itself
      sandbox.fault { { kind = "drop_before" },
        { kind = "status", status = 503, store = false } }
      local one = hooked()
      assert.same(dollars, fixture.succeeded(one:balance "USD"))
      assert.equal("request response retry request response retry request response",
        order())
      for n, info in ipairs(of "request") do assert.equal(n, info.attempt) end
      local lost, failed, good = of "response"[1], of "response"[2], of "response"[3]
      assert.same({ nil, "connect" }, { lost.status, lost.kind })
      assert.same({ 503, "api" }, { failed.status, failed.kind })
      assert.matches("^HTTP 503", failed.message)
      assert.same({ 200, nil }, { good.status, good.kind })
      assert.is_nil(of "retry"[1].status)
      local retry = of "retry"[2]
      assert.equal("attempt currency endpoint idempotency_key kind message method status "
        .. "url wait", names(retry))
      assert.equal(503, retry.status)
      assert.is_true(retry.wait > 0 and retry.wait <= 0.004)
    end)

    it("are called for a final failure, without a retry", function()
      fixture.failed("invalid_request", hooked():balance "EUR")
      assert.equal("request response", order())
      assert.equal("invalid_request", of "response"[1].kind)
    end)

    it("are not called when nothing is sent", function()
      local one, key = hooked(), uqpay.uuid()
      pcall(one.balance, one, "usd")
      assert.equal("", order())
      one:balance("USD", { idempotency_key = key })
      told = {}
      fixture.failed("idempotency", one:balance("USD", { idempotency_key = key }))
      assert.equal("", order())
    end)

    it("never see the token, even if the server echoes it", function()
      local echo = '{"code":"' .. sandbox.token .. '","message":"no ' .. sandbox.token
        .. '","type":"Bearer ' .. sandbox.token .. '"}'
      for _, status in ipairs { 401, 500, 200 } do
        sandbox.fault { kind = "answer", status = status, body = echo,
          headers = { ["x-request-id"] = sandbox.token }, times = 3 }
        fixture.failed(status == 401 and "auth" or "api", hooked():balance "USD")
        sandbox.reset()
      end
      sandbox.fault { kind = "delay", seconds = 0,
        headers = { ["x-request-id"] = sandbox.token } }
      fixture.succeeded(hooked():balance "USD")
      assert.is_true(#told > 9)
      for _, one in ipairs(told) do
        for name, value in pairs(one.info) do
          assert.is_nil(tostring(value):find(sandbox.token:sub(9, 24), 1, true), name)
          assert.is_nil(tostring(value):find "%c", name)
        end
      end
    end)

    it("cannot change a call by changing their argument", function()
      local function spoil(info)
        for name in pairs(info) do info[name] = "spoiled" end
      end
      sandbox.fault { kind = "status", status = 503, store = false }
      local one = hooked { on_request = spoil, on_response = spoil, on_retry = spoil }
      assert.same(dollars, fixture.succeeded(one:balance "USD"))
      assert.equal(0, one:stats().hook_errors)
    end)

    it("that return something change nothing", function()
      local function answer() return nil, "no", {} end
      local one = hooked { on_request = answer, on_response = answer }
      assert.same(dollars, fixture.succeeded(one:balance "USD"))
    end)

    it("that raise are counted, whatever they raise, and change nothing", function()
      local wrong = {
        function() error "on purpose" end,
        function() error({}) end,
        function() error() end,
        function() coroutine.yield() end,
        function() local nothing = told.nothing return nothing.at.all end,
        function() fixture.client { nonsense = true } end,
      }
      for _, bad in ipairs(wrong) do
        sandbox.fault { kind = "status", status = 503, store = false }
        local one = hooked { on_request = bad, on_response = bad, on_retry = bad }
        assert.same(dollars, fixture.succeeded(one:balance "USD"))
        assert.equal(5, one:stats().hook_errors)
        fixture.failed("invalid_request", one:balance "EUR")
        assert.equal(7, one:stats().hook_errors)
      end
    end)

    it("may use the client themselves", function()
      local one, inner
      one = hooked { on_response = function()
        if not inner then
          inner = true
          inner = one:balance "SGD"
        end
      end }
      assert.same(dollars, fixture.succeeded(one:balance "USD"))
      assert.equal("SGD", inner.currency)
      assert.equal(0, one:stats().hook_errors)
    end)

    it("may close the client before the request: nothing is sent", function()
      local one
      one = hooked { on_request = function() one:close() end }
      local err = fixture.failed("canceled", one:balance "USD")
      assert.is_false(err.retryable)
      assert.matches("closed", err.message, 1, true)
      assert.equal(0, #sandbox.requests())
      raises(closed, one.balance, one, "USD")
    end)

    it("may close the client after the answer: the balance is returned", function()
      local one
      one = hooked { on_response = function() one:close() end }
      assert.same(dollars, fixture.succeeded(one:balance "USD"))
      raises(closed, one.balance, one, "USD")
    end)

    it("may close the client after a failure: there is no further attempt", function()
      for _, name in ipairs { "on_response", "on_retry" } do
        sandbox.reset()
        sandbox.fault { kind = "status", status = 503, store = false }
        local one
        one = hooked { [name] = function() one:close() end }
        local err = fixture.failed("api", one:balance "USD")
        assert.equal(503, err.status)
        assert.equal("closed", err.retry_stopped)
        assert.equal(1, #sandbox.requests())
      end
    end)
  end)
end)

describe("the module", function()
  it("makes UUIDs of version 4, in lower case, never twice", function()
    local seen = {}
    for _ = 1, 1000 do
      local uuid = uqpay.uuid()
      is_new_key(uuid)
      assert.equal(36, #uuid)
      assert.is_nil(seen[uuid])
      seen[uuid] = true
    end
  end)

  it("makes UUIDs in which every random digit varies", function()
    local seen = {}
    for _ = 1, 500 do
      local uuid = uqpay.uuid()
      for at = 1, 36 do seen[at .. uuid:sub(at, at)] = true end
    end
    for at = 1, 36 do
      local count = 0
      for digit in ("0123456789abcdef-"):gmatch "." do
        count = count + (seen[at .. digit] and 1 or 0)
      end
      local dash = at == 9 or at == 14 or at == 19 or at == 24
      assert.equal((dash or at == 15) and 1 or at == 20 and 4 or 16, count, at)
    end
  end)

  it("has its version, as info returns it", function()
    assert.matches("^%d+%.%d+%.%d+$", uqpay._VERSION)
    assert.equal("uqpay", uqpay._NAME)
    assert.equal(uqpay._VERSION, uqpay.info().version)
  end)

  it("returns the versions of its libraries", function()
    local info = uqpay.info()
    assert.matches("^[78]%.%d+%.%d+", info.libcurl)
    assert.matches("%a", info.tls)
    assert.matches("%d", info.cjson)
    assert.is_true(({ epoll = true, kqueue = true, poll = true })[info.poller])
    assert.is_boolean(info.http2)
    assert.is_boolean(info.async_dns)
    for _, name in ipairs { "ca_file", "ca_path" } do
      assert.is_truthy(info[name] == nil or type(info[name]) == "string")
    end
    info.version = "spoiled"
    assert.equal(uqpay._VERSION, uqpay.info().version)
  end)

  it("lists the kinds of errors, a closed set", function()
    local list = { "invalid_request", "auth", "permission", "not_found", "conflict",
      "idempotency", "rate_limit", "api", "connect", "dns", "tls", "timeout", "canceled",
      "protocol", "too_large", "decode", "schema", "config", "memory", "forked" }
    local expected = {}
    for n, kind in ipairs(list) do expected[n], expected[kind] = kind, kind end
    assert.same(expected, uqpay.kinds)
  end)

  it("has these functions and fields, no more", function()
    local types = {}
    for name, value in pairs(uqpay) do types[name] = type(value) end
    assert.same({ new = "function", from_env = "function", uuid = "function",
      info = "function", amount = "function", sum = "function", parse_time = "function",
      file_store = "function", is_currency = "function", is_account_id = "function",
      kinds = "table", _NAME = "string",
      _VERSION = "string" }, types)
  end)

  it("is what require returns, twice the same", function()
    assert.equal("true", child [[
      local uqpay = require "uqpay"
      io.write(tostring(type(uqpay) == "table" and uqpay == require "uqpay"))]])
  end)

  it("sets no globals and does not change others", function()
    assert.equal("", child [[
      require "cjson"
      local before = {}
      for name, value in pairs(_G) do before[name] = value end
      require("uqpay").new({ token = "t" }):close()
      for name, value in pairs(_G) do
        if before[name] ~= value then print("set", name) end
      end
      for name in pairs(before) do
        if _G[name] == nil then print("gone", name) end
      end]])
  end)

  it("neither changes nor uses lua-cjson's settings", function()
    sandbox.start()
    sandbox.reset()
    sandbox.fault { kind = "answer",
      body = (fixture.body(1):gsub("}$", ',"more":[["deep"]]}')) }
    local cjson, client = require "cjson", fixture.client()
    cjson.decode_max_depth(1)
    local ok, balance = pcall(function() return (client:balance "USD") end)
    local deep = pcall(cjson.decode, "[[1]]")
    cjson.decode_max_depth(1000)
    assert.is_true(ok)
    assert.same({ { "deep" } }, balance.more)
    assert.is_false(deep)
  end)

  it("can be loaded a second time", function()
    sandbox.start()
    local client = fixture.client()
    package.loaded.uqpay = nil
    local again = require "uqpay"
    package.loaded.uqpay = uqpay
    assert.not_equal(uqpay, again)
    assert.same(dollars, (client:balance "USD"))
    assert.same(dollars, (again.new(fixture.options()):balance "USD"))
  end)
end)
