-- The sandbox's login: what it takes, what it gives, and what it can be told to get
-- wrong.

local cjson = require "cjson"
local curl = require "spec.support.curl"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

-- Asks for a token; changes of headers: false leaves one out.
local function login(headers, options)
  local all = {
    ["x-client-id"] = sandbox.client_id, ["x-api-key"] = sandbox.api_key,
    ["x-auth-token"] = false, ["x-idempotency-key"] = false, ["content-type"] = false,
  }
  for name, value in pairs(headers or {}) do all[name] = value end
  local request = { path = "/v1/connect/token", headers = all, body = "" }
  for name, value in pairs(options or {}) do request[name] = value end
  return curl.ask(request)
end

local function client(name)
  return {
    ["x-client-id"] = sandbox[name .. "client_id"],
    ["x-api-key"] = sandbox[name .. "api_key"],
  }
end

local function mint(name)
  local answer = login(client(name or ""))
  assert.equal(200, answer.status, answer.body)
  return answer.json.auth_token, answer.json.expired_at
end

local function balance(token)
  return curl.ask { headers = { ["x-auth-token"] = "Bearer " .. token } }
end

local function lists(token, name)
  local path = { balances = "/v1/issuing/balances", accounts = "/v1/accounts",
    transactions = "/v1/issuing/balances/transactions" }
  return curl.ask { method = "GET", path = path[name] .. "?page_size=10&page_number=1",
    headers = { ["x-auth-token"] = "Bearer " .. token } }
end

local function refused(answer, status, body)
  assert.equal(status, answer.status, answer.body)
  assert.same(body, answer.json)
end

