-- The sandbox within a process answers as the server does, byte for byte: the same
-- requests go to both, with the same seed and the same time. Of faults of the wire, which
-- have no answer, a client reports the same kind.

local by_curl = require "spec.support.curl"
local cjson = require "cjson"
local fixture = require "spec.support.fixture"
local in_process = require "spec.sandbox.in_process"
local server = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

local both = { server, in_process }
local time = 2000000000
local key = "0b9f5ac2-75d1-4c6e-8a3f-2f1d9e6b7c04"
local function key_of(n) return (key:gsub("^%x+", ("%08x"):format(n))) end

-- The headers that nginx adds by itself.
local of_nginx = {
  connection = true, date = true, server = true, ["transfer-encoding"] = true,
  ["content-length"] = true,
}

-- What a request names by a word of its own: each sandbox has secrets of its own.
local function secrets(sandbox, text)
  return (text:gsub("<([%w_]+)>", function(name) return sandbox[name] end))
end

local function headers_of(sandbox, request)
  local headers = { ["x-auth-token"] = "Bearer <token>" }
  if request.method ~= "GET" then
    headers["content-type"], headers["x-idempotency-key"] = "application/json", key
  end
  for name, value in pairs(request.headers or {}) do headers[name] = value or nil end
  for name, value in pairs(headers) do headers[name] = secrets(sandbox, value) end
  return headers
end

local function plain(status, headers, body)
  local left = {}
  for name, value in pairs(headers) do
    if not of_nginx[name] then left[name] = value end
  end
  return { status = status, headers = left, body = body }
end

-- The server's answers, by one curl over plain HTTP.
local function by_server(requests)
  local list = {}
  for n, request in ipairs(requests) do
    local headers = headers_of(server, request)
    for _, name in ipairs { "x-auth-token", "content-type", "x-idempotency-key" } do
      if headers[name] == nil then headers[name] = false end
    end
    list[n] = {
      url = server.http_url, path = request.path, method = request.method or "POST",
      headers = headers, body = request.body,
    }
  end
  local answers = by_curl.ask_all(list)
  for n, answer in ipairs(answers) do
    answers[n] = plain(answer.status, answer.headers, answer.body)
  end
  return answers
end

local function by_process(requests)
  local answers = {}
  for n, request in ipairs(requests) do
    local method = request.method or "POST"
    local answer = assert(in_process.transport {
      method = method, url = in_process.url .. (request.path or "/v1/issuing/balances"),
      headers = headers_of(in_process, request),
      body = method ~= "GET" and (request.body or '{"currency":"USD"}') or nil,
    })
    answers[n] = plain(answer.status, answer.headers, answer.body)
  end
  return answers
end

-- Both as new, with these settings and faults.
local function prepare(settings, faults)
  for _, sandbox in ipairs(both) do
    sandbox.reset()
    sandbox.settings { seed = "same answers", time = time }
    if settings then sandbox.settings(settings) end
    if faults then sandbox.fault(faults) end
  end
end

