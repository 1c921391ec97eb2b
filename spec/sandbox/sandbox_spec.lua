-- The sandbox keeps its promises: the balance, the faults, the log. The rest of it has
-- specs of its own, sandbox_*_spec.lua and command_spec.lua.

local by_curl = require "spec.support.curl"
local cjson = require "cjson"
local driver = require "spec.support.driver"
local faulty = require "spec.support.faulty_driver"
local processes = require "spec.support.processes"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local unpack = table.unpack or unpack

local curl, parse, ask = by_curl.command, by_curl.parse, by_curl.ask
local ask_all, new_key = by_curl.ask_all, by_curl.new_key
local eventually, until_gone = processes.eventually, processes.until_gone

local function refused(answer, status, fields)
  assert.equal(status, answer.status, answer.body)
  for name, value in pairs(fields) do
    assert.equal(value, answer.json[name], answer.body)
  end
end

local function last()
  local list = sandbox.requests()
  return list[#list]
end

describe("the sandbox", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  describe("answers with a balance", function()
    it("of eight fields, digits as written", function()
      local answer = ask()
      assert.equal(200, answer.status)
      assert.equal("application/json", answer.headers["content-type"])
      assert.equal('{"balance_id":"72970a7c-7921-431c-b95f-3438724ba16f",'
        .. '"currency":"USD",'
        .. '"available_balance":5000.25,"margin_balance":10000,"frozen_balance":2353.25,'
        .. '"create_time":"2024-03-21T17:17:32+08:00",'
        .. '"last_trade_time":"2026-11-02T09:05:00+08:00","balance_status":"ACTIVE"}',
        answer.body)
    end)

    it("whose amounts keep zeros and twenty digits", function()
      local answers = ask_all {
        { body = '{"currency":"SGD"}' }, { body = '{"currency":"XUSD"}' },
      }
      for n, text in ipairs { "10000.00", "12345678901234567890.12" } do
        assert.matches('"available_balance":' .. text .. ",", answers[n].body, 1, true)
      end
    end)

    it("whose amounts are negative, or of 28 digits, on order", function()
      sandbox.balance { currency = "USD", available_balance = "-5000.25",
        margin_balance = "-0.10", frozen_balance = "12345678901234567890.12345678" }
      assert.matches('"available_balance":-5000.25,"margin_balance":-0.10,'
        .. '"frozen_balance":12345678901234567890.12345678,', ask().body, 1, true)
      sandbox.settings { amounts = "string" }
      assert.matches('"available_balance":"-5000.25","margin_balance":"-0.10",'
        .. '"frozen_balance":"12345678901234567890.12345678",', ask().body, 1, true)
    end)

    it("whose amounts are strings if set so", function()
      sandbox.settings { amounts = "string" }
      assert.matches('"available_balance":"10000.00",',
        ask { body = '{"currency":"SGD"}' }.body, 1, true)
    end)

    it("over HTTP/2, HTTP/1.1 and plain HTTP", function()
      for _, case in ipairs {
        { "2", "--http2" }, { "1.1", "--http1.1" }, { "1.1", url = sandbox.http_url },
      } do
        local version = table.remove(case, 1)
        local answer = ask(case)
        assert.equal(200, answer.status)
        assert.equal(version, answer.version)
        assert.equal(version, last().http)
      end
    end)

    it("on one connection for many requests", function()
      for _, version in ipairs { "--http1.1", "--http2" } do
        ask { version, sandbox.url .. "/v1/issuing/balances" }
        local list = sandbox.requests()
        assert.equal(list[#list - 1].connection, list[#list].connection)
        assert.equal(2, list[#list].connection_requests)
      end
    end)

    it("with an x-request-id of its own", function()
      local first, second = ask().headers["x-request-id"], ask { method = "PUT" }
      assert.truthy(first)
      assert.truthy(second.headers["x-request-id"])
      assert.not_equal(first, second.headers["x-request-id"])
    end)

    it("after a token of 8 KiB", function()
      local token = sandbox.new_token { token = ("t"):rep(8192) }
      for _, version in ipairs { "--http1.1", "--http2" } do
        local long = { ["x-auth-token"] = "Bearer " .. token }
        assert.equal(200, ask { version, headers = long }.status)
      end
    end)
  end)

  describe("checks the token", function()
    local function with(value)
      return ask { headers = { ["x-auth-token"] = value } }
    end

    it("which is about 600 bytes and looks like a JWT", function()
      local size = #sandbox.token
      assert.is_true(size > 500 and size < 700, size)
      assert.matches("^[%w_-]+%.[%w_-]+%.[%w_-]+$", sandbox.token)
    end)

    it("missing: 401, shape C", function()
      local answer = with(false)
      refused(answer, 401, {})
      assert.is_string(answer.json.error)
      assert.is_nil(answer.json.code)
    end)

    it("without Bearer: 401, format", function()
      local list = {}
      for n, prefix in ipairs { "", "Bearer", "Bearer  ", "bearer ", "Basic " } do
        list[n] = { headers = { ["x-auth-token"] = prefix .. sandbox.token } }
      end
      for _, answer in ipairs(ask_all(list)) do
        refused(answer, 401, { error = "invalid auth token format" })
      end
      sandbox.settings { bearer = "optional" }
      assert.equal(200, with(sandbox.token).status)
      assert.equal(200, with("Bearer " .. sandbox.token).status)
    end)

    it("unknown: 401, shape A", function()
      refused(with "Bearer nonsense", 401,
        { type = "unauthorized_error", code = "unauthorized_error" })
    end)

    it("expired: 401, with the text the SDKs look for", function()
      refused(with("Bearer " .. sandbox.expired_token), 401,
        { message = "token has expired" })
    end)

    it("without permission: 403", function()
      refused(with("Bearer " .. sandbox.forbidden_token), 403,
        { type = "unauthorized_error", code = "forbidden" })
    end)

    it("of another merchant: another balance", function()
      assert.matches('"available_balance":66666.60,',
        with("Bearer " .. sandbox.other_token).body, 1, true)
    end)

    it("made on request, for its life, ended on request", function()
      assert.equal(200, with("Bearer " .. sandbox.new_token { life = 60 }).status)
      local short = sandbox.new_token { life = 0.05 }
      eventually(function() return with("Bearer " .. short).status == 401 end)
      sandbox.expire(sandbox.token)
      assert.equal(401, with("Bearer " .. sandbox.token).status)
      sandbox.reset()
      assert.equal(200, with("Bearer " .. sandbox.token).status)
    end)
  end)

  describe("checks the idempotency key", function()
    local function with(key, options)
      options = options or {}
      options.headers = options.headers or {}
      options.headers["x-idempotency-key"] = key
      return ask(options)
    end

    it("missing or no UUID: 400", function()
      local bare, list = new_key():gsub("-", ""), {}
      for n, key in ipairs { false, "", "today", new_key() .. "0", bare } do
        list[n] = { headers = { ["x-idempotency-key"] = key } }
      end
      for _, answer in ipairs(ask_all(list)) do
        refused(answer, 400, { type = "idempotency_error" })
      end
    end)

    it("seen before: the first answer, though the balance has changed", function()
      local key = new_key()
      local first = with(key).body
      sandbox.balance { currency = "USD", available_balance = "1.23" }
      assert.equal(first, with(key).body)
      assert.matches('"available_balance":1.23,', with(new_key()).body, 1, true)
    end)

    it("seen before: the first failure too", function()
      local key, gone = new_key(), { body = '{"currency":"EUR"}' }
      refused(with(key, gone), 400, { type = "account_error" })
      sandbox.balance { currency = "EUR", available_balance = "5" }
      refused(with(key, gone), 400, { type = "account_error" })
      assert.equal(200, with(new_key(), gone).status)

      key = new_key()
      sandbox.fault { kind = "status", status = 500, store = true }
      refused(with(key), 500, { type = "api_error" })
      refused(with(key), 500, { type = "api_error" })
    end)

    it("seen before, but with 401, 403, 429 or 5xx: answered again", function()
      local one = { headers = { ["x-idempotency-key"] = new_key() } }
      local statuses, list = { 401, 403, 429, 500, 502, 503, 504, 200 }, {}
      for n, status in ipairs(statuses) do
        if status ~= 200 then sandbox.fault { kind = "status", status = status } end
        list[n] = one
      end
      local answers = ask_all(list)
      for n, status in ipairs(statuses) do assert.equal(status, answers[n].status) end
    end)

    it("seen with another body: 400, mismatch", function()
      local key = new_key()
      with(key)
      refused(with(key, { body = '{"currency":"SGD"}' }), 400,
        { type = "idempotency_error", code = "idempotency_mismatch" })
    end)

    it("of another account: a key of its own", function()
      local key = new_key()
      with(key)
      for _, changed in ipairs {
        { ["x-on-behalf-of"] = sandbox.sub_account },
        { ["x-auth-token"] = "Bearer " .. sandbox.other_token },
      } do
        local body = with(key, { headers = changed }).body
        assert.is_nil(body:find("5000.25", 1, true))
        assert.truthy(body:find("111.11", 1, true) or body:find("66666.60", 1, true))
      end
    end)

    it("still in progress: 400 with code 200, and the answer later", function()
      local key = new_key()
      local line = curl { headers = { ["x-idempotency-key"] = key } }
      sandbox.fault { kind = "delay", hold = true }
      local first = io.popen(line)
      sandbox.until_arrived(1)
      refused(parse(driver.output(line)), 400,
        { code = 200, message = "Request is processing, please try again later" })
      sandbox.release()
      assert.equal(200, parse(first:read "*a").status)
      first:close()
      assert.equal(200, parse(driver.output(line)).status)
    end)

    it("in progress when the client went away: not for ever", function()
      local key = new_key()
      sandbox.fault { kind = "delay", hold = true }
      local first = io.popen("echo $$; exec "
        .. curl { headers = { ["x-idempotency-key"] = key } })
      local pid = first:read "*l"
      sandbox.until_arrived(1)
      driver.output("kill " .. pid)
      first:close()
      assert.equal(400, with(key).status)
      sandbox.release()
      eventually(function() return with(key).status == 200 end)
    end)
  end)

  describe("checks x-on-behalf-of", function()
    local function with(id, currency)
      return {
        headers = { ["x-on-behalf-of"] = id },
        body = ('{"currency":"%s"}'):format(currency),
      }
    end

    it("known: the balance of that account", function()
      local cases, list = {
        { sandbox.sub_account, "USD", "111.11" },
        { sandbox.sub_account, "SGD", "222.20" },
        { sandbox.other_sub_account, "USD", "0.00" },
        { sandbox.other_sub_account, "XUSD", "44444.4" },
      }, {}
      for n, case in ipairs(cases) do list[n] = with(case[1], case[2]) end
      for n, answer in ipairs(ask_all(list)) do
        local case = cases[n]
        assert.equal(200, answer.status)
        assert.equal(case[2], answer.json.currency)
        assert.matches('"available_balance":' .. case[3] .. ",", answer.body, 1, true)
      end
    end)

    it("anything else: 400, account_error", function()
      local list = {}
      for n, id in ipairs {
        "", "nonsense", "00000000-0000-4000-8000-000000000000",
        sandbox.sub_account .. "0", sandbox.sub_account:upper(),
        sandbox.closed_sub_account, sandbox.banking_sub_account,
        sandbox.foreign_sub_account,
      } do
        list[n] = with(id, "USD")
      end
      for _, answer in ipairs(ask_all(list)) do
        refused(answer, 400,
          { type = "account_error", code = "sub_account_not_found" })
      end
    end)
  end)

  describe("checks the request", function()
    it("body: 400, invalid_request_error", function()
      local list = {}
      for n, body in ipairs {
        "", "{", "[]", '"USD"', "{}", '{"currency":null}', '{"currency":840}',
        '{"currency":""}', '{"currency":"usd"}', '{"currency":"US D"}',
        '{"currency":"DOLLAR"}',
      } do
        list[n] = { body = body }
      end
      for _, answer in ipairs(ask_all(list)) do
        refused(answer, 400,
          { type = "invalid_request_error", code = "invalid_request_error" })
      end
    end)

    it("currency without a balance: 400, account_error", function()
      refused(ask { body = '{"currency":"EUR"}' }, 400, { type = "account_error" })
    end)

    it("a form's content type: 415, on every path", function()
      for _, form in ipairs {
        "application/x-www-form-urlencoded", "Multipart/Form-Data; boundary=x",
        "APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-8",
      } do
        local headers = { ["content-type"] = form }
        local answers = ask_all {
          { headers = headers }, { headers = headers, path = "/v1/connect/token" },
          { headers = headers, method = "GET",
            path = "/v1/accounts?page_size=10&page_number=1" },
        }
        for _, answer in ipairs(answers) do refused(answer, 415, { code = 415 }) end
      end
    end)

    it("content type: 400", function()
      refused(ask { headers = { ["content-type"] = "text/plain" } }, 400,
        { type = "invalid_request_error" })
      local utf8 = "application/json; charset=utf-8"
      assert.equal(200, ask { headers = { ["content-type"] = utf8 } }.status)
    end)

    it("method and path: 405 and 404, shape B", function()
      local answers = ask_all {
        { method = "PUT" }, { path = "/v1/issuing/balance" },
        { path = "/v1/issuing/balances/" },
      }
      refused(answers[1], 405, { code = 405 })
      assert.equal("GET, POST", answers[1].headers.allow)
      refused(answers[2], 404, { code = 404 })
      refused(answers[3], 404, { code = 404 })
    end)

    it("rate: 429 per merchant, Retry-After verbatim", function()
      sandbox.settings { rate_limit = 2, retry_after = "soon" }
      local other = { ["x-auth-token"] = "Bearer " .. sandbox.other_token }
      local answers = ask_all { {}, {}, {}, { headers = other } }
      for n, status in ipairs { 200, 200, 429, 200 } do
        assert.equal(status, answers[n].status)
      end
      assert.matches('^{"code":429,"message":"Too many.*"}$', answers[3].body)
      assert.equal("soon", answers[3].headers["retry-after"])
      for shape, pattern in pairs {
        E = '^{"code":"too_many_requests",.*",}$', H = '^{"message":"[^,]+, [^,]+"}$',
      } do
        sandbox.settings { rate_limit_shape = shape }
        assert.matches(pattern, ask().body)
      end
      sandbox.reset()
      assert.is_nil(ask().headers["retry-after"])
    end)
  end)

  describe("has certificates to refuse", function()
    it("good ones for localhost too", function()
      assert.equal(200, ask { url = (sandbox.url:gsub("127.0.0.1", "localhost")) }.status)
    end)

    it("expired, wrong host, self-signed: 60 of curl, nothing sent", function()
      for _, name in ipairs { "expired_url", "wrong_host_url", "self_signed_url" } do
        assert.equal(60, ask { url = sandbox[name] }.exit, name)
      end
      assert.same({}, sandbox.requests())
      local answer = ask { "-k", url = sandbox.expired_url }
      assert.equal(200, answer.status)
      assert.equal("expired", last().server)
    end)

    it("unknown authority: 60 as well", function()
      local unknown = sandbox.ca_file:gsub("ca.pem$", "self-signed.pem")
      assert.equal(60, ask { ca = unknown }.exit)
    end)

    it("TLS 1.1 at most: 35 of curl, and an answer if one insists", function()
      assert.equal(35, ask { "--tlsv1.2", url = sandbox.old_tls_url }.exit)
      local function insist(url)
        return ask { "--tlsv1.0", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0",
          url = url }
      end
      assert.equal(200, insist(sandbox.old_tls_url).status)
      assert.equal("TLSv1.1", last().tls)
      assert.equal(35, insist(sandbox.url).exit)
    end)
  end)

  describe("fails on order:", function()
    local function both(check)
      for _, version in ipairs { "--http1.1", "--http2" } do check(version) end
    end
    local broken_h2 = { [16] = true, [56] = true, [92] = true }
    -- an end without TLS's close_notify: "nothing", from 8.14.1 on "receive error"
    local nothing = { [52] = true, [56] = true }

    it("delay", function()
      sandbox.fault { kind = "delay", seconds = 0.1 }
      local start = socket.gettime()
      assert.equal(200, ask().status)
      assert.is_true(socket.gettime() - start >= 0.09)     -- nginx's clock is coarse
    end)

    it("status, in every shape", function()
      local cases, list = {
        { "A", 500, '^{"type":"api_error","code":"api_error","message":"m"}$' },
        { "B", 400, '^{"code":400,"message":"m"}$' },
        { "C", 401, '^{"error":"m"}$' },
        { "D", 403, '^{"error":"Forbidden","message":"m"}$' },
        { "E", 429, '^{"code":"too_many_requests","message":"m",}$' },
        { "F", 502, "^<html>" },
        { "G", 200, '^{"code":400,"message":"m"}$' },
        { "H", 429, '^{"message":"m"}$' },
      }, {}
      for n, case in ipairs(cases) do
        sandbox.fault { kind = "status", status = case[2], shape = case[1], message = "m",
          headers = { ["Retry-After"] = "7" } }
        list[n] = {}
      end
      for n, answer in ipairs(ask_all(list)) do
        assert.equal(cases[n][2], answer.status)
        assert.matches(cases[n][3], answer.body)
        assert.equal("7", answer.headers["retry-after"])
      end
    end)

    it("status of the edge: nothing stored", function()
      local line = curl {}
      sandbox.fault { kind = "status", status = 503, store = false }
      assert.equal(503, parse(driver.output(line)).status)
      assert.equal(200, parse(driver.output(line)).status)
    end)

    it("answer, byte for byte", function()
      both(function(version)
        sandbox.fault { kind = "answer", status = 203, body_base64 = "/wAK4oI=",
          headers = { ["content-type"] = "text/odd", ["x-request-id"] = cjson.null } }
        local answer = ask { version }
        assert.equal(203, answer.status)
        assert.equal("\255\0\n\226\130", answer.body)
        assert.equal("text/odd", answer.headers["content-type"])
        assert.is_nil(answer.headers["x-request-id"])
      end)
    end)

    it("drop_before: no answer, nothing done", function()
      both(function(version)
        local line = curl { version }
        sandbox.fault { kind = "drop_before" }
        local answer = parse(driver.output(line))
        if version == "--http2" then assert.is_true(broken_h2[answer.exit])
        else assert.is_true(nothing[answer.exit], answer.exit) end
        assert.is_nil(last().status)
        sandbox.balance { currency = "USD", available_balance = "9.99" }
        assert.matches("9.99", parse(driver.output(line)).body, 1, true)
        sandbox.reset()
      end)
    end)

    it("drop_after: no answer, but done", function()
      both(function(version)
        local line = curl { version }
        sandbox.fault { kind = "drop_after" }
        assert.not_equal(0, parse(driver.output(line)).exit)
        assert.equal("drop_after", last().fault)
        sandbox.balance { currency = "USD", available_balance = "9.99" }
        assert.matches("5000.25", parse(driver.output(line)).body, 1, true)
        sandbox.reset()
      end)
    end)

    it("truncate", function()
      both(function(version)
        sandbox.fault { kind = "truncate", bytes = 10 }
        local answer = ask { version }
        assert.equal(200, answer.status)
        assert.equal('{"balance_', answer.body)
        if version == "--http2" then assert.is_true(broken_h2[answer.exit], answer.exit)
        else assert.equal(18, answer.exit) end
      end)
    end)

    it("redirect, to a host that sees requests that follow it", function()
      local statuses = { 301, 302, 307, 308 }
      for _, status in ipairs(statuses) do
        sandbox.fault { kind = "redirect", status = status }
      end
      for n, answer in ipairs(ask_all { {}, {}, {}, {} }) do
        assert.equal(statuses[n], answer.status)
        assert.equal(sandbox.other_url .. "/v1/issuing/balances", answer.headers.location)
      end
      assert.same({ connections = 0, requests = {} }, sandbox.other())
      sandbox.fault { kind = "redirect" }
      ask { "-L" }
      local other = sandbox.other()
      assert.equal(1, other.connections)
      assert.equal("POST", other.requests[1].method)
      assert.equal("Bearer " .. sandbox.token, other.requests[1].headers["x-auth-token"])
    end)

    it("huge, with and without a Content-Length", function()
      both(function(version)
        for _, named in ipairs { true, false } do
          sandbox.fault { kind = "huge", bytes = 3000000, content_length = named }
          local answer = ask { version }
          assert.equal(0, answer.exit)
          assert.equal(3000000, #answer.body)
          assert.equal("USD", answer.json.currency)
          assert.equal(named and "3000000" or nil, answer.headers["content-length"])
        end
      end)
    end)

    it("huge_headers", function()
      sandbox.fault { kind = "huge_headers", bytes = 80000, times = 2 }
      both(function(version)
        local answer = ask { version }
        assert.equal(200, answer.status)
        assert.equal(8000, #answer.headers["x-huge-10"])
      end)
      sandbox.fault { kind = "huge_headers", bytes = 2000000 }
      assert.not_equal(0, ask { "--http1.1" }.exit)
    end)

    it("garbage", function()
      sandbox.fault { kind = "garbage" }
      assert.equal(1, ask { "--http1.1" }.exit)      -- curl: unsupported protocol
      sandbox.fault { kind = "garbage",
        body = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" }
      local answer = ask { "--http1.1" }
      assert.equal("hi", answer.body)
      assert.equal("garbage", last().fault)
      sandbox.fault { kind = "garbage" }
      assert.is_true(broken_h2[ask { "--http2" }.exit])
    end)

    it("processing, rate_limit, html, empty", function()
      sandbox.fault {
        { kind = "processing" }, { kind = "rate_limit", retry_after = "-5" },
        { kind = "html" }, { kind = "empty", status = 204 },
      }
      local answers = ask_all { {}, {}, {}, {}, {} }
      for n, status in ipairs { 400, 429, 502, 204, 200 } do
        assert.equal(status, answers[n].status)
      end
      assert.equal(200, answers[1].json.code)
      assert.equal("-5", answers[2].headers["retry-after"])
      assert.equal("text/html", answers[3].headers["content-type"])
      assert.equal("", answers[4].body)
    end)

    it("swallow: the connections so far, of both versions", function()
      both(function(version)
        sandbox.reset()
        sandbox.fault { kind = "delay", hold = true }
        local one = { version }
        local pipe = io.popen(by_curl.command_all { one, one, one })
        sandbox.until_arrived(1)
        sandbox.swallow()
        sandbox.release()
        sandbox.until_arrived(2)
        assert.equal(200, ask(one).status)
        local list = sandbox.requests()
        assert.equal(list[1].connection, list[2].connection)
        assert.equal("swallow", list[2].fault)
        assert.is_nil(list[2].status)
        assert.not_equal(list[1].connection, list[3].connection)
        sandbox.reset()     -- curl itself may send the second once more
        local answers = by_curl.parse_all(pipe:read "*a")
        pipe:close()
        assert.equal(200, answers[1].status)
        assert.equal(200, answers[3].status)
      end)
    end)

    it("hang", function()
      both(function(version)
        sandbox.reset()
        sandbox.fault { kind = "hang", hold = true }
        local pipe = io.popen(curl { version })
        sandbox.until_arrived(1)
        sandbox.release()
        local answer = parse(pipe:read "*a")
        pipe:close()
        assert.not_equal(0, answer.exit)
        assert.is_nil(answer.status)
        sandbox.fault { kind = "hang", seconds = 0.02 }
        assert.not_equal(0, ask { version }.exit)
        assert.equal("hang", last().fault)
      end)
    end)

    it("so many times, for the requests that it matches, first come", function()
      sandbox.fault { kind = "html",
        match = { ["X-On-Behalf-Of"] = sandbox.sub_account } }
      sandbox.fault { kind = "empty", status = 202, times = 2 }
      assert.equal(202, ask().status)
      local sub = { headers = { ["x-on-behalf-of"] = sandbox.sub_account } }
      assert.equal(502, ask(sub).status)
      assert.equal(1, #sandbox.faults())
      assert.equal(202, ask(sub).status)
      assert.equal(200, ask(sub).status)
      assert.same({}, sandbox.faults())
    end)
  end)

  describe("logs", function()
    it("what came and what was answered", function()
      local key = new_key()
      ask { "--http1.1", path = "/v1/issuing/balances?a=1",
        headers = { ["x-idempotency-key"] = key, ["X-Odd_Name"] = "1" } }
      local entry = last()
      assert.equal(1, entry.n)
      assert.equal("POST", entry.method)
      assert.equal("/api/v1/issuing/balances", entry.path)
      assert.equal("a=1", entry.query)
      assert.equal("1.1", entry.http)
      assert.equal("Bearer " .. sandbox.token, entry.headers["x-auth-token"])
      assert.equal("1", entry.headers["x-odd_name"])
      assert.matches("\r\nx%-idempotency%-key: " .. key:gsub("-", "%%-") .. "\r\n",
        entry.raw_headers)
      assert.equal('{"currency":"USD"}', entry.body)
      assert.equal(200, entry.status)
      assert.is_nil(entry.fault)
      assert.equal("https", entry.server)
      assert.matches("^TLSv1%.[23]$", entry.tls)
      assert.is_string(entry.tls_cipher)
      assert.is_number(entry.connection)
      assert.is_true(math.abs(entry.time - socket.gettime()) < 60)
    end)

    it("a header that came twice, twice", function()
      ask { "-H", "x-twice: a", "-H", "x-twice: b" }
      assert.same({ "a", "b" }, last().headers["x-twice"])
    end)

    it("nothing of before a reset", function()
      sandbox.fault { kind = "delay", hold = true }
      local old = io.popen(curl {})
      sandbox.until_arrived(1)
      sandbox.reset()           -- which releases it
      assert.same({}, sandbox.requests())
      ask { body = '{"currency":"SGD"}' }
      old:read "*a"             -- here it has come to its end
      old:close()
      assert.equal(1, #sandbox.requests())
      assert.equal('{"currency":"SGD"}', last().body)
      assert.is_nil(last().fault)
    end)
  end)

  it("draws nothing that a setting determines for requests of before a reset", function()
    sandbox.settings { seed = "row" }
    local first = ask().headers["x-request-id"]
    sandbox.reset()
    sandbox.fault { kind = "delay", seconds = 0.3 }
    local old = io.popen(curl {})
    sandbox.until_arrived(1)
    sandbox.reset()
    sandbox.settings { seed = "row" }
    old:read "*a"
    old:close()
    assert.equal(first, ask().headers["x-request-id"])
  end)

  describe("refuses", function()
    local function complains(text, order, value)
      local ok, err = pcall(sandbox[order], value)
      assert.is_false(ok)
      assert.matches(text, err, 1, true)
    end

    it("orders it does not understand", function()
      complains("kind must be one of answer delay", "fault", { kind = "fire" })
      complains("unknown option of a fault: second", "fault",
        { kind = "delay", second = 1 })
      complains("seconds must be a number", "fault", { kind = "delay", seconds = "1" })
      for text, fields in pairs {
        ["times must be a whole number from 1"] = { times = 0 },
        ["skip must be a whole number from 0"] = { skip = -1 },
        ["bytes must be a whole number from 0"] = { bytes = 1.5 },
        ["status must be a whole number from 100"] = { status = 1000 },
        ["seconds must be a number of seconds"] = { seconds = -1 },
      } do
        fields.kind = "status"
        complains(text, "fault", fields)
      end
      assert.same({}, sandbox.faults())
      complains("unknown setting: amount", "settings", { amount = "string" })
      complains('amounts cannot be \\"text\\"', "settings", { amounts = "text" })
      complains("rate_limit must be a number", "settings", { rate_limit = "3" })
      complains("a fault must be a table", "fault", { 5 })
      complains("times must be a number", "transaction", { times = "x" })
      complains("life must be a number", "new_token", { life = "x" })
      complains("token must be a string", "new_token", { token = 5 })
      complains("delay must be at most", "settings", { delay = 1e300 })
      complains("unknown token", "expire", "nonsense")
      complains("unknown account", "balance", { currency = "USD", account = "nobody" })
      complains("available_balance must be text", "balance",
        { currency = "USD", available_balance = 1 })
    end)

    it("a control address elsewhere", function()
      local file = os.tmpname()
      for _, address in ipairs {
        "http://192.0.2.1:80", "http://127.0.0.1.example:80",
        "http://127.0.0.1@example:80", "https://127.0.0.1:80",
        "http://localhost.example:1",
      } do
        local handle = assert(io.open(file, "w"))
        handle:write("control=", address, "\n")
        handle:close()
        local output = driver.output(("UQPAY_SANDBOX_ENV=%s lua5.4 -e %s 2>&1"):format(
          file, driver.quote 'require("spec.sandbox.sandbox").start()'))
        assert.matches("address is not on this machine: " .. address, output, 1, true)
      end
      os.remove(file)
    end)
  end)
end)

describe("a relay in front of it", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("ignores everything that comes over the open connections", function()
    local relay = require("spec.support.relay_driver").start(sandbox.http_url)
    finally(function() relay:stop() end)
    local function connect()
      local peer = assert(socket.connect("127.0.0.1", relay.port))
      peer:settimeout(60)
      return peer
    end
    local function send(peer)
      assert(peer:send "GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n")
    end
    local function answer(peer)
      local status = assert(peer:receive "*l")
      repeat local line = assert(peer:receive "*l") until line == ""
      assert(peer:receive(#'{"code":404,"message":"route not found"}'))
      return status
    end
    local first = connect()
    send(first)
    assert.matches("404", answer(first))
    assert.equal(1, relay:order "swallow")
    send(first)
    local second = connect()
    send(second)
    assert.matches("404", answer(second))
    assert.equal(2, #sandbox.requests())
    first:settimeout(0)
    assert.equal("timeout", select(2, first:receive(1)))
    assert.equal(2, relay:order "count")
    first:close()
    eventually(function() return relay:order "count" == 1 end)
    second:close()
  end)
end)

describe("the faulty server", function()
  local server
  after_each(function() if server then server:stop() end end)

  local function get(...)
    local words = { "curl", "-q", "-s", "-i", "--noproxy", "*", "--max-time", "60", "-w",
      "\n%{exitcode} %{http_version} is all\n", ... }
    words[#words + 1] = server.url .. "/x"
    return parse(driver.output(driver.command(unpack(words))))
  end

  local fine = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

  it("answers with the bytes it was given, and keeps those it got", function()
    server = faulty.start { { read = true, send = fine } }
    assert.equal("hello", get("-d", "a=b").body)
    assert.equal("hello", get().body)
    local requests = server:requests()
    assert.equal(2, #requests)
    assert.matches("^POST /x HTTP/1.1\r\n.*\r\n\r\na=b$", requests[1])
    assert.matches("^GET /x HTTP/1.1\r\n.*\r\n\r\n$", requests[2])
  end)

  it("never speaks", function()
    server = faulty.start { { keep = true } }
    assert.equal(28, get("--max-time", "0.1").exit)
  end)

  it("closes, resets: at once, after the request, in the body", function()
    server = faulty.start {
      { close = true }, { reset = true }, { read = true, close = true },
      { read = true, reset = true },
      { read = true, send = fine:sub(1, -6), reset = true },
      { read = true, send = fine:sub(1, -3), reset = true },
      { read = true, send = fine:sub(1, -3), close = true },
    }
    -- curl's result for the first two depends on which one is quicker.
    for _ = 1, 2 do
      local exit = get().exit
      assert.is_true(({ [7] = true, [52] = true, [55] = true, [56] = true })[exit], exit)
    end
    assert.equal(52, get().exit)
    assert.equal(56, get().exit)
    assert.equal(56, get().exit)
    assert.equal(56, get().exit)
    local short = get()
    assert.equal(18, short.exit)
    assert.equal("hel", short.body)
    assert.equal(18, get().exit)         -- the last one repeats
    assert.equal(8, #server:requests())
  end)

  it("drips", function()
    server = faulty.start {
      { read = true, send = fine, chunk = 10, pause = 0.01 },
      { read = true, send = { fine:sub(1, 20), fine:sub(21) }, pause = 0.04 },
      { wait = 0.04, send = fine },
    }
    for _, least in ipairs { 0.01 * math.floor((#fine - 1) / 10), 0.04, 0.04 } do
      local start = socket.gettime()
      assert.equal("hello", get().body)
      assert.is_true(socket.gettime() - start >= least)
    end
  end)

  it("holds until it is released, once each time", function()
    server = faulty.start { { { read = true }, { hold = true, send = "one" },
      { hold = true, send = "two" } } }
    local client = assert(socket.connect("127.0.0.1", server.port))
    client:send "GET / HTTP/1.1\r\n\r\n"
    for _, text in ipairs { "one", "two" } do
      client:settimeout(0.05)
      assert.equal("timeout", select(2, client:receive(1)))
      server:go()
      client:settimeout(60)
      assert.equal(text, client:receive(3))
    end
    client:close()
  end)

  it("ends separately: the others continue", function()
    local other = faulty.start { { read = true, send = fine } }
    server = faulty.start { { keep = true } }
    local silent = assert(socket.connect("127.0.0.1", server.port))
    silent:settimeout(60)
    server:stop()
    assert.equal("closed", select(2, silent:receive(1)))
    silent:close()
    server = other
    assert.equal("hello", get().body)
  end)

  it("closes half, keeps open, speaks several times on a connection", function()
    server = faulty.start {
      { read = true, send = "HTTP/1.1 200 OK\r\n\r\nto the end", half_close = true },
      { read = true, send = fine, keep = true },
      { { read = true, send = fine }, { read = true, reset = true } },
    }
    assert.equal("to the end", get().body)
    assert.equal("hello", get().body)
    assert.equal("hello", get().body)
    assert.equal(0, get().exit)
    local twice = driver.output(driver.command("curl", "-q", "-s", "--noproxy", "*",
      "--max-time", "60", server.url .. "/1", server.url .. "/2"))
    -- curl finds its kept connection reset and asks again on a new one
    assert.equal("hellohello", twice)
    local requests = server:requests()
    assert.matches("^GET /1 .*\r\n\r\nGET /2 .*\r\n\r\n$", requests[#requests - 1])
    assert.matches("^GET /2 ", requests[#requests])
  end)

  it("serves several at once", function()
    server = faulty.start { { keep = true }, { read = true, send = fine } }
    local silent = assert(socket.connect("127.0.0.1", server.port))
    assert.equal("hello", get().body)
    silent:close()
  end)

  it("sends any bytes", function()
    local bytes = "\0\1\127\128\255\r\n\\\"'"
    server = faulty.start { { send = bytes } }
    local client = assert(socket.connect("127.0.0.1", server.port))
    assert.equal(bytes, client:receive "*a")
    client:close()
  end)

  it("ends after its life, and with us", function()
    local input = driver.directory "input"
    finally(function() driver.output(driver.command("rm", "-rf", input)) end)
    assert.equal("0\n", driver.output(([[
      mkfifo %s/fifo; exec 3<> %s/fifo
      timeout 60 lua5.4 %s/faulty.lua 0.05 <&3; echo $?]]):format(input, input,
      driver.here)))

    local code = [[local faulty = require "spec.support.faulty_driver"
      local s = faulty.start { { keep = true } }
      print(s.pid, s.dir) io.stdout:flush() os.execute "kill -9 $PPID"]]
    local line = "exec 2> /dev/null; lua5.4 -e " .. driver.quote(code) .. "; true"
    local pid, dir = driver.output(line):match "(%d+)\t([^\n]+)"
    assert.truthy(pid)
    until_gone(pid, dir)
  end)
end)