local function last()
  local list = sandbox.requests()
  return list[#list]
end

describe("the sandbox's login", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("gives a token of some 600 bytes for half an hour", function()
    local answer = login()
    assert.equal(200, answer.status)
    assert.equal("application/json", answer.headers["content-type"])
    assert.matches('^{"auth_token":"[%w_.-]+","expired_at":%d+}$', answer.body)
    local token = answer.json.auth_token
    assert.matches("^[%w_-]+%.[%w_-]+%.[%w_-]+$", token)
    assert.is_true(#token > 500 and #token < 700, #token)
    local entry = last()
    assert.is_true(answer.json.expired_at >= math.floor(entry.time) + 1800)
    assert.is_true(answer.json.expired_at <= math.ceil(entry.ended) + 1800)
    assert.not_equal(token, mint())
  end)

  it("whatever the body", function()
    for _, body in ipairs { "", "{}", '{"a":1}', "nonsense" } do
      assert.equal(200, login(nil, { body = body }).status)
    end
    assert.equal(200, login({ ["content-type"] = "application/json" }).status)
  end)

  it("not to forms and the like: 415", function()
    for _, kind in ipairs { "application/x-www-form-urlencoded", "text/plain", "" } do
      refused(login { ["content-type"] = kind }, 415,
        { code = 415, message = "unsupported media type" })
    end
    assert.equal(0, sandbox.counts().mints)
  end)

  it("whose claims say whose it is and when it ends", function()
    local mime = require "mime"
    local token, ends = mint()
    local claims = token:match "%.([^.]+)%.":gsub("[-_]", { ["-"] = "+", ["_"] = "/" })
    claims = cjson.decode((mime.unb64(claims .. ("="):rep(-#claims % 4))))
    assert.equal(ends, claims.exp)
    assert.equal(sandbox.client_id, claims.client_id)
    assert.matches("^CB%d+$", claims.short_entity_id)
    for _, name in ipairs { "account_id", "entity_id", "parent_entity_id" } do
      assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", claims[name])
    end
  end)

  it("that every endpoint takes, as its client's merchant", function()
    local token = mint()
    assert.matches('"available_balance":5000.25,', balance(token).body, 1, true)
    local other = mint "other_"
    assert.matches('"available_balance":66666.60,', balance(other).body, 1, true)
    for name, totals in pairs {
      balances = { 3, 2, 0 }, transactions = { 428, 108, 0 }, accounts = { 45, 1, 0 },
    } do
      for n, prefix in ipairs { "", "other_", "empty_" } do
        local answer = lists(mint(prefix), name)
        assert.equal(200, answer.status, answer.body)
        assert.equal(totals[n], answer.json.total_items, name .. prefix)
      end
    end
  end)

  it("to its clients only", function()
    local nobody = { code = 403, message = "x-client-id or email cannot be empty" }
    refused(login { ["x-client-id"] = false }, 403, nobody)
    refused(login { ["x-client-id"] = "" }, 403, nobody)
    local no_key = { error = "missing x-api-key header" }
    refused(login { ["x-api-key"] = false }, 401, no_key)
    refused(login { ["x-api-key"] = "" }, 401, no_key)
    for _, id in ipairs {
      "nobody", sandbox.client_id .. "0", sandbox.client_id:upper(),
    } do
      refused(login { ["x-client-id"] = id }, 400,
        { code = 400, message = "Invalid client id" })
    end
    for _, key in ipairs {
      "wrong", sandbox.api_key .. "0", sandbox.api_key:lower(), sandbox.other_api_key,
    } do
      refused(login { ["x-api-key"] = key }, 401, { error = "invalid api key" })
    end
    refused(login(client "production_"), 403,
      { error = "Forbidden", message = "forbidden from UAT" })
    refused(login(client "blocked_"), 403,
      { error = "Forbidden", message = "IP not allowed" })
    assert.equal(0, sandbox.counts().mints)
  end)

  it("by POST only", function()
    local answer = login(nil, { method = "GET" })
    refused(answer, 405, { code = 405, message = "method not allowed" })
    assert.equal("POST", answer.headers.allow)
  end)

  it("within a limit of each client's own", function()
    sandbox.settings { token_rate_limit = 2, retry_after = "soon" }
    mint()
    assert.equal(401, login { ["x-api-key"] = "wrong" }.status)
    local answer = login()
    assert.equal(429, answer.status)
    assert.matches('^{"code":429,.*"}$', answer.body)
    assert.equal("soon", answer.headers["retry-after"])
    mint "second_"
    assert.equal(200, balance(sandbox.token).status)    -- not what the limit counts
  end)

  describe("ends tokens", function()
    it("after their life", function()
      sandbox.settings { token_life = 3600 }
      local _, ends = mint()
      assert.is_true(ends > last().time + 3500)
      sandbox.settings { token_life = 0.3 }
      local token = mint()
      local give_up = socket.gettime() + 10
      local answer
      repeat
        answer = balance(token)
      until answer.status == 401 or socket.gettime() > give_up
      refused(answer, 401, { type = "unauthorized_error", code = "unauthorized_error",
        message = "token has expired" })
    end)

    it("not when there is a new one", function()
      local first, second = mint(), mint()
      assert.equal(200, balance(first).status)
      assert.equal(200, balance(second).status)
    end)

    it("when there is a new one, if set so: those of the same client", function()
      sandbox.settings { single_token = true }
      local first, elsewhere = mint(), mint "second_"
      assert.equal(200, balance(first).status)
      local second = mint()
      refused(balance(first), 401, { type = "unauthorized_error",
        code = "unauthorized_error", message = "token has expired" })
      for _, token in ipairs { second, elsewhere, sandbox.token } do
        assert.equal(200, balance(token).status)
      end
    end)

    it("on order, one or all minted ones", function()
      local first, second, elsewhere = mint(), mint(), mint "other_"
      sandbox.expire(first)
      assert.equal(401, balance(first).status)
      assert.equal(200, balance(second).status)
      sandbox.expire_minted()
      for _, token in ipairs { second, elsewhere } do
        assert.equal(401, balance(token).status)
      end
      assert.equal(200, balance(sandbox.token).status)
      assert.equal(200, balance(mint()).status)
    end)
  end)

  it("writes the end in many forms", function()
    local function expired_at(form)
      sandbox.settings { expired_at = form }
      local answer = login()
      assert.equal(200, balance(answer.json.auth_token).status)
      return answer.body:match '"expired_at":(.+)}$', answer
    end
    local now = os.time()
    local function from_now(text)
      return math.abs(tonumber(text) - now - 1800) < 300
    end
    assert.is_true(from_now(expired_at "seconds":match "^%d+$"))
    assert.is_true(from_now(expired_at "string":match '^"(%d+)"$'))
    assert.is_true(from_now(expired_at "milliseconds":match "^(%d+)000$"))
    assert.matches('^"%d+%-%d%d%-%d%dT%d%d:%d%d:%d%d%+08:00"$', expired_at "date")
    assert.equal("0", (expired_at "zero"))
    assert.is_true(tonumber((expired_at "past")) < os.time())
    assert.equal("null", (expired_at "null"))
    local text, answer = expired_at "missing"
    assert.is_nil(text)
    assert.matches('^{"auth_token":"[^"]+"}$', answer.body)
  end)

  it("writes the token in many forms", function()
    local function told(settings)
      sandbox.settings(settings)
      return login().body:match '^{"auth_token":(.*),"expired_at":%d+}$'
    end
    local opaque = told { token_form = "opaque" }
    assert.matches('^"[%w_-]+"$', opaque)
    assert.equal(92, #opaque)
    assert.equal(200, balance(cjson.decode("[" .. opaque .. "]")[1]).status)
    local bearer = told { token_form = "bearer" }:match '^"Bearer ([^ ]+)"$'
    assert.equal(200, balance(bearer).status)
    assert.equal(bearer, last() and sandbox.mints()[2].minted)
    local broken = told { token_form = "crlf" }
    assert.matches('^"[%w_.-]+\\r\\nx%-injected: yes"$', broken)
    assert.equal('""', told { token_form = "empty" })
    assert.equal("null", told { token_form = "null" })
    sandbox.settings { token_form = "missing" }
    assert.matches('^{"expired_at":%d+}$', login().body)
    assert.equal(2 ^ 20 + 2, #told { token_form = "opaque", token_bytes = 2 ^ 20 })
    assert.equal(7, sandbox.counts().mints)
  end)

  describe("is logged", function()
    it("with what was minted, and with every header", function()
      local token = mint()
      login { ["x-api-key"] = "wrong" }
      balance(token)
      mint "other_"
      local mints = sandbox.mints()
      assert.equal(2, #mints)
      assert.equal("token", mints[1].endpoint)
      assert.equal("/api/v1/connect/token", mints[1].path)
      assert.equal(token, mints[1].minted)
      assert.equal(sandbox.client_id, mints[1].headers["x-client-id"])
      assert.equal(sandbox.api_key, mints[1].headers["x-api-key"])
      assert.equal(sandbox.other_client_id, mints[2].headers["x-client-id"])
      assert.equal(3, #sandbox.requests "token")
      assert.equal("balance", sandbox.requests "balance"[1].endpoint)
      assert.same({
        requests = 4, mints = 2, endpoints = { token = 3, balance = 1 },
        statuses = { ["200"] = 3, ["401"] = 1 },
      }, sandbox.counts())
    end)

    it("and where its secrets went", function()
      local token = mint()
      curl.ask { headers = { ["X-Client-Id"] = sandbox.client_id } }
      assert.same({ token = 1, balance = 1 }, sandbox.sent "x-client-id")
      assert.same({ token = 1 }, sandbox.sent "X-Api-Key")
      assert.same({ ["token x-api-key"] = 1 }, sandbox.seen(sandbox.api_key))
      lists(token, "accounts")
      curl.ask { method = "GET", path = "/v1/nowhere?token=" .. token,
        headers = client "" }
      assert.same({ ["accounts x-auth-token"] = 1, ["none query"] = 1 },
        sandbox.seen(token))
      assert.same({ token = 1, none = 1 }, sandbox.sent "x-api-key")
      sandbox.fault { kind = "redirect" }
      login(nil, { "-L" })
      assert.same({ token = 2, none = 1, other = 1 }, sandbox.sent "x-api-key")
    end)
  end)

  describe("fails on order", function()
    it("as a balance does", function()
      sandbox.fault {
        { kind = "status", status = 500 }, { kind = "html" }, { kind = "empty" },
        { kind = "truncate", bytes = 5 }, { kind = "rate_limit", retry_after = "3" },
        { kind = "answer", body = "[]" }, { kind = "delay", seconds = 0.2 },
      }
      refused(login(), 500,
        { type = "api_error", code = "api_error", message = "made to fail" })
      assert.equal(502, login().status)
      assert.equal("", login().body)
      assert.equal('{"aut', login().body)
      assert.equal("3", login().headers["retry-after"])
      assert.equal("[]", login().body)
      assert.equal(200, login().status)
      assert.equal("delay", last().fault)
      assert.is_true(last().ended - last().time > 0.1)
      assert.equal(2, sandbox.counts().mints)         -- truncate, delay
    end)

    it("before it looks, if the edge does", function()
      sandbox.fault { { kind = "status" }, { kind = "status", store = false } }
      assert.equal(401, login { ["x-api-key"] = "wrong" }.status)
      assert.equal(500, login { ["x-api-key"] = "wrong" }.status)
    end)

    it("with the token made, or not made", function()
      sandbox.settings { single_token = true }
      local token = mint()
      sandbox.fault { kind = "drop_before" }
      assert.not_equal(0, login().exit)
      assert.equal(200, balance(token).status)
      sandbox.fault { kind = "drop_after" }
      assert.not_equal(0, login().exit)
      assert.equal(401, balance(token).status)
      assert.equal(2, #sandbox.mints())
      assert.same({ ["200"] = 2, ["401"] = 1, none = 2 }, sandbox.counts().statuses)
    end)

    it("only, or not at all, by the name of an endpoint", function()
      sandbox.fault { { kind = "html", endpoint = "token" },
        { kind = "empty", endpoint = "balance", status = 204 } }
      assert.equal(200, lists(sandbox.token, "balances").status)
      assert.equal(502, login().status)
      assert.equal(200, login().status)
      assert.equal(204, balance(sandbox.token).status)
    end)

    it("later, if some are to be skipped", function()
      sandbox.fault { kind = "html", endpoint = "token", skip = 2, times = 2 }
      local statuses = {}
      for n = 1, 5 do
        balance(sandbox.token)
        statuses[n] = login().status
      end
      assert.same({ 200, 200, 502, 502, 200 }, statuses)
      assert.same({}, sandbox.faults())
    end)
  end)

  it("refuses orders it does not understand", function()
    local function complains(text, order, value)
      local ok, err = pcall(sandbox[order], value)
      assert.is_false(ok)
      assert.matches(text, err, 1, true)
    end
    complains("endpoint must be one of accounts balance balances token transactions",
      "fault", { kind = "html", endpoint = "tokens" })
    complains("single_token must be a boolean", "settings", { single_token = 1 })
    complains('expired_at cannot be \\"later\\"', "settings", { expired_at = "later" })
    complains('token_form cannot be \\"odd\\"', "settings", { token_form = "odd" })
    complains("rate_window must be at least 0.001", "settings", { rate_window = 0 })
    complains('hold cannot be \\"nothing\\"', "settings", { hold = "nothing" })
    complains("merchant must be", "new_token", { merchant = "nobody" })
  end)
end)
