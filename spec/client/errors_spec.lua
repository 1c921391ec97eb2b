-- The API's failures: every shape of an error body with every status that can have it,
-- the error that the caller gets, and that it never contains the token.

local cjson = require "cjson"
local driver = require "spec.support.driver"
local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local mime = require "mime"
local uqpay = require "uqpay"
local sandbox = fixture.any_sandbox()

local none = cjson.null   -- in a table of expected fields: not there
local client

-- Orders one answer. fault: body, status, headers, anything of the sandbox's `answer`.
local function order(fault)
  if fault.body then
    fault.body_base64, fault.body = (mime.b64(fault.body)), nil
  end
  fault.kind = fault.kind or "answer"
  sandbox.fault(fault)
end

-- The error of a call that gets this answer, whose kind is known.
local function failure(kind, fault, options)
  order(fault)
  options = options or {}
  options.currency, options.max_retries = "USD", options.max_retries or 0
  return fixture.failed(kind, client:balance(options))
end

local function check(err, fields, what)
  for name, value in pairs(fields) do
    if value == none then value = nil end
    assert.same(value, err[name], what .. ": " .. name)
  end
end

-- Each row: a status, a body, the kind, the fields of the error.
local function table_of(rows)
  for _, row in ipairs(rows) do
    local status, body, kind, fields = row[1], row[2], row[3], row[4] or {}
    local err = failure(kind, { status = status, body = body })
    local what = status .. " " .. body:sub(1, 200)
    local kept = body ~= "" and body:sub(1, 2048) or none
    check(err, { status = status, body = kept, attempts = 1 }, what)
    if row.says then assert.matches(row.says, err.message, 1, true) end
    check(err, fields, what)
  end
end

local function shape_a(type, code, message)
  return cjson.encode { type = type, code = code, message = message }
end

local balance = fixture.body(1):sub(1, -2)     -- for more members

local function count(list)
  local n = 0
  for _ in pairs(list) do n = n + 1 end
  return n
end

