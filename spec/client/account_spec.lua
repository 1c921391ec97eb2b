-- The right account. A dropped header or a mixed-up answer would show one account's
-- money as another's, with every sign of success.

local fixture = require "spec.support.fixture"
local uqpay = require "uqpay"
local sandbox = fixture.any_sandbox()

local body = fixture.body
local failed, succeeded = fixture.failed, fixture.succeeded

-- The sandbox's available balances, by account and currency; no two are equal.
local available = {
  master = { USD = "5000.25", SGD = "10000.00", XUSD = "12345678901234567890.12" },
  sub_account = { USD = "111.11", SGD = "222.20" },
  other_sub_account = { USD = "0.00", XUSD = "44444.4" },
  other_master = { USD = "66666.60", SGD = "777.77" },
  foreign_sub_account = { USD = "8.88" },
}

local function headers() return sandbox.headers "x-on-behalf-of" end

local function client_of(changes)
  changes = changes or {}
  changes.amounts = "string"
  return fixture.client(changes)
end

local function expect(account, currency, ...)
  local balance = succeeded(...)
  assert.equal(currency, balance.currency)
  assert.equal(available[account][currency], balance.available_balance)
end

describe("on_behalf_of", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  fixture.on_the_wire("is not sent when not given: it is master's", function()
    expect("master", "USD", client_of():balance "USD")
    expect("master", "SGD", client_of():balance { currency = "SGD" })
    expect("master", "XUSD", client_of():balance("XUSD", {}))
    for _, request in ipairs(sandbox.requests()) do
      assert.is_nil(request.headers["x-on-behalf-of"])
      assert.is_nil(request.raw_headers:lower():find("behalf", 1, true))
    end
  end)

  it("of a client is sent with each of its calls", function()
    local client = client_of { on_behalf_of = sandbox.sub_account }
    expect("sub_account", "USD", client:balance "USD")
    expect("sub_account", "SGD", client:balance "SGD")
    expect("sub_account", "USD", client:balance { currency = "USD", timeout = 5 })
    assert.same({ sandbox.sub_account, sandbox.sub_account, sandbox.sub_account },
      headers())
  end)

  it("of a call is sent with that call only", function()
    local client = client_of()
    expect("sub_account", "USD", client:balance("USD",
      { on_behalf_of = sandbox.sub_account }))
    expect("other_sub_account", "XUSD", client:balance { currency = "XUSD",
      on_behalf_of = sandbox.other_sub_account })
    expect("master", "USD", client:balance "USD")
    assert.same({ sandbox.sub_account, sandbox.other_sub_account, "none" }, headers())
  end)

  it("of a call goes before the client's", function()
    local client = client_of { on_behalf_of = sandbox.sub_account }
    expect("other_sub_account", "USD", client:balance("USD",
      { on_behalf_of = sandbox.other_sub_account }))
    expect("sub_account", "USD", client:balance "USD")
    assert.same({ sandbox.other_sub_account, sandbox.sub_account }, headers())
  end)

  fixture.on_the_wire("is sent once, byte by byte as given", function()
    for _, id in ipairs {
      sandbox.sub_account:upper(), "C232AB00-9414-11EC-B3C8-9F6BDECED846",
      "00000000-0000-0000-0000-000000000000",
    } do
      sandbox.reset()
      client_of { on_behalf_of = id }:balance "USD"
      local request = sandbox.requests()[1]
      local _, count = request.raw_headers:gsub("\r\nx%-on%-behalf%-of: ", "")
      assert.equal(1, count)
      assert.equal(id, request.headers["x-on-behalf-of"])
    end
  end)

  for name, order in pairs {
    ["a lost answer"] = { kind = "drop_after" }, ["a cut one"] = { kind = "truncate" },
    ["HTTP 500"] = { kind = "status", status = 500 }, ["HTTP 502"] = { kind = "html" },
    ["HTTP 429"] = { kind = "rate_limit" }, ["in progress"] = { kind = "processing" },
  } do
    it("goes with each resend after " .. name, function()
      sandbox.fault { order, order }
      expect("sub_account", "USD", client_of():balance("USD",
        { on_behalf_of = sandbox.sub_account }))
      sandbox.fault { order, order }
      local client = client_of { on_behalf_of = sandbox.other_sub_account }
      expect("other_sub_account", "XUSD", client:balance "XUSD")
      local sub, other = sandbox.sub_account, sandbox.other_sub_account
      assert.same({ sub, sub, sub, other, other, other }, headers())
    end)
  end

  it("goes with the resend after a new token", function()
    local client = client_of { on_behalf_of = sandbox.sub_account,
      token = function(reason)
        return reason == "rejected" and sandbox.token or sandbox.expired_token
      end }
    expect("sub_account", "USD", client:balance "USD")
    assert.same({ sandbox.sub_account, sandbox.sub_account }, headers())
  end)

  fixture.on_the_wire("goes over HTTP/2 as well", function()
    local client = client_of { http_version = "2", on_behalf_of = sandbox.sub_account }
    expect("sub_account", "USD", client:balance "USD")
    expect("other_sub_account", "USD", client:balance("USD",
      { on_behalf_of = sandbox.other_sub_account }))
    assert.same({ sandbox.sub_account, sandbox.other_sub_account }, headers())
    assert.equal("2", sandbox.requests()[1].http)
  end)

  it("stands in the error", function()
    sandbox.fault { kind = "status", status = 400, times = 2 }
    local client = client_of { on_behalf_of = sandbox.sub_account }
    local err = failed("invalid_request", client:balance "USD")
    assert.equal(sandbox.sub_account, err.on_behalf_of)
    err = failed("invalid_request", client_of():balance "USD")
    assert.is_nil(err.on_behalf_of)
  end)

  for name, value in pairs {
    empty = "", blank = " ", ["no UUID"] = "master", ["a line end behind"] =
      "8e4b0d67-f1a2-4c39-b7e8-3d5c6a9f0b11\r\n", ["a header behind"] =
      "8e4b0d67-f1a2-4c39-b7e8-3d5c6a9f0b11\r\nx-a: b", ["a NUL behind"] =
      "8e4b0d67-f1a2-4c39-b7e8-3d5c6a9f0b11\0", ["blanks around"] =
      " 8e4b0d67-f1a2-4c39-b7e8-3d5c6a9f0b11 ", ["one digit short"] =
      "8e4b0d67-f1a2-4c39-b7e8-3d5c6a9f0b1", ["a wrong digit"] =
      "8e4b0d67-f1a2-4c39-b7e8-3d5c6a9f0b1g", ["a number"] = 8, ["false"] = false,
    ["a table"] = {}, ["a function"] = print,
    ["a short id in lower case"] = "cb4488338944", ["its letters"] = "CB",
    ["its digits"] = "4488338944", ["one too short"] = "CB123",
    ["one too long"] = "CB" .. ("1"):rep(21), ["one with a blank"] = "CB 4488338944",
    ["one with a line end"] = "CB4488338944\n", ["one with a NUL"] = "CB4488338944\0",
    ["one with a header behind"] = "CB4488338944\r\nx-a: b",
    ["one with a dash"] = "CB-4488338944", ["one with a path"] = "CB44883389/..",
    ["one with another letter"] = "CB448833894A", ["another prefix"] = "CA4488338944",
  } do
    it("is refused, never dropped: " .. name, function()
      local client = client_of()
      local function raises(...)
        local ok, err = pcall(...)
        assert.is_false(ok)
        assert.matches("on_behalf_of", err, 1, true)
      end
      local function refused(...)
        if type(value) ~= "string" then return raises(...) end
        local err = failed("invalid_request", (...)(select(2, ...)))
        assert.matches("on_behalf_of", err.message, 1, true)
        assert.equal(0, err.attempts)
        assert.is_nil(err.on_behalf_of)
      end
      refused(client.balance, client, "USD", { on_behalf_of = value })
      refused(client.balance, client, { currency = "USD", on_behalf_of = value })
      local own = client_of { on_behalf_of = sandbox.sub_account }
      refused(own.balance, own, "USD", { on_behalf_of = value })
      local options = fixture.options()
      options.on_behalf_of = value
      raises(uqpay.new, options)
      assert.equal(0, #sandbox.requests())
      expect("master", "USD", client:balance "USD")
    end)
  end
end)

describe("a short account id", function()
  local ids = { "CB4488338944", "CB44883389440", "CB1234", "CB" .. ("9"):rep(20) }
  before_each(function() sandbox.reset() end)

  -- As an API that knows the id answers.
  local function answer(amount)
    sandbox.fault { kind = "answer", body = body(amount) }
  end

  it("is sent as given, of a client and of a call", function()
    for n, id in ipairs(ids) do
      answer(n)
      answer(n)
      assert.equal(tostring(n),
        succeeded(client_of { on_behalf_of = id }:balance "USD").available_balance)
      assert.equal(tostring(n), succeeded(client_of { on_behalf_of = ids[1] }
        :balance("USD", { on_behalf_of = id })).available_balance)
      assert.same({ id, id }, headers())
      sandbox.reset()
    end
  end)

  it("is sent with lists and by iterators", function()
    local client = client_of { max_retries = 0 }
    client:balances { on_behalf_of = ids[1] }
    client:transactions { on_behalf_of = ids[2] }
    pcall(client:each_balance { on_behalf_of = ids[3] })
    pcall(client:each_transaction { on_behalf_of = ids[4] })
    assert.same(ids, headers())
  end)

  it("is in hooks and errors", function()
    local told
    local client = client_of { on_request = function(info) told = info.on_behalf_of end }
    local err = failed("invalid_request",
      client:balance("USD", { on_behalf_of = ids[1] }))
    assert.equal(ids[1], told)
    assert.equal(ids[1], err.on_behalf_of)
    assert.equal("sub_account_not_found", err.code)
  end)

  it("is kept apart from others in a batch", function()
    local queries, got = {}, {}
    for n, id in ipairs(ids) do
      queries[n] = { currency = "USD", on_behalf_of = id }
      sandbox.fault { kind = "answer", body = body(n),
        match = { ["x-on-behalf-of"] = id } }
    end
    for query, balance, message in client_of():batch(queries) do
      assert.is_truthy(balance, message)
      got[query.on_behalf_of] = balance.available_balance
    end
    assert.same({ [ids[1]] = "1", [ids[2]] = "2", [ids[3]] = "3", [ids[4]] = "4" }, got)
  end)
end)

describe("an account that cannot be asked", function()
  before_each(function() sandbox.reset() end)

  for _, name in ipairs {
    "closed_sub_account", "banking_sub_account", "foreign_sub_account", "unknown",
  } do
    it("is an error, never the master's balance: " .. name, function()
      local id = sandbox[name] or uqpay.uuid()
      local client = client_of()
      local err = failed("invalid_request", client:balance("USD", { on_behalf_of = id }))
      assert.equal(400, err.status)
      assert.equal("account_error", err.type)
      assert.equal("sub_account_not_found", err.code)
      assert.equal(id, err.on_behalf_of)
      assert.equal(1, err.attempts)
      assert.is_false(err.retryable)
      assert.matches("sub account not found", err.message, 1, true)
      assert.same({ id }, headers())
      expect("master", "USD", client:balance "USD")
    end)
  end

  it("or has no balance in the currency is an error, no object of zeros", function()
    local err = failed("invalid_request", client_of():balance("SGD",
      { on_behalf_of = sandbox.other_sub_account }))
    assert.equal("balance_not_found", err.code)
  end)
end)

describe("the answer's currency", function()
  before_each(function() sandbox.reset() end)

  for name, currency in pairs {
    another = "SGD", ["in lower case"] = "usd", ["a longer one"] = "USDT",
    ["a shorter one"] = "US", empty = "", ["with a blank"] = "USD ",
    ["with a NUL"] = "USD\\u0000",
  } do
    it("must be the one asked for: " .. name, function()
      local client = client_of()
      sandbox.fault { kind = "answer", body = body(5, currency) }
      local err = failed("schema", client:balance "USD")
      assert.matches("currency", err.message, 1, true)
      assert.equal(1, err.attempts)
      assert.equal("not_retryable", err.retry_stopped)
      expect("master", "USD", client:balance "USD")
    end)
  end

  it("must be there, and be a string", function()
    for _, wrong in ipairs {
      '"currency":null,', '"currency":5,', '"currency":["USD"],', '"currency":true,', '',
    } do
      sandbox.fault { kind = "answer",
        body = (body(5):gsub('"currency":"USD",', wrong)) }
      local err = failed("schema", client_of():balance "USD")
      assert.matches("currency", err.message, 1, true)
    end
  end)

  it("is checked for each of several on one connection", function()
    local client = client_of()
    for _, currency in ipairs { "USD", "SGD", "XUSD", "SGD", "USD" } do
      expect("master", currency, client:balance(currency))
    end
    sandbox.fault { kind = "answer", body = body(1, "XUSD") }
    failed("schema", client:balance "USD")
    sandbox.fault { kind = "answer", body = body(1, "XUSD") }
    assert.equal("1", succeeded(client:balance "XUSD").available_balance)
  end)
end)

describe("answers of several accounts", function()
  before_each(function() sandbox.reset() end)

  -- Every question there is: account, currency, and the client and options to ask with.
  local function questions(clients)
    local list = {}
    for account, currencies in pairs(available) do
      for currency in pairs(currencies) do
        local other = account == "other_master" or account == "foreign_sub_account"
        list[#list + 1] = {
          account = account, currency = currency,
          client = other and clients.other or clients.own,
          options = sandbox[account] and { on_behalf_of = sandbox[account] } or {},
        }
      end
    end
    table.sort(list, function(a, b)
      return a.account .. a.currency < b.account .. b.currency
    end)
    return list
  end

  local function ask(question)
    expect(question.account, question.currency,
      question.client:balance(question.currency, question.options))
  end

  local faults = {
    { kind = "drop_before" }, { kind = "drop_after" }, { kind = "truncate" },
    { kind = "html" }, { kind = "processing" }, { kind = "status", status = 500 },
    { kind = "hang", seconds = 0.01 },
  }

  for _, version in ipairs { "1.1", "2" } do
    it("are never mixed, under faults, over HTTP/" .. version, function()
      local list = questions {
        own = client_of { http_version = version },
        other = client_of { http_version = version, token = sandbox.other_token },
      }
      assert.equal(10, #list)
      for round = 0, 6 do
        for n = 1, #list do
          if (n + round) % 3 == 0 then
            sandbox.fault(faults[(n + round) % #faults + 1])
          end
          ask(list[(n * 3 + round) % #list + 1])      -- 3 and 10: every one comes
        end
      end
    end)
  end

  it("are never mixed when hooks ask in the middle of a call", function()
    local list, depth, asked = nil, 0, 0
    local function hook()
      if depth > 1 then return end
      depth = depth + 1
      asked = asked + 1
      ask(list[asked * 7 % #list + 1])
      depth = depth - 1
    end
    local hooks = { on_request = hook, on_response = hook, on_retry = hook }
    local own = client_of(hooks)
    hooks.token = sandbox.other_token
    local other = client_of(hooks)
    list = questions { own = own, other = other }
    for n = 1, #list do
      if n % 4 == 0 then sandbox.fault { kind = "drop_after" } end
      ask(list[n])
    end
    assert.is_true(asked > 3 * #list)
    assert.equal(0, own:stats().hook_errors + other:stats().hook_errors)
  end)

  fixture.on_the_wire("are never mixed by an unsolicited answer", function()
    -- The first answer fills a TLS record to the brim, so that another one, behind it on
    -- the kept connection, is not seen with it.
    local text, http = body(1), fixture.http
    local head = #http(text) - #text + 2      -- a length of five digits
    local first = http(text .. (" "):rep(16384 - head - #text))
    assert.equal(16384, #first)
    sandbox.fault { kind = "garbage", body = first .. http(body(2)) }
    local client = client_of { max_retries = 0 }
    assert.equal("1", succeeded(client:balance "USD").available_balance)
    -- the server has written all of it before it serves another connection
    succeeded(client_of():balance "USD")
    local sub = { on_behalf_of = sandbox.sub_account }
    expect("sub_account", "USD", client:balance("USD", sub))
    expect("master", "USD", client:balance "USD")
    expect("sub_account", "USD", client:balance("USD", sub))
    assert.is_true(client:stats().connections <= 3)
  end)
end)