-- Asks both. Returns the answers, which are the same.
local function same(requests, settings, faults)
  prepare(settings, faults)
  local expected, found = by_server(requests), by_process(requests)
  for n = 1, #requests do
    assert.same(expected[n], found[n], "request " .. n)
    assert.is_string(found[n].headers["content-type"])
  end
  assert.same(server.faults(), in_process.faults())
  local counts = server.counts()
  assert.same(counts, in_process.counts())
  assert.equal(#requests, counts.requests)
  return found
end

local function statuses(answers)
  local list = {}
  for n, answer in ipairs(answers) do list[n] = answer.status end
  return list
end

local function get(path, more)
  local request = { method = "GET", path = path }
  for name, value in pairs(more or {}) do request[name] = value end
  return request
end

local function lists(query)
  return {
    get("/v1/issuing/balances?" .. query), get("/v1/accounts?" .. query),
    get("/v1/issuing/balances/transactions?" .. query),
  }
end

local login = { path = "/v1/connect/token", body = "", headers = {
  ["x-auth-token"] = false, ["x-idempotency-key"] = false,
  ["x-client-id"] = "<client_id>", ["x-api-key"] = "<api_key>",
} }
local function log_in(changes)
  local headers = {}
  for name, value in pairs(login.headers) do headers[name] = value end
  for name, value in pairs(changes) do headers[name] = value end
  return { path = login.path, body = "", headers = headers }
end

describe("the sandbox and its server give the same answer", function()
  setup(function() server.start() end)

  it("with balances", function()
    local requests = {}
    for n, currency in ipairs { "USD", "SGD", "XUSD", "EUR" } do
      requests[n] = { body = ('{"currency":"%s"}'):format(currency),
        headers = { ["x-idempotency-key"] = key_of(n) } }
      requests[n + 4] = { body = requests[n].body, headers = {
        ["x-on-behalf-of"] = "<sub_account>", ["x-idempotency-key"] = key_of(n) } }
    end
    assert.same({ 200, 200, 200, 400, 200, 200, 400, 400 }, statuses(same(requests)))
    same(requests, { amounts = "string" })
  end)

  it("with pages of each list", function()
    for _, query in ipairs {
      "page_size=10&page_number=1", "page_size=10&page_number=3",
      "page_size=100&page_number=1", "page_size=100&page_number=9",
    } do
      assert.same({ 200, 200, 200 }, statuses(same(lists(query))))
    end
    local list = "/v1/issuing/balances?page_size=100&page_number=1"
    local answers = same {
      get(list, { headers = { ["x-on-behalf-of"] = "<many_sub_account>" } }),
      get(list, { headers = { ["x-auth-token"] = "Bearer <other_token>" } }),
    }
    assert.matches('"total_items":25,', answers[1].body, 1, true)
    assert.matches('"available_balance":66666.60,', answers[2].body, 1, true)
  end)

  it("with transactions that are filtered", function()
    local place = "/v1/issuing/balances/transactions?page_size=100&page_number=1"
    local requests = {}
    for n, filter in ipairs {
      "&currency=USD", "&transaction_type=FEE", "&transaction_status=FAILED",
      "&start_time=2026-05-01T00:00:00%2B08:00&end_time=2026-06-01T00:00:00%2B08:00",
      "&start_time=2026-05-01T00:00:00+08:00", "&currency=usd", "&transaction_type=X",
      "&start_time=2026-06-01T00:00:00Z&end_time=2026-05-01T00:00:00Z",
      "&start_time=2026-01-01T00:00:00Z&end_time=2026-06-01T00:00:00Z",
    } do
      requests[n] = get(place .. filter)
    end
    assert.same({ 200, 200, 200, 200, 400, 400, 400, 400, 400 },
      statuses(same(requests)))
  end)

  it("with lists that are odd", function()
    local query = "page_size=10&page_number="
    local requests = {}
    for n = 1, 3 do
      for _, request in ipairs(lists(query .. n)) do requests[#requests + 1] = request end
    end
    local totals =
      { "zero", "negative", "huge", "fraction", "string", "null", "missing" }
    for name, values in pairs {
      pages = { "shift", "shrink", "repeat" }, amounts = { "string", "mixed" },
      total_pages = totals, total_items = totals,
      data = { "odd_item", "object", "string", "null", "missing" },
      item_without = { "balance_id", "account_id" }, accounts_status = { "missing" },
      bounds = { "()" },
    } do
      for _, value in ipairs(values) do same(requests, { [name] = value }) end
    end
  end)

  it("with errors of arguments", function()
    for _, query in ipairs {
      "", "page_size=10", "page_size=9&page_number=0", "page_size=101&page_number=1",
      "page_size=x&page_number=1", "page_size=10&page_number=1&page_number=2",
      "page_size=10&page_number=%", "page_number=1&page_size=10&x",
    } do
      same(lists(query))
    end
    local requests = {}
    for n, body in ipairs {
      "{", "[]", '"USD"', "{}", '{"currency":null}', '{"currency":840}',
      '{"currency":""}', '{"currency":"usd"}', "\0", '{"currency":"DOLLAR"}',
    } do
      if body ~= "\0" then
        requests[#requests + 1] = { body = body,
          headers = { ["x-idempotency-key"] = key_of(n) } }
      end
    end
    for _, status in ipairs(statuses(same(requests))) do assert.equal(400, status) end
  end)

  it("with refusals", function()
    local answers = same {
      { headers = { ["x-auth-token"] = false } },
      { headers = { ["x-auth-token"] = "<token>" } },
      { headers = { ["x-auth-token"] = "Bearer nonsense" } },
      { headers = { ["x-auth-token"] = "Bearer <expired_token>" } },
      { headers = { ["x-auth-token"] = "Bearer <forbidden_token>" } },
      { headers = { ["x-idempotency-key"] = false } },
      { headers = { ["x-idempotency-key"] = "today" } },
      { headers = { ["x-on-behalf-of"] = "<closed_sub_account>" } },
      { headers = { ["x-on-behalf-of"] = "<foreign_sub_account>" } },
      { headers = { ["content-type"] = "text/plain" } },
      { headers = { ["content-type"] = "multipart/form-data" } },
      { method = "PUT" }, { path = "/v1/nothing" }, get "/v1/connect/token",
      get("/v1/accounts?page_size=1&page_number=1",
        { headers = { ["x-on-behalf-of"] = "<sub_account>" } }),
    }
    assert.same({ 401, 401, 401, 401, 403, 400, 400, 400, 400, 400, 415, 405, 404, 405,
      400 }, statuses(answers))
    assert.equal("GET, POST", answers[12].headers.allow)
    same({ { headers = { ["x-auth-token"] = "<token>" } } }, { bearer = "optional" })
    same({ get("/v1/accounts?page_size=1&page_number=1",
      { headers = { ["x-auth-token"] = false } }) }, { accounts_refusal = "403" })
  end)

  it("with tokens in every form", function()
    local answers = same({ login, login })
    assert.not_equal(answers[1].body, answers[2].body)
    assert.matches('"expired_at":2000001800}$', answers[1].body)
    for _, form in ipairs { "opaque", "bearer", "crlf", "empty", "null", "missing" } do
      same({ login }, { token_form = form })
    end
    for _, form in ipairs {
      "string", "milliseconds", "date", "zero", "past", "null", "missing",
    } do
      same({ login }, { expired_at = form })
    end
    same({ login }, { token_bytes = 5000 })
  end)

  it("with logins that are refused", function()
    assert.same({ 403, 401, 400, 401, 403, 403, 415, 200 }, statuses(same {
      log_in { ["x-client-id"] = false }, log_in { ["x-api-key"] = false },
      log_in { ["x-client-id"] = "nobody" }, log_in { ["x-api-key"] = "wrong" },
      log_in { ["x-client-id"] = "<production_client_id>",
        ["x-api-key"] = "<production_api_key>" },
      log_in { ["x-client-id"] = "<blocked_client_id>",
        ["x-api-key"] = "<blocked_api_key>" },
      log_in { ["content-type"] = "text/plain" }, log_in {},
    }))
  end)

  it("with tokens that end", function()
    prepare { single_token = true }
    for _, ask in ipairs { by_server, by_process } do
      local sandbox = ask == by_server and server or in_process
      local function mint() return cjson.decode(ask { login } [1].body).auth_token end
      local function balance(token)
        return ask { { headers = { ["x-auth-token"] = "Bearer " .. token } } }[1].status
      end
      local first = mint()
      assert.equal(200, balance(first))
      local second = mint()
      assert.equal(401, balance(first))
      assert.equal(200, balance(second))
      sandbox.expire_minted()
      assert.equal(401, balance(second))
      local third = mint()
      sandbox.settings { time = time + 1799 }
      assert.equal(200, balance(third))
      sandbox.settings { time = time + 1800 }
      assert.equal(401, balance(third))
    end
  end)

  it("under the same idempotency key", function()
    local again = { { body = '{"currency":"EUR"}' }, { body = '{"currency":"EUR"}' },
      {}, { headers = { ["x-idempotency-key"] = key_of(1) } } }
    local answers = same(again)
    assert.same({ 400, 400, 400, 200 }, statuses(answers))
    assert.equal(answers[1].body, answers[2].body)
    assert.matches("idempotency_mismatch", answers[3].body, 1, true)
    assert.not_equal(answers[1].headers["x-request-id"],
      answers[2].headers["x-request-id"])
  end)

  it("at the rate limit", function()
    for _, retry_after in ipairs { "", "seconds", "date", "soon" } do
      for _, shape in ipairs { "B", "E", "H" } do
        local answers = same({ {}, {}, login, login }, { rate_limit = 1,
          token_rate_limit = 1, rate_window = 40.5, retry_after = retry_after,
          rate_limit_shape = shape })
        assert.same({ 200, 429, 200, 429 }, statuses(answers))
      end
    end
  end)

  it("of faults", function()
    local requests = {}
    for n = 1, 12 do
      requests[n] = { headers = { ["x-idempotency-key"] = key_of(n) } }
    end
    for shape in ("ABCDEFGH"):gmatch "." do
      same(requests, nil, {
        { kind = "status", shape = shape, status = 429, message = "m\n\"\1é" },
        { kind = "status", shape = shape, code = 7 },
        { kind = "status", status = 409, headers = { ["Retry-After"] = "7" } },
      })
    end
    same(requests, nil, {
      { kind = "processing" }, { kind = "rate_limit" }, { kind = "html" },
      { kind = "rate_limit", retry_after = "seconds", shape = "H" },
      { kind = "empty", status = 202 }, { kind = "answer", body_base64 = "/wAK4oI=" },
      { kind = "answer", status = 203, body = "{}",
        headers = { ["content-type"] = "text/odd", ["x-request-id"] = cjson.null } },
      { kind = "redirect", location = "https://127.0.0.1:1/x" },
      { kind = "delay", seconds = 0.01 },
      { kind = "huge", bytes = 100000 }, { kind = "huge_headers", bytes = 16000 },
    })
    local answers = same(requests, nil, {
      { kind = "html", endpoint = "token" },
      { kind = "html", match = { [":method"] = "POST", ["x-idempotency-key"] =
        key_of(3) } },
      { kind = "empty", skip = 4, times = 2, match = { [":path"] =
        "/api/v1/issuing/balances" } },
    })
    assert.same({ 200, 200, 502, 200, 200 }, { answers[1].status, answers[2].status,
      answers[3].status, answers[4].status, answers[8].status })
    assert.same({ "", "" }, { answers[6].body, answers[7].body })
  end)

  it("to what is ordered: balances, transactions, accounts", function()
    prepare()
    for _, sandbox in ipairs(both) do
      sandbox.balance { currency = "USD", available_balance = "-1.50",
        balance_status = "CLOSED" }
      sandbox.balance { currency = "SGD", delete = true }
      sandbox.balance { currency = "EUR", frozen_balance = "7",
        margin_balance = cjson.null }
      sandbox.transaction { amount = "-12.30", transaction_type = "FEE", times = 3 }
    end
    local requests = lists "page_size=100&page_number=1"
    local expected, found = by_server(requests), by_process(requests)
    assert.same(expected, found)
    assert.matches('"available_balance":-1.50,', found[1].body, 1, true)
    for _, name in ipairs { "accounts", "balances", "transactions" } do
      for _, account in ipairs { "master", "other", "empty" } do
        assert.same(server[name](account), in_process[name](account))
      end
    end
  end)

  -- A client of the server also knows the status of an answer that is cut or too large.
  local without_status = { connect = true, too_large = true }

  -- The kind of a failed call of each.
  local function kinds(fault, options)
    local found = {}
    for n, sandbox in ipairs(both) do
      sandbox.reset()
      sandbox.fault(fault)
      options.max_retries = 0
      local client = n == 1 and fixture.client(options)
        or uqpay.new(in_process.options(options))
      local _, _, err = client:balance "USD"
      local status = not without_status[err.kind] and err.status or nil
      found[n] = { kind = err.kind, status = status, retryable = err.retryable,
        code = err.code, retry_after = err.retry_after }
      client:close()
    end
    assert.same(found[1], found[2], fault.kind)
    return found[2].kind
  end

  it("to a client, whose calls fail in the same way", function()
    for _, case in ipairs {
      { "connect", { kind = "drop_before" } }, { "connect", { kind = "drop_after" } },
      { "connect", { kind = "hang", seconds = 0.01 } },
      { "connect", { kind = "truncate", bytes = 10 } },
      { "connect", { kind = "truncate", bytes = 0 } },
      { "protocol", { kind = "garbage" } }, { "protocol", { kind = "redirect" } },
      { "connect", { kind = "garbage", body = "HTTP/1.1 200 OK\r\nConte" } },
      { "decode", { kind = "garbage", body = fixture.http "hi" } },
      { "rate_limit", { kind = "garbage", body = fixture.http("{}", "429 No",
        "Retry-After:  7\r\n") } },
      { "too_large", { kind = "huge" } }, { "too_large", { kind = "huge_headers" } },
      { "too_large", { kind = "huge_headers", bytes = 80000 } },
      { "api", { kind = "html" } }, { "decode", { kind = "html", status = 200 } },
      { "decode", { kind = "empty" } }, { "protocol", { kind = "empty", status = 204 } },
      { "conflict", { kind = "processing" } },
      { "rate_limit", { kind = "rate_limit", retry_after = "7" } },
      { "api", { kind = "status", status = 503 } },
      { "auth", { kind = "status", status = 401 } },
      { "permission", { kind = "status", status = 403, shape = "D" } },
      { "invalid_request", { kind = "status", status = 400, shape = "B" } },
    } do
      assert.equal(case[1], kinds(case[2], {}))
    end
    assert.equal("timeout", kinds({ kind = "hang", seconds = 30 }, { timeout = 0.05 }))
    assert.equal("timeout", kinds({ kind = "delay", seconds = 1 }, { timeout = 0.05 }))
  end)
end)