describe("an error", function()
  fixture.with_client(function(made) client = made end)

  describe("of shape A", function()
    it("has type, code and message; the status makes its kind", function()
      for status, kind in pairs {
        [400] = "invalid_request", [401] = "auth", [402] = "invalid_request",
        [403] = "permission", [404] = "not_found", [405] = "invalid_request",
        [408] = "timeout", [409] = "conflict", [410] = "invalid_request",
        [413] = "invalid_request", [415] = "invalid_request", [422] = "invalid_request",
        [429] = "rate_limit", [499] = "invalid_request", [500] = "api", [501] = "api",
        [502] = "api", [503] = "api", [504] = "api", [599] = "api",
      } do
        table_of { { status, shape_a("some_error", "some_code", "some text"), kind,
          { type = "some_error", code = "some_code" },
          says = "HTTP " .. status .. " some_error: some text" } }
      end
    end)

    it("is told apart by its type where the status stands for many", function()
      table_of {
        { 400, shape_a("invalid_request_error", "invalid_request_error", "currency"),
          "invalid_request" },
        { 400, shape_a("card_error", "card_not_found", "card"), "invalid_request" },
        { 400, shape_a("cardholder_error", "x", "holder"), "invalid_request" },
        { 400, shape_a("account_error", "sub_account_not_found", "sub"),
          "invalid_request" },
        { 400, shape_a("idempotency_error", "x", "replayed"), "idempotency" },
        { 422, shape_a("idempotency_error", "x", "replayed"), "idempotency" },
        { 400, shape_a("not_found", "not_found", "nothing"), "not_found" },
        { 422, shape_a("not_found", "x", "nothing"), "not_found" },
      }
    end)

    it("is classified by the status, whatever its type and code say", function()
      table_of {
        { 500, shape_a("idempotency_error", "200", "x"), "api", { code = "200" } },
        { 401, shape_a("not_found", "not_found", "x"), "auth" },
        { 403, shape_a("unauthorized_error", "forbidden", "x"), "permission" },
        { 403, shape_a("idempotency_error", "401", "x"), "permission" },
        { 404, shape_a("api_error", "500", "x"), "not_found" },
        { 409, shape_a("idempotency_error", "x", "x"), "conflict" },
        { 400, '{"type":"x","code":500,"message":"x"}', "invalid_request",
          { code = 500, retryable = false } },
        { 500, '{"type":"x","code":400,"message":"x"}', "api",
          { code = 400, retryable = true } },
      }
    end)

    it("comes from the API itself so", function()
      local err = fixture.failed("invalid_request", client:balance "EUR")
      check(err, { status = 400, type = "account_error", code = "balance_not_found",
        retryable = false, retry_stopped = "not_retryable", attempts = 1 }, "EUR")
      assert.matches("no issuing balance in this currency", err.message, 1, true)
    end)
  end)

  it("that the API stores under its key is not met again by the retry", function()
    sandbox.fault { kind = "status", status = 500 }
    assert.equal("USD", fixture.succeeded(client:balance "USD").currency)
    local requests = sandbox.requests()
    assert.equal(2, #requests)
    assert.not_equal(requests[1].headers["x-idempotency-key"],
      requests[2].headers["x-idempotency-key"])
  end)

  describe("of shape B", function()
    it("has a code that is a number, and no type", function()
      table_of {
        { 400, '{"code":400,"message":"bad currency"}', "invalid_request",
          { code = 400, type = none }, says = "HTTP 400: bad currency" },
        { 403, '{"code":403,"message":"Authorization error"}', "permission",
          { code = 403 }, says = "HTTP 403: Authorization error" },
        { 403, '{"code":403,"message":"x-client-id or email cannot be empty"}',
          "permission", { code = 403 } },
        { 404, '{"code":404,"message":"route not found"}', "not_found", { code = 404 } },
        { 500, '{"code":500,"message":"store down"}', "api", { code = 500 } },
        { 400, '{"code":"400","message":"x"}', "invalid_request", { code = "400" } },
        { 400, '{"code":12345678901,"message":"x"}', "invalid_request",
          { code = 12345678901 } },
        { 400, '{"code":1.5,"message":"x"}', "invalid_request", { code = 1.5 } },
        { 400, '{"code":1e400,"message":"x"}', "invalid_request", { code = "1e400" } },
      }
    end)

    it("with status 400 and code 200 is a conflict, and worth another try", function()
      local err = failure("conflict", { kind = "processing" })
      check(err, { status = 400, code = 200, retryable = true,
        retry_stopped = "max_retries" }, "processing")
      assert.matches("Request is processing", err.message, 1, true)
      order { kind = "processing", times = 2 }
      assert.equal("USD", fixture.succeeded(client:balance "USD").currency)
      assert.equal(4, #sandbox.requests())
    end)

    it("with code 200 and another text is a plain refusal", function()
      table_of { { 400, '{"code":200,"message":"no"}', "invalid_request",
        { code = 200, retryable = false, retry_stopped = "not_retryable" } } }
    end)
  end)

  describe("of shape C", function()
    it("has its text in `error`", function()
      table_of {
        { 401, '{"error":"token has expired"}', "auth", { code = none, type = none },
          says = "HTTP 401: token has expired" },
        { 401, '{"error":"login expired","more":1}', "auth", nil, says = "login" },
        { 403, '{"error":"no"}', "permission", nil, says = "HTTP 403: no" },
        { 500, '{"error":"no"}', "api", nil, says = "HTTP 500: no" },
      }
    end)

    it("names the Bearer prefix when the token's format is rejected", function()
      table_of { { 401, '{"error":"invalid auth token format"}', "auth", nil,
        says = "Bearer" } }
    end)

    it("names the address list when the address is rejected", function()
      table_of { { 401, '{"error":"IP not allowed"}', "auth", nil, says = "address" } }
    end)

    it("names expiry and environment otherwise", function()
      table_of {
        { 401, '{"error":"x"}', "auth", nil, says = "expired" },
        { 401, '{"error":"x"}', "auth", nil, says = "environment" },
      }
    end)

    it("comes from the sandbox for a token of the wrong kind", function()
      for name, kind in pairs {
        expired_token = "auth", forbidden_token = "permission",
      } do
        local one = fixture.client { token = sandbox[name] }
        local err = fixture.failed(kind, one:balance "USD")
        assert.equal(1, err.attempts)
        assert.is_false(err.retryable)
        assert.is_nil(err.message:find(sandbox[name], 1, true))
      end
    end)
  end)

  it("of shape D has its text in `message`, beside `error`", function()
    table_of { { 403, '{"error":"Forbidden","message":"forbidden from UAT"}',
      "permission", { code = none }, says = "HTTP 403: forbidden from UAT" } }
    assert.matches("environment",
      failure("permission", { status = 403, body = '{"error":"Forbidden"}' }).message)
  end)

  describe("of shape E", function()
    it("is understood with the comma that makes it invalid JSON", function()
      local head = '{"code":"too_many_requests","message":"slow down"'
      for _, tail in ipairs { "}", ",}", ",\n}", " , \t\r\n } " } do
        table_of { { 429, head .. tail, "rate_limit",
          { code = "too_many_requests", type = none, retryable = true },
          says = "HTTP 429 too_many_requests: slow down" } }
      end
    end)

    it("comes from the sandbox's rate limit, on order", function()
      sandbox.settings { rate_limit = 1, retry_after = "7", rate_limit_shape = "E" }
      client:balance "USD"
      local err = fixture.failed("rate_limit", client:balance("USD", { max_retries = 0 }))
      check(err, { code = "too_many_requests", status = 429, retry_after = 7 }, "limit")
    end)
  end)

  describe("of shape F", function()
    it("keeps a page as its body", function()
      local page = "<html>\n<body><h1>Bad Gateway</h1></body>\n</html>\n"
      for status, kind in pairs {
        [400] = "invalid_request", [401] = "auth", [403] = "permission",
        [404] = "not_found", [408] = "timeout", [409] = "conflict",
        [429] = "rate_limit", [500] = "api", [502] = "api", [503] = "api", [504] = "api",
      } do
        table_of { { status, page, kind, { code = none, type = none },
          says = "HTTP " .. status .. " with a body that is no JSON object" } }
      end
    end)

    it("may have no body at all", function()
      for status, kind in pairs {
        [400] = "invalid_request", [401] = "auth", [403] = "permission",
        [404] = "not_found", [429] = "rate_limit", [500] = "api", [503] = "api",
      } do
        table_of { { status, "", kind, { body = none },
          says = "HTTP " .. status .. " with an empty body" } }
      end
    end)

    it("may be JSON that is no object, or broken JSON", function()
      for _, body in ipairs {
        '"Forbidden"', "42", "null", "true", '{"message":"cut sh', "{", "}", "[", "\0",
        '{"message":"\255"}', '{"message":"a\nb"}', "\239\187\191{}", "{}{}", "{} x",
        ("["):rep(100000), ('{"a":'):rep(50000), "{'message':'x'}", "NaN",
      } do
        table_of {
          { 400, body, "invalid_request", { code = none }, says = "no JSON object" },
        }
      end
    end)

    it("may say nothing of itself", function()
      for _, body in ipairs {
        "{}", "[]", '{"error":null}', '{"message":""}', '{"data":{"message":"x"}}',
        '{"message":{},"code":[],"type":true,"error":false}', '{"error":{}}',
        '{"error":[]}', "[1,2]", '["message"]',
      } do
        table_of { { 400, body, "invalid_request", { code = none, type = none },
          says = "HTTP 400 [" } }
      end
    end)
  end)

  describe("of shape G, in a body of status 200,", function()
    it("counts as what its code says", function()
      for code, kind in pairs {
        [400] = "invalid_request", [401] = "auth", [403] = "permission",
        [404] = "not_found", [408] = "timeout", [409] = "conflict",
        [422] = "invalid_request", [429] = "rate_limit", [500] = "api", [503] = "api",
        [600] = "api", [1001] = "api", [40001] = "api", [999999999999] = "api",
      } do
        local retried = code == 408 or code == 429 or code == 500 or code == 503
        table_of { { 200, ('{"code":%.0f,"message":"no such thing"}'):format(code), kind,
          { code = code, retryable = retried,
            retry_stopped = retried and "max_retries" or "not_retryable" },
          says = "HTTP 200: no such thing" } }
      end
    end)

    it("counts the same with a 201", function()
      table_of { { 201, '{"code":404,"message":"x"}', "not_found", { code = 404 } } }
    end)

    it("is retried when its code says so", function()
      order { body = '{"code":503,"message":"later"}', times = 2 }
      fixture.succeeded(client:balance "USD")
      assert.equal(3, #sandbox.requests())
    end)

    it("is an error though the balance stands beside it", function()
      table_of {
        { 200, balance .. ',"code":400,"message":"x"}', "invalid_request" },
        { 200, balance .. ',"code":500}', "api" },
        { 200, balance .. ',"code":40001}', "api" },
      }
    end)

    it("is an error without a code when there is no balance", function()
      table_of {
        { 200, '{"message":"no"}', "api", { retryable = false }, says = "no" },
        { 200, '{"error":"no"}', "api", { retryable = false }, says = "no" },
        { 200, '{"error":{"message":"no"}}', "api", nil, says = "no" },
        { 200, '{"code":"nope","message":"no"}', "api", { code = "nope" },
          says = "nope: no" },
        { 200, '{"code":0,"message":"success","data":' .. balance .. "}}", "schema",
          says = "HTTP 200, but its body is {code, message, data}" },
        { 200, '{"code":200,"message":"Request is processing, please try again later"}',
          "conflict", { retryable = true } },
        { 200, '{"type":"not_found","message":"no"}', "not_found" },
        { 200, '{"type":"idempotency_error","message":"no"}', "idempotency" },
      }
    end)

    it("is not an error when code and message report success", function()
      for _, more in ipairs {
        ',"code":200,"message":"success"}', ',"code":0}', ',"code":399}',
        ',"message":"ok"}', ',"error":null,"message":null,"code":null}',
        ',"code":"SUCCESS"}',
      } do
        order { body = balance .. more }
        assert.equal(1, fixture.succeeded(client:balance "USD").available_balance)
      end
    end)
  end)

  it("inside a table `error` is read there", function()
    table_of {
      { 400, '{"error":' .. shape_a("card_error", "card_gone", "gone") .. "}",
        "invalid_request", { type = "card_error", code = "card_gone" },
        says = "HTTP 400 card_error: gone" },
      { 400, '{"error":{"type":"idempotency_error","message":"x"},"message":"outer"}',
        "idempotency", nil, says = "idempotency_error: x" },
      { 429, '{"error":{"code":429,"message":"slow"}}', "rate_limit", { code = 429 } },
      { 400, '{"error":{"error":"no"}}', "invalid_request", nil, says = "HTTP 400: no" },
      { 400, '{"error":{"message":"no"},"missing_fields":["currency"]}',
        "invalid_request", { missing_fields = { "currency" } } },
    }
  end)

  it("inside a table `error` has its missing_fields there too", function()
    table_of { { 400, '{"error":{"message":"no","missing_fields":["currency"]}}',
      "invalid_request", { missing_fields = { "currency" } } } }
  end)

  describe("with missing_fields", function()
    local function missing(json)
      return failure("invalid_request",
        { status = 400, body = '{"message":"x","missing_fields":' .. json .. "}" })
        .missing_fields
    end

    it("lists them", function()
      assert.same({ "currency", "a.b" }, missing '["currency","a.b"]')
      assert.same({}, missing "[]")
    end)

    it("leaves out what is no list of names", function()
      for _, json in ipairs { "null", '"currency"', "5", "true" } do
        assert.is_nil(missing(json))
      end
      for _, json in ipairs { "[1]", "[[]]", "[null]", '{"a":"b"}' } do
        assert.same({}, missing(json))
      end
    end)

    it("is bounded, and without control bytes or the token", function()
      assert.is_true(#missing('["x"' .. (',"x"'):rep(5000) .. "]") <= 100)
      local list = missing('["a\\u0000\\r\\n\\u007fb","' .. ("x"):rep(9999) .. '","'
        .. sandbox.token .. '"]')
      assert.is_true(#list[2] < 1000)
      for _, name in ipairs(list) do
        assert.is_nil(name:find "%c")
        assert.is_nil(name:find(sandbox.token:sub(1, 16), 1, true))
      end
    end)
  end)

  describe("with a status that is no answer", function()
    it("is of kind protocol, whatever the body", function()
      for _, status in ipairs { 202, 203, 206, 226, 299, 300, 301, 302, 303, 305, 307,
        308, 399 } do
        for _, body in ipairs { "", balance .. "}", '{"code":500,"message":"x"}' } do
          local err = failure("protocol", { status = status, body = body })
          check(err, { status = status, retryable = false,
            retry_stopped = "not_retryable" }, tostring(status))
        end
      end
      for _, status in ipairs { 204, 304 } do
        assert.equal(status, failure("protocol", { status = status }).status)
      end
      assert.equal(0, sandbox.other().connections)
    end)

    fixture.on_the_wire("beyond 599 is the same, not retried", function()
      local reply = "HTTP/1.1 %d Strange\r\ncontent-length: 2\r\n\r\n{}"
      local behaviours = {}
      for n, status in ipairs { 600, 700, 999 } do
        behaviours[n] = { read = true, send = reply:format(status) }
      end
      local server = faulty.start(behaviours)
      local results = {}
      for n = 1, 3 do
        local one = fixture.client { base_url = server.url, max_retries = 0 }
        results[n] = fixture.failed("protocol", one:balance "USD")
      end
      server:stop()
      for _, err in ipairs(results) do assert.is_false(err.retryable, err.message) end
    end)

    it("names the place that a redirect leads to, without its query", function()
      order { kind = "redirect", status = 302,
        location = "https://elsewhere.invalid/login?token=query-part#fragment-part" }
      local err = fixture.failed("protocol", client:balance "USD")
      assert.matches("redirects are refused, this one to https://elsewhere.invalid/login",
        err.message, 1, true)
      assert.is_nil(err.message:find("query-part", 1, true))
      assert.is_nil(err.message:find("fragment-part", 1, true))
    end)
  end)

  describe("has a request id", function()
    local function id(headers)
      if not headers["x-request-id"] then headers["x-request-id"] = cjson.null end
      return failure("api", { status = 500, body = "{}", headers = headers }).request_id
    end

    it("from any of the three headers", function()
      assert.equal("a", id { ["x-request-id"] = "a" })
      assert.equal("b", id { ["request-id"] = "b" })
      assert.equal("c", id { ["x-b3-traceid"] = "c" })
      assert.is_nil(id {})
    end)

    it("from x-request-id before request-id before x-b3-traceid", function()
      assert.equal("a",
        id { ["x-b3-traceid"] = "c", ["x-request-id"] = "a", ["request-id"] = "b" })
      assert.equal("b", id { ["x-b3-traceid"] = "c", ["request-id"] = "b" })
      assert.equal("a", id { ["x-b3-traceid"] = "c", ["x-request-id"] = "a" })
    end)

    local title = "whatever the order and case of the headers, empty ones left out"
    fixture.on_the_wire(title, function()
      local lines = { "X-REQUEST-ID: a", "Request-Id:b", "x-b3-TraceId:   c  ",
        "x-request-id: ", "request-id:" }
      local orders = { { 1, 2, 3 }, { 3, 2, 1 }, { 2, 3, 1 }, { 3, 2 }, { 2, 3 }, { 3 },
        { 4, 2 }, { 3, 5, 4 } }
      local behaviours = {}
      for n, list in ipairs(orders) do
        local text = "HTTP/1.1 500 No\r\ncontent-length: 0\r\n"
        for _, line in ipairs(list) do text = text .. lines[line] .. "\r\n" end
        behaviours[n] = { read = true, send = text .. "\r\n" }
      end
      local server, ids = faulty.start(behaviours), {}
      for n = 1, #orders do
        local one = fixture.client { base_url = server.url, max_retries = 0 }
        ids[n] = fixture.failed("api", one:balance "USD").request_id
      end
      server:stop()
      assert.same({ "a", "a", "a", "b", "b", "c", "b", "c" }, ids)
    end)

    it("which is that of the last attempt", function()
      order { status = 503, headers = { ["x-request-id"] = "first" }, body = "" }
      order { status = 400, headers = { ["x-request-id"] = "second" }, body = "" }
      local err = fixture.failed("invalid_request", client:balance "USD")
      assert.equal("second", err.request_id)
    end)

    it("which the message names and which is bounded", function()
      order { status = 500, body = "{}", headers = { ["x-request-id"] = "id-5" } }
      local err = fixture.failed("api", client:balance("USD", { max_retries = 0 }))
      assert.matches("request id-5]", err.message, 1, true)
      local long = id { ["x-request-id"] = ("i"):rep(5000) }
      assert.is_true(#long >= 64 and #long < 1000)
    end)
  end)

  describe("has retry_after", function()
    -- Of a 503: after a 429 the client would hold the next calls back.
    local function after(value, status)
      return failure(status == 429 and "rate_limit" or "api", { status = status or 503,
        body = "{}", headers = { ["retry-after"] = value } }).retry_after
    end

    it("when the header has whole seconds that can be believed", function()
      for text, seconds in pairs { ["1"] = 1, ["2"] = 2, ["3600"] = 3600, ["007"] = 7 } do
        assert.equal(seconds, after(text))
      end
      assert.equal(9, after("9", 429))
    end)

    it("when the header has a date that can be believed", function()
      local now = sandbox.clock and math.floor(sandbox.clock.now()) or os.time()
      local date = driver.http_date(now + 100)
      local seconds = after(date)
      assert.is_true(seconds > 60 and seconds <= 100, seconds)
    end)

    it("not when the header is anything else", function()
      for _, text in ipairs {
        "0", "-5", "3601", "99999", "soon", "1.5", "1e1", "0x10", "+5", "5 s", "",
        ("9"):rep(400), "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 2094 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT", "2030-01-01T00:00:00Z",
      } do
        assert.is_nil(after(text), text)
      end
    end)
  end)

  describe("has fields", function()
    it("for what was asked, all of them documented", function()
      order { status = 503, body = shape_a("api_error", "down", "it is down"), times = 3,
        headers = { ["retry-after"] = "0", ["x-request-id"] = "r" } }
      local err = fixture.failed("api",
        client:balance { currency = "USD", on_behalf_of = sandbox.sub_account })
      local requests = sandbox.requests()
      local last = requests[#requests]
      assert.equal(last.headers["x-idempotency-key"], err.idempotency_key)
      check(err, {
        kind = "api", status = 503, type = "api_error", code = "down", attempts = 3,
        retry_stopped = "max_retries", retryable = true, request_id = "r",
        on_behalf_of = sandbox.sub_account, endpoint = "balance",
      }, "fields")
      assert.is_true(err.elapsed > 0 and err.elapsed < 30)
      assert.equal(14, count(err))
    end)

    it("of a caller's own key and no sub-account", function()
      local key = uqpay.uuid():upper()
      local err = failure("invalid_request", { status = 400, body = "" },
        { idempotency_key = key })
      assert.equal(key, err.idempotency_key)
      assert.is_nil(err.on_behalf_of)
    end)

    fixture.on_the_wire("that curl knows, when there is no answer", function()
      order { kind = "drop_before" }
      local err = fixture.failed("connect", client:balance("USD", { max_retries = 0 }))
      check(err, { status = none, body = none, request_id = none, retryable = true,
        retry_stopped = "max_retries", attempts = 1 }, "dropped")
      assert.is_number(err.curl_code)
      assert.matches("^CURLE_", err.curl_name)
    end)

    it("of its own answer, none of an earlier one", function()
      local told = {}
      local one = fixture.client { max_retries = 0,
        on_response = function(info) told[#told + 1] = info end }
      order { status = 503, body = "{}",
        headers = { ["retry-after"] = "5", ["x-request-id"] = "earlier" } }
      fixture.failed("api", one:balance "USD")
      -- twice: curl itself asks again when a kept connection fails
      order { kind = "drop_before", times = sandbox.transport and 1 or 2 }
      local err = fixture.failed("connect", one:balance "USD")
      check(err, { status = none, retry_after = none, request_id = none }, "later")
      assert.equal("earlier", told[1].request_id)
      assert.is_nil(told[2].request_id)
    end)

    it("named in a message: status, text, host, attempts, request", function()
      order { status = 503, body = shape_a("api_error", "x", "it is down"), times = 3,
        headers = { ["x-request-id"] = "r-1" } }
      local _, message = client:balance "USD"
      assert.equal("HTTP 503 api_error: it is down [" .. sandbox.url:match "//([^/]+)"
        .. ", 3 attempts, request r-1]", message)
      order { status = 400, body = '{"message":"no"}',
        headers = { ["x-request-id"] = cjson.null } }
      _, message = client:balance "USD"
      assert.equal("HTTP 400: no [" .. sandbox.url:match "//([^/]+)" .. ", 1 attempt]",
        message)
    end)

    it("and can be raised by assert on every Lua", function()
      local ok, message = pcall(function() return assert(client:balance "EUR") end)
      assert.is_false(ok)
      assert.matches("^HTTP 400 account_error: ", message)
    end)

    it("of its own: the next error has another table", function()
      local first = fixture.failed("invalid_request", client:balance "EUR")
      first.kind = "spoiled"
      local second = fixture.failed("invalid_request", client:balance "EUR")
      assert.not_equal(first, second)
      assert.not_equal(first.idempotency_key, second.idempotency_key)
    end)
  end)

  describe("is bounded:", function()
    it("a body of any size is cut", function()
      for _, size in ipairs { 2047, 2048, 2049, 5000, 500000 } do
        local err = failure("api", { status = 500, body = ("b"):rep(size) })
        assert.equal(("b"):rep(math.min(size, 2048)), err.body)
      end
    end)

    it("message, type and code of any size are cut", function()
      local long = ("l"):rep(100000)
      local err = failure("invalid_request",
        { status = 400, body = shape_a(long, long, long) })
      assert.is_true(#err.message < 1000 and #err.message > 100)
      assert.is_true(#err.type < 500 and #err.code < 500)
      err = failure("auth", { status = 401, body = '{"error":"' .. long .. '"}' })
      assert.is_true(#err.message < 1000)
    end)
  end)

  it("has no control byte except in its body", function()
    local dirty = "a\\r\\nx: 1\\u0000\\u001b[31m\\u007f\\t\\bz"
    local body = '{"type":"' .. dirty .. '","code":"' .. dirty .. '","message":"' .. dirty
      .. '"}'
    local err = failure("invalid_request", { status = 400, body = body })
    for name, value in pairs(err) do
      if type(value) == "string" then assert.is_nil(value:find "%c", name) end
    end
    assert.matches("a.*z", err.message)
    assert.matches("a.*z", err.type)
    err = failure("auth", { status = 401, body = '{"error":"' .. dirty .. '"}' })
    assert.matches("a.*z", err.message)
    err = failure("api", { status = 500, body = "raw\1\0\27bytes" })
    assert.equal("raw\1\0\27bytes", err.body)
  end)

  describe("never shows the token", function()
    local opaque = "Zq7/Lx+0pW9=aB3/Nk+6vT5=hY2/Rc+8mD4=jE1/Ug+s!Qw<&>'X.o~i-P_"

    -- Normal forms of a text: the escapes of JSON and of URLs decoded, and its
    -- lines joined.
    local function undone(text)
      local function char(hex) return string.char(tonumber(hex, 16)) end
      text = text:gsub("\\u00(%x%x)", char):gsub('\\([/"\\])', "%1")
      return (text:gsub("%%(%x%x)", char):gsub("%s", ""))
    end

    -- Whatever shows 16 bytes in a row shows eight that begin at a multiple of eight.
    local function shows(text, token)
      for at = 1, #token - 7, 8 do
        if text:find(token:sub(at, at + 7), 1, true) then
          for from = math.max(1, at - 8), at do
            local part = token:sub(from, from + 15)
            if #part == 16 and text:find(part, 1, true) then return part end
          end
        end
      end
    end

    local function check_text(text, token, name)
      assert.is_nil(shows(text, token), name)
      assert.is_nil(shows(undone(text), token), name)
    end

    local function check_table(list, token)
      for name, value in pairs(list) do
        if type(value) == "string" then check_text(value, token, tostring(name)) end
        if type(value) == "table" then check_table(value, token) end
      end
    end

    -- Has a server answer this to a client with the token; the error shows none of it.
    local function hides(token, fault)
      local told = {}
      local function hook(info) told[#told + 1] = info end
      local one = fixture.client { base_url = sandbox.http_url, ca_file = false,
        token = token, max_retries = 1, on_request = hook, on_response = hook,
        on_retry = hook }
      fault.times = 2
      order(fault)
      local value, message, err = one:balance "USD"
      assert.is_nil(value)
      check_text(message, token, "message")
      check_table(err, token)
      check_table(told, token)
      one:close()
      sandbox.reset() -- the fault's second use, when there was no second attempt
      return err
    end

    -- JSON, with no more escapes than there must be.
    local function quote(text)
      return '"' .. text:gsub('["\\]', "\\%0") .. '"'
    end

    local function both(run)
      for _, token in ipairs { sandbox.token, opaque } do run(token) end
    end

    it("in a body, plain, in part, repeated, in the middle of words", function()
      both(function(token)
        for _, body in ipairs {
          token, "Bearer " .. token, token:sub(1, 20), token:sub(-20), token:sub(3, 18),
          token .. token, token:rep(50), "x" .. token .. "x", token:sub(1, -2),
          token:sub(2) .. token:sub(1, -2), (" "):rep(2040) .. token,
          (" "):rep(2048 - #token) .. token, token:sub(1, 30) .. " " .. token:sub(31, 60),
          "\0" .. token .. "\0", "<html>" .. token .. "</html>",
        } do
          local err = hides(token, { status = 500, body = body })
          assert.is_true(#err.body <= 2048)
        end
      end)
    end)

    it("in the fields of an error body", function()
      both(function(token)
        local text = quote("no: Bearer " .. token)
        for _, status in ipairs { 200, 400, 401, 403, 429, 500 } do
          hides(token, { status = status, body = '{"type":' .. text .. ',"code":' .. text
            .. ',"message":' .. text .. ',"missing_fields":[' .. text .. "]}" })
          hides(token, { status = status, body = '{"error":' .. text .. "}" })
          hides(token, { status = status, body = '{"error":{"message":' .. text .. "}}" })
        end
      end)
    end)

    it("in a message that is cut in the middle of it", function()
      both(function(token)
        for _, length in ipairs { 480, 495, 505, 511, 512 } do
          local text = quote(("m"):rep(length) .. token)
          hides(token, { status = 400, body = '{"message":' .. text .. "}" })
        end
      end)
    end)

    it("in a body that is no balance", function()
      both(function(token)
        local text = quote(token)
        for _, body in ipairs {
          text, "[" .. text .. "]", "{" .. text .. ":1}", balance .. "," .. text .. "}",
          '{"balance_id":' .. text .. "}", balance:gsub('"ACTIVE"', "") .. text .. "x}",
          (balance:gsub('"USD"', function() return text end)) .. "}",
          balance .. "," .. text .. ":1," .. text .. ":2}",
          balance .. "," .. text .. ":1e400}",
        } do
          hides(token, { body = body })
        end
      end)
    end)

    it("in headers", function()
      both(function(token)
        for _, name in ipairs { "x-request-id", "request-id", "x-b3-traceid" } do
          hides(token, { status = 500, body = "",
            headers = { [name] = token, ["x-request-id"] = token } })
        end
        hides(token, { status = 500, headers = { ["retry-after"] = token }, body = "" })
        for _, place in ipairs { "", "https://a.invalid/", "https://a.invalid/x/" } do
          hides(token, { kind = "redirect", status = 302, location = place .. token })
          hides(token, { kind = "redirect", status = 307,
            location = "https://a.invalid/?t=" .. token })
        end
      end)
    end)

    it("in a body that escapes it", function()
      local function escape(text, pattern, form)
        return (text:gsub(pattern, function(c) return form:format(c:byte()) end))
      end
      both(function(token)
        for _, text in ipairs {
          (token:gsub('[/"]', "\\%0")), escape(token, '[/"<>&+=]', "\\u%04x"),
          escape(token, ".", "\\u%04x"), escape(token, ".", "\\u%04X"),
          escape(token, "[^%w_.-]", "%%%02X"), escape(token, "[^%w_.-]", "%%%02x"),
        } do
          hides(token, { status = 400, body = '{"message":"' .. text .. '"}' })
          hides(token, { status = 500, body = "page: " .. text })
        end
      end)
    end)

    it("in a body that breaks it into lines", function()
      both(function(token)
        for _, break_ in ipairs { "\n", "\r\n", " ", "\\n", "\\\n  " } do
          local text = token:gsub(("."):rep(10), "%0" .. break_)
          hides(token, { status = 500, body = "page: " .. text })
        end
      end)
    end)

    it("that an earlier attempt of the call bore", function()
      local earlier = "earlier-" .. opaque
      local one = fixture.client { max_retries = 0, token = function(reason)
        return reason == "rejected" and sandbox.token or earlier
      end }
      order { status = 401, body = "{}" }
      order { status = 500, body = "first " .. earlier .. ", then " .. sandbox.token }
      local _, message, err = one:balance "USD"
      assert.equal(2, #sandbox.requests())
      check_text(message, earlier, "message")
      check_table(err, earlier)
      check_table(err, sandbox.token)
      assert.equal("first [redacted], then [redacted]", err.body)
    end)

    it("of a short kind either", function()
      local short = "k3y/Short.1"
      for _, body in ipairs { short, "no " .. short, '{"error":"' .. short .. '"}' } do
        order { status = 500, body = body }
        local one = fixture.client { token = short, max_retries = 0 }
        local _, message, err = one:balance "USD"
        assert.is_nil(message:find(short, 1, true))
        for name, value in pairs(err) do
          assert.is_nil(tostring(value):find(short, 1, true), name)
        end
      end
    end)

    it("but keeps the word Bearer and all other text", function()
      local text = "use Bearer, then Bearer " .. sandbox.token .. " and more"
      local err = failure("api", { status = 500, body = text })
      assert.equal("use Bearer, then Bearer [redacted] and more", err.body)
      for _, part in ipairs {
        sandbox.token:sub(3, 18), sandbox.token:sub(2, 90), sandbox.token:sub(-20),
      } do
        -- blanks do not count: a letter could be the token's next one
        err = failure("api", { status = 500, body = "a: " .. part .. " :b" })
        assert.equal("a: [redacted] :b", err.body)
      end
    end)
  end)
end)
