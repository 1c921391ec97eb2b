-- The family: one page of a list by balances, transactions and accounts. What is
-- sent, what is taken and refused, what comes back and what must not be believed.

local cjson = require "cjson"
local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local uqpay = require "uqpay"
local sandbox = fixture.any_sandbox()

local failed, succeeded = fixture.failed, fixture.succeeded
local number_type = rawget(math, "type") -- Lua 5.3 and later
local nan, huge = 0 / 0, math.huge
local uuid = "0b1d6f5e-2c43-4f0a-8d5b-6a1e93c7d210"

-- Takes the results of a call, or its call object, whose value was refused before
-- anything was sent.
local function refuses(message, endpoint, value, ...)
  if type(value) == "userdata" then
    assert.is_true(value:done())
    return refuses(message, endpoint, value:result())
  end
  local err = fixture.failed("invalid_request", value, ...)
  assert.equal(1, (err.message:find(message, 1, true)), err.message)
  assert.equal(endpoint, err.endpoint)
  assert.equal(0, err.attempts)
  assert.equal(0, err.elapsed)
  assert.is_false(err.retryable)
end

-- name, the sandbox's name, path, and the fields of an item: those that must be there,
-- those that may be missing.
local lists = {
  { name = "balances", endpoint = "balances", path = "/api/v1/issuing/balances",
    amounts = { "available_balance", "margin_balance", "frozen_balance" },
    needed = { "balance_id", "currency", "available_balance", "margin_balance",
      "frozen_balance" },
    optional = { "create_time", "last_trade_time", "balance_status" } },
  { name = "transactions", endpoint = "transactions",
    path = "/api/v1/issuing/balances/transactions",
    amounts = { "amount", "ending_balance" },
    needed = { "transaction_id", "transaction_type", "currency", "amount" },
    optional = { "transaction_status", "create_time", "complete_time",
      "short_transaction_id", "account_id", "balance_id", "ending_balance",
      "description" } },
  { name = "accounts", endpoint = "accounts", path = "/api/v1/accounts",
    amounts = {},
    needed = { "account_id" },
    optional = { "status", "business_code", "account_name", "verification_status",
      "entity_type", "country", "short_reference_id", "email", "contact_details",
      "business_details" } },
}
local by_name = {}
for _, list in ipairs(lists) do by_name[list.name] = list end

local function last_request()
  local all = sandbox.requests()
  return all[#all]
end

local function raises(message, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok, "nothing was raised: " .. message)
  assert.equal("string", type(err))
  assert.matches(message, err, 1, true)
end

-- The nearest double of digits, a float.
local function double(digits)
  return tonumber(digits .. "e0")
end

-- The expected list, from the sandbox's data: amounts as numbers or as text.
local function truth(list, first, last, convert)
  convert = convert or double
  local items = {}
  for n, item in ipairs(sandbox[list.endpoint]()) do
    if n >= first and n <= last then
      for _, name in ipairs(list.amounts) do item[name] = convert(item[name]) end
      item.time = nil -- the sandbox's own
      items[#items + 1] = item
    end
  end
  return items
end

-- Has the sandbox answer this JSON.
local function answer(body, fault)
  local order = { kind = "answer", body = body }
  for name, value in pairs(fault or {}) do order[name] = value end
  sandbox.fault(order)
end

local function page_of(items)
  return ('{"total_pages":1,"total_items":1,"data":%s}'):format(items)
end

-- The JSON of a good item; changes are JSON texts, false leaves a member out.
local plain = {
  balances = { balance_id = '"b"', currency = '"USD"', available_balance = "1.5",
    margin_balance = "2", frozen_balance = "3", create_time = '"x"',
    last_trade_time = '""', balance_status = '"ACTIVE"' },
  transactions = { transaction_id = '"t"', transaction_type = '"FEE"',
    transaction_status = '"PENDING"', currency = '"USD"', amount = "-0.10",
    create_time = '"x"' },
  accounts = { account_id = '"a"', status = '"ACTIVE"' },
}
local function item_of(list, changes)
  local all, members = {}, {}
  for name, text in pairs(plain[list.name]) do all[name] = text end
  for name, text in pairs(changes or {}) do all[name] = text end
  for name, text in pairs(all) do
    members[#members + 1] = text and ('"%s":%s'):format(name, text) or nil
  end
  return "{" .. table.concat(members, ",") .. "}"
end

-- The answer with this one item; then the error, or the item.
local function ask_for(client, list, changes, options)
  answer(page_of("[" .. item_of(list, changes) .. "]"))
  return client[list.name](client, options)
end

local function each(check)
  for _, list in ipairs(lists) do check(list) end
end

describe("the family", function()
  local client

  fixture.with_client(function(made) client = made end)

  describe("returns", function()
    it("a page, its items field by field, and nothing else", function()
      each(function(list)
        local page = succeeded(client[list.name](client))
        assert.same(truth(list, 1, 10), page.data)
        local names = {}
        for name in pairs(page) do names[#names + 1] = name end
        table.sort(names)
        assert.same({ "data", "total_items", "total_pages" }, names)
        local count = #sandbox[list.endpoint]()
        assert.equal(count, page.total_items)
        assert.equal(math.ceil(count / 10), page.total_pages)
      end)
    end)

    it("any page of any size", function()
      each(function(list)
        for _, case in ipairs { { 10, 2 }, { 17, 1 }, { 100, 1 }, { 20, 3 } } do
          local size, number = case[1], case[2]
          local page = succeeded(client[list.name](client,
            { page_size = size, page_number = number }))
          local first = (number - 1) * size + 1
          assert.same(truth(list, first, first + size - 1), page.data)
        end
      end)
    end)

    it("an empty list, where there is nothing", function()
      local empty = fixture.client { token = sandbox.new_token { merchant = "empty" } }
      each(function(list)
        assert.same({ total_pages = 0, total_items = 0, data = {} },
          succeeded(empty[list.name](empty)))
      end)
      assert.same({}, succeeded(client:accounts { page_number = 999999999 }).data)
    end)

    it("integers for totals and floats for amounts", function()
      each(function(list)
        local page = succeeded(client[list.name](client))
        if not number_type then return end
        assert.equal("integer", number_type(page.total_items))
        assert.equal("integer", number_type(page.total_pages))
        for _, name in ipairs(list.amounts) do
          assert.equal("float", number_type(page.data[1][name]))
        end
      end)
    end)

    it("amounts in each form, sent as numbers or as strings", function()
      for _, sent in ipairs { "number", "string" } do
        sandbox.settings { amounts = sent }
        for _, name in ipairs { "balances", "transactions" } do
          local list = by_name[name]
          local function of(form)
            return succeeded(client[name](client, { amounts = form })).data
          end
          assert.same(truth(list, 1, 10), of "number")
          assert.same(truth(list, 1, 10, tostring), of "string")
          local digits = {}
          for n, item in ipairs(of "exact") do
            for _, field in ipairs(list.amounts) do
              assert.equal("userdata", type(item[field]))
              item[field] = tostring(item[field])
            end
            digits[n] = item
          end
          assert.same(truth(list, 1, 10, tostring), digits)
        end
      end
    end)

    it("totals as numbers, whatever form amounts have", function()
      for _, form in ipairs { "string", "exact" } do
        local page = succeeded(client:accounts { amounts = form })
        assert.equal(45, page.total_items)
        assert.equal(5, page.total_pages)
      end
    end)

    it("a connected account's own", function()
      for _, name in ipairs { "balances", "transactions" } do
        local own = { on_behalf_of = sandbox.sub_account, page_size = 100 }
        local page = succeeded(client[name](client, own))
        assert.equal(#sandbox[by_name[name].endpoint](sandbox.sub_account),
          page.total_items)
        assert.equal(sandbox.sub_account, last_request().headers["x-on-behalf-of"])
        local one = fixture.client { on_behalf_of = sandbox.sub_account }
        assert.same(page, succeeded(one[name](one, { page_size = 100 })))
        local err = failed("invalid_request",
          client[name](client, { on_behalf_of = sandbox.closed_sub_account }))
        assert.equal("sub_account_not_found", err.code)
        assert.equal(sandbox.closed_sub_account, err.on_behalf_of)
        succeeded(client[name](client))
        assert.is_nil(last_request().headers["x-on-behalf-of"])
      end
    end)

    it("what the filters leave", function()
      local all = sandbox.transactions()
      local one = all[3]
      for _, name in ipairs {
        "transaction_id", "transaction_type", "transaction_status", "currency",
      } do
        local count = 0
        for _, item in ipairs(all) do
          if item[name] == one[name] then count = count + 1 end
        end
        local page = succeeded(client:transactions { [name] = one[name] })
        assert.equal(count, page.total_items)
        for _, item in ipairs(page.data) do assert.equal(one[name], item[name]) end
      end
      local none = succeeded(client:transactions { transaction_id = uuid })
      assert.equal(0, none.total_items)
    end)
  end)

  describe("sends", function()
    local function head(path, query, more)
      return table.concat({
        "GET " .. path .. "?" .. query .. " HTTP/1.1",
        "Host: " .. sandbox.url:match "//([^/]+)",
        "User-Agent: lua-uqpay/" .. uqpay._VERSION,
        "x-auth-token: Bearer " .. sandbox.token,
      }, "\r\n") .. (more or "") .. "\r\n\r\n"
    end

    fixture.on_the_wire("this head and no body, byte by byte, over HTTP/1.1", function()
      each(function(list)
        succeeded(client[list.name](client))
        local request = last_request()
        assert.equal(head(list.path, "page_size=10&page_number=1"), request.raw_headers)
        assert.equal("", request.body)
      end)
      client:balances { on_behalf_of = sandbox.sub_account, page_number = 2 }
      assert.equal(head(by_name.balances.path, "page_size=10&page_number=2",
        "\r\nx-on-behalf-of: " .. sandbox.sub_account), last_request().raw_headers)
    end)

    fixture.on_the_wire("the same over HTTP/2", function()
      local one = fixture.client { http_version = "2" }
      each(function(list)
        succeeded(one[list.name](one, { page_size = 20 }))
        local request = last_request()
        assert.equal("2", request.http)
        assert.equal("GET", request.method)
        assert.equal(list.path, request.path)
        assert.equal("page_size=20&page_number=1", request.query)
        assert.equal("", request.body)
        assert.same({
          host = sandbox.url:match "//([^/]+)",
          ["user-agent"] = "lua-uqpay/" .. uqpay._VERSION,
          ["x-auth-token"] = "Bearer " .. sandbox.token,
        }, request.headers)
      end)
    end)

    fixture.on_the_wire("alternates between POST and GET on one connection", function()
      for _, version in ipairs { "1.1", "2" } do
        local one = fixture.client { http_version = version }
        for _ = 1, 2 do
          succeeded(one:balance "USD")
          assert.equal('{"currency":"USD"}', last_request().body)
          each(function(list)
            succeeded(one[list.name](one))
            assert.equal("GET", last_request().method)
            assert.is_nil(last_request().headers["content-type"])
            assert.is_nil(last_request().headers["x-idempotency-key"])
          end)
        end
        assert.equal(1, one:stats().connections)
        assert.same({ calls = 8, succeeded = 8 },
          { calls = one:stats().calls, succeeded = one:stats().succeeded })
      end
    end)

    it("parameters percent-encoded, once, in this order", function()
      local order = { kind = "answer", body = page_of "[]" }
      for text, encoded in pairs {
        ["A"] = "A", ["a-b._~9"] = "a-b._~9", ["A+B"] = "A%2BB", ["A%2BB"] = "A%252BB",
        ["100%"] = "100%25", ["a&page_size=9"] = "a%26page_size%3D9",
        ["a=b;c#d?e/f"] = "a%3Db%3Bc%23d%3Fe%2Ff",
        ['"<>\\^`{|}'] = "%22%3C%3E%5C%5E%60%7B%7C%7D",
        ["!$'()*,:@[]"] = "%21%24%27%28%29%2A%2C%3A%40%5B%5D",
        [("%"):rep(64)] = ("%25"):rep(64),
      } do
        sandbox.fault(order)
        succeeded(client:transactions { transaction_status = text })
        assert.equal("page_size=10&page_number=1&transaction_status=" .. encoded,
          last_request().query)
      end
      sandbox.fault(order)
      local word = ("+"):rep(64)
      succeeded(client:transactions {
        transaction_id = uuid, currency = "USD", transaction_type = word,
        transaction_status = word, end_time = "2026-03-31T23:59:59.999999999+08:00",
        start_time = "2026-03-01T00:00:00.000000001-05:30", page_number = 1000000000,
        page_size = 100,
      })
      assert.equal("page_size=100&page_number=1000000000"
        .. "&start_time=2026-03-01T00%3A00%3A00.000000001-05%3A30"
        .. "&end_time=2026-03-31T23%3A59%3A59.999999999%2B08%3A00"
        .. "&transaction_type=" .. ("%2B"):rep(64)
        .. "&transaction_status=" .. ("%2B"):rep(64)
        .. "&currency=USD&transaction_id=" .. uuid, last_request().query)
    end)

    it("times that the API reads as they were meant", function()
      local from, to = "2026-03-01T00:00:00+08:00", "2026-05-29T23:59:59+08:00"
      local expected = 0
      for _, item in ipairs(sandbox.transactions()) do
        local inside = item.time >= 1772294400 and item.time <= 1780070399
        expected = expected + (inside and 1 or 0)
      end
      assert.is_true(expected > 100)
      for _, ends in ipairs {
        { from, to }, { "2026-02-28T16:00:00Z", "2026-05-29T15:59:59Z" },
        { "2026-02-28T10:30:00-05:30", "2026-05-29T23:59:59.5+08:00" },
      } do
        local page = succeeded(client:transactions
          { start_time = ends[1], end_time = ends[2] })
        assert.equal(expected, page.total_items)
      end
      failed("invalid_request", client:transactions { start_time = to, end_time = from })
      failed("invalid_request", client:transactions
        { start_time = from, end_time = "2026-05-30T00:00:01+08:00" })
    end)

    it("nothing of the client's currency or of a key", function()
      local one = fixture.client { currency = "SGD" }
      each(function(list)
        local page = succeeded(one[list.name](one, { page_size = 100 }))
        assert.equal("page_size=100&page_number=1", last_request().query)
        assert.equal(math.min(#sandbox[list.endpoint](), 100), #page.data)
      end)
    end)

    it("what hooks receive", function()
      local told = {}
      local one = fixture.client {
        on_request = function(info) told[#told + 1] = info end,
        on_response = function(info) told[#told + 1] = info end,
      }
      each(function(list)
        told = {}
        succeeded(one[list.name](one))
        assert.same({
          endpoint = list.name, method = "GET", attempt = 1,
          url = sandbox.url .. list.path:sub(5) .. "?page_size=10&page_number=1",
        }, told[1])
        assert.equal(200, told[2].status)
        assert.is_nil(told[2].idempotency_key)
      end)
      one:transactions { currency = "USD" }
      assert.equal("USD", told[3].currency)
    end)
  end)

  describe("takes", function()
    -- Values that are taken, and that are refused, by parameter.
    local sizes = { good = { 1, 10, 99, 100 }, bad = { 0, -1, 101, 1.5, 1e300, huge,
      -huge, nan, "10", true, {}, print } }
    local words = { good = { "x", "DEPOSIT", ("x"):rep(64) }, bad = { "", " ", "a b",
      ("x"):rep(65), "\0", "a\0", "a\r\nb", "a\n", "\127", "\195\164", 5, true, {},
    } }
    local times = {
      good = {
        "2024-03-21T17:17:32+08:00", "2024-03-21T17:17:32Z", "2024-02-29T00:00:00-11:59",
        "2024-03-21T17:17:32.1Z", "2024-03-21T17:17:32.123456789+00:00",
        "0002-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
      },
      bad = {
        "", "2024-03-21", "2024-03-21T17:17:32", "2024-03-21T17:17:32+0800",
        "2024-03-21T17:17:32+8", "2024-03-21T17:17:32%2B08:00", "2023-02-29T00:00:00Z",
        "2024-03-21T24:00:00Z", "2024-03-21T17:17:60Z", "0001-01-01T00:00:00Z",
        "2024-03-21T17:17:32.Z", "2024-03-21T17:17:32Z ", " 2024-03-21T17:17:32Z",
        "2024-03-21T17:17:32Z\0", "1711012652", "yesterday", 1711012652, true, {},
        "2024-03-21T17:17:32.1234567890Z", ("2"):rep(65),
      },
    }
    local params = {
      page_size = sizes,
      page_number = { good = { 1, 2, 1000000000 }, bad = { 0, -1, 1000000001, 0.5, 1e18,
        huge, nan, "1", false, {} } },
      start_time = times, end_time = times,
      transaction_type = words, transaction_status = words,
      currency = { good = { "USD", "XUSD", "USDT0" }, bad = { "", "usd", "US", "USDUSD",
        "US ", "USD\0", 5, {} } },
      transaction_id = { good = { uuid, uuid:upper() }, bad = { "", "x", uuid .. "0",
        uuid:sub(2), uuid .. "\0", uuid:gsub("-", "_"), 5 } },
    }
    local of = {
      balances = { "page_size", "page_number" },
      accounts = { "page_size", "page_number" },
      transactions = { "page_size", "page_number", "start_time", "end_time",
        "transaction_type", "transaction_status", "currency", "transaction_id" },
    }

    each(function(list)
      it("every edge of the parameters of " .. list.name, function()
        for _, name in ipairs(of[list.name]) do
          for _, value in ipairs(params[name].good) do
            answer(page_of "[]")
            succeeded(client[list.name](client, { [name] = value }))
            local text = type(value) == "number" and ("%.0f"):format(value) or value
            text = text:gsub("[:+]", { [":"] = "%3A", ["+"] = "%2B" })
            assert.is_truthy(("&" .. last_request().query .. "&"):find(
              "&" .. name .. "=" .. text .. "&", 1, true), last_request().query)
          end
        end
      end)

      it("none of the wrong values in " .. list.name .. ", and names them", function()
        for _, method in ipairs { list.name, "start_" .. list.name } do
          for _, name in ipairs(of[list.name]) do
            local good = type(params[name].good[1])
            for _, value in ipairs(params[name].bad) do
              local options = { [name] = value }
              if type(value) == good then
                refuses(("bad option '%s' to '%s' ("):format(name, list.name), list.name,
                  client[method](client, options))
              else
                raises(("bad option '%s' to '%s' ("):format(name, method), client[method],
                  client, options)
              end
            end
          end
        end
        assert.equal(0, #sandbox.requests())
        assert.equal(0, client:stats().calls)
      end)

      it("none of other calls' options in " .. list.name, function()
        for name, value in pairs {
          idempotency_key = uuid, allow_key_reuse = true, token = "t", page = 1,
          base_url = "https://localhost", on_request = print, total_pages = 1,
          ["page_size\0"] = 10,
        } do
          raises("unknown option '" .. name:match "^[%w_]+", client[list.name], client,
            { [name] = value })
        end
        if list.name ~= "transactions" then
          raises("unknown option 'currency'", client[list.name], client,
            { currency = "USD" })
          raises("unknown option 'start_time'", client[list.name], client,
            { start_time = "2024-03-21T17:17:32Z" })
        end
        raises(("unknown option 'page_sise' to '%s' (did you mean 'page_size'?)"):format(
          list.name), client[list.name], client, { page_sise = 10 })
        for _, wrong in ipairs { "USD", 5, true, print } do
          raises("table expected", client[list.name], client, wrong)
        end
        raises("no further argument expected", client[list.name], client, {}, {})
        raises("without __index", client[list.name], client,
          setmetatable({}, { __index = { page_size = 100 } }))
        raises("names expected as keys", client[list.name], client, { 10, 1 })
        assert.equal(0, #sandbox.requests())
      end)

      it("the options of a call in " .. list.name, function()
        succeeded(client[list.name](client, { timeout = 5, max_retries = 0,
          retry_delay = 0.01, retry_delay_max = 1, connect_timeout = 3,
          max_response_bytes = 100000, amounts = "string" }))
        raises("bad option 'timeout'", client[list.name], client, { timeout = 0 })
        raises("bad option 'amounts'", client[list.name], client, { amounts = "exactly" })
      end)

      it("a closed client no longer for " .. list.name, function()
        client:close()
        for _, method in ipairs { list.name, "start_" .. list.name } do
          raises("attempt to use a closed uqpay client", client[method], client)
        end
      end)
    end)

    it("an account to act for where that is possible, and nowhere else", function()
      for _, name in ipairs { "balances", "transactions" } do
        refuses("bad option 'on_behalf_of'", name, client[name](client,
          { on_behalf_of = "" }))
      end
      raises("unknown option 'on_behalf_of' to 'accounts'", client.accounts, client,
        { on_behalf_of = sandbox.sub_account })
      local one = fixture.client { on_behalf_of = sandbox.sub_account }
      for _, method in ipairs { "accounts", "start_accounts" } do
        raises("'" .. method .. "' is a call of the master account: this client has "
          .. "on_behalf_of", one[method], one)
      end
      assert.equal(0, #sandbox.requests())
    end)
  end)

  describe("believes", function()
    it("no item without a field that it must have", function()
      each(function(list)
        for _, name in ipairs(list.needed) do
          sandbox.settings { item_without = name }
          local err = failed("schema", client[list.name](client))
          local last = math.min(10, #sandbox[list.endpoint]())
          local missing = ("the answer has no data[%d].%s ["):format(last, name)
          assert.matches(missing, err.message, 1, true)
          assert.is_false(err.retryable)
          assert.equal("not_retryable", err.retry_stopped)
          failed("schema", ask_for(client, list, { [name] = "null" }))
        end
      end)
    end)

    it("an item without what may be missing", function()
      each(function(list)
        for _, name in ipairs(list.optional) do
          sandbox.settings { item_without = name }
          local data = succeeded(client[list.name](client)).data
          assert.is_nil(data[#data][name])
          local page = succeeded(ask_for(client, list, { [name] = "null" }))
          assert.is_nil(page.data[1][name])
        end
      end)
    end)

    it("no field of a wrong type, and names it", function()
      local texts = { "5", "true", "{}", "[]", '""', '"a\\u0000b"', '"a\\nb"' }
      local others = { "5", "true", "{}", "[]" }
      local wrong = {
        balance_id = texts, transaction_id = texts, account_id = texts, status = others,
        balance_status = others, transaction_type = texts, transaction_status = others,
        create_time = others, last_trade_time = others, complete_time = others,
        short_transaction_id = others,
        country = { "65" }, entity_type = { "[]" },
        verification_status = { "true" },
        currency = { "5", '""', "[]" },
        business_code = { "5", "[5]", '["ISSUING",5]', "[null]", "true",
          '{"a":"ISSUING"}', "[[]]" },
      }
      for _, name in ipairs { "available_balance", "margin_balance", "frozen_balance",
        "amount", "ending_balance" } do
        wrong[name] = { '"x"', '""', '" 1"', "true", "{}", '"1e999"', "1e999", '"0x10"' }
      end
      local function check(list, name, empty)
        for _, text in ipairs(wrong[name] or {}) do
          local page, message, err = ask_for(client, list, { [name] = text })
          if text == '""' and empty then
            succeeded(page)
          else
            assert.is_nil(page, name .. ": " .. text)
            failed("schema", page, message, err)
            assert.matches("the answer's data[1]." .. name .. ":", message, 1, true)
          end
        end
      end
      each(function(list)
        for _, name in ipairs(list.needed) do check(list, name) end
        for _, name in ipairs(list.optional) do
          check(list, name, name:find "_id$" or name == "ending_balance")
        end
      end)
    end)

    it("what the API adds, and types that were seen to change", function()
      each(function(list)
        local item = succeeded(ask_for(client, list,
          { more = '{"deep":[1,"x"],"no":null}', description = "5" })).data[1]
        assert.same({ deep = { 1, "x" } }, item.more)
        assert.equal(5, item.description)
      end)
      assert.same({ en = "x" }, succeeded(ask_for(client, by_name.accounts,
        { account_name = '{"en":"x"}' })).data[1].account_name)
      assert.same({}, succeeded(ask_for(client, by_name.accounts,
        { business_code = "[]" })).data[1].business_code)
      local exact = succeeded(ask_for(client, by_name.transactions, { more = "1.10" },
        { amounts = "string" })).data[1]
      assert.equal("1.10", exact.more)
      assert.equal("-0.10", exact.amount)
    end)

    it("no other currency than the one asked for", function()
      local err = failed("schema", ask_for(client, by_name.transactions,
        { currency = '"SGD"' }, { currency = "USD" }))
      assert.matches("the answer's data[1].currency: asked for USD, got SGD [",
        err.message, 1, true)
      local one = fixture.client { currency = "SGD" }
      succeeded(ask_for(one, by_name.transactions, { currency = '"USD"' }))
      succeeded(ask_for(one, by_name.balances, { currency = '"USD"' }))
      succeeded(ask_for(client, by_name.transactions, nil, { currency = "USD" }))
    end)

    it("totals in these forms only", function()
      for form, expected in pairs {
        string = { 5, 45 }, zero = { 0, 0 }, huge = { 1000000000, 1000000000 },
        right = { 5, 45 },
      } do
        sandbox.settings { total_pages = form, total_items = form }
        local page = succeeded(client:accounts())
        assert.same(expected, { page.total_pages, page.total_items })
      end
      for _, total in ipairs { "total_pages", "total_items" } do
        for _, form in ipairs { "negative", "fraction", "null", "missing" } do
          sandbox.settings { total_pages = "right", total_items = "right" }
          sandbox.settings { [total] = form }
          local err = failed("schema", client:accounts())
          assert.matches(total, err.message, 1, true)
        end
      end
      for _, text in ipairs { '"x"', '""', "true", "[]", "1e16", '"-1"', '"1.5"' } do
        answer(('{"total_pages":%s,"total_items":1,"data":[]}'):format(text))
        failed("schema", client:accounts())
      end
      answer '{"total_pages":1e0,"total_items":"1000000000000000","data":[]}'
      local page = succeeded(client:accounts())
      assert.same({ 1, 1000000000000000 }, { page.total_pages, page.total_items })
    end)

    it("data only as a list of objects", function()
      each(function(list)
        for _, form in ipairs { "odd_item", "string", "null", "missing" } do
          sandbox.settings { data = form }
          local err = failed("schema", client[list.name](client))
          assert.matches("data", err.message, 1, true)
        end
        sandbox.settings { data = "object" } -- what some languages make of no items
        assert.same({}, succeeded(client[list.name](client)).data)
        sandbox.settings { data = "array" }
        local item = item_of(list)
        for _, text in ipairs { "5", "true", '{"a":' .. item .. "}",
          "[" .. item .. ",null]", "[null," .. item .. "]", "[[]," .. item .. "]",
          "[[" .. item .. "]]",
          '["' .. list.needed[1] .. '"]', '{"1":' .. item .. "}" } do
          answer(page_of(text))
          failed("schema", client[list.name](client))
        end
      end)
    end)

    it("no body that is no object, or has a name twice", function()
      each(function(list)
        answer "[]"
        failed("schema", client[list.name](client))
        answer "5"
        failed("schema", client[list.name](client))
        local item = item_of(list)
        local twice = (',"%s":"other"}'):format(list.needed[1])
        answer(page_of("[" .. item:gsub("}$", twice) .. "]"))
        failed("decode", client[list.name](client))
        answer((page_of("[" .. item .. "]"):gsub("}$", ',"data":[]}')))
        failed("decode", client[list.name](client))
        answer(page_of("[" .. item .. ",]"))
        failed("decode", client[list.name](client))
      end)
    end)

    it("the error in the body of a 200", function()
      each(function(list)
        answer '{"code":400,"message":"no"}'
        failed("invalid_request", client[list.name](client))
        answer '{"error":"no"}'
        failed("api", client[list.name](client))
      end)
    end)
  end)

  describe("fails", function()
    local function fault(order)
      sandbox.fault(order)
      return order
    end

    it("after a retry or none, as a balance does", function()
      for n, case in ipairs {
        { { kind = "status", status = 503 }, "api", 3 },
        { { kind = "status", status = 429 }, "rate_limit", 3 },
        { { kind = "status", status = 400 }, "invalid_request", 1 },
        { { kind = "status", status = 404 }, "not_found", 1 },
        { { kind = "drop_before" }, "connect", 3 },
        { { kind = "drop_after" }, "connect", 3 },
        { { kind = "truncate" }, "connect", 3 },
        { { kind = "html" }, "api", 3 },
        { { kind = "empty" }, "decode", 1 },
        { { kind = "redirect" }, "protocol", 1 },
        { { kind = "processing" }, "conflict", 3 },
        { { kind = "huge", bytes = 100000 }, "too_large", 1 },
      } do
        sandbox.reset()
        local order, kind, attempts = case[1], case[2], case[3]
        local list = lists[n % #lists + 1]
        order.times = 100
        fault(order)
        -- curl itself asks again on a connection that was used before
        local one = fixture.client { max_response_bytes = 50000, retry_delay = 0.001 }
        local err = failed(kind, one[list.name](one))
        assert.equal(attempts, err.attempts, kind)
        assert.equal(attempts, #sandbox.requests())
        assert.equal(attempts > 1, err.retryable)
        assert.is_nil(err.idempotency_key)
        for _, request in ipairs(sandbox.requests()) do
          assert.equal("GET", request.method)
          assert.equal("page_size=10&page_number=1", request.query)
          assert.is_nil(request.headers["x-idempotency-key"])
        end
        assert.equal(0, sandbox.other().connections)
        sandbox.reset()
        order.times = 2
        fault(order)
        if attempts > 1 then succeeded(one[list.name](one)) end
        sandbox.reset()
      end
    end)

    it("with the page that is whole, after one that was not", function()
      fault { kind = "truncate", bytes = 4000 }
      assert.same(truth(by_name.transactions, 1, 100),
        succeeded(client:transactions { page_size = 100 }).data)
      assert.equal(2, #sandbox.requests())
    end)

    it("when the token is refused, but for a new one", function()
      each(function(list)
        local one = fixture.client { token = sandbox.expired_token }
        assert.equal(1, failed("auth", one[list.name](one)).attempts)
        failed("permission", (function()
          local other = fixture.client { token = sandbox.forbidden_token }
          return other[list.name](other)
        end)())
        local reasons = {}
        local renewing = fixture.client { token = function(reason)
          reasons[#reasons + 1] = reason
          return reason == "rejected" and sandbox.token or sandbox.expired_token
        end }
        succeeded(renewing[list.name](renewing))
        assert.same({ "new", "rejected" }, reasons)
      end)
      sandbox.settings { accounts_refusal = "403" }
      local one = fixture.client { token = sandbox.expired_token }
      assert.equal("HTTP 403: Authorization error", failed("permission",
        one:accounts()).message:sub(1, 29))
    end)

    it("when the API refuses the page", function()
      local err = failed("invalid_request", client:balances { page_size = 9 })
      assert.equal("page_size: must be an integer from 10 to 100",
        err.message:match "error: (.-);? %[")
      assert.equal(1, #succeeded(client:accounts { page_size = 1 }).data)
      err = failed("invalid_request", client:accounts { page_number = 1000000000 })
      assert.equal(400, err.code)
      failed("invalid_request", client:transactions { transaction_type = "GIFT" })
    end)

    it("within its timeout", function()
      fault { kind = "hang", seconds = 5, times = 3 }
      each(function(list)
        local err = failed("timeout", client[list.name](client, { timeout = 0.05 }))
        assert.equal("deadline", err.retry_stopped)
      end)
      sandbox.reset()
    end)
  end)

  describe("as call objects", function()
    it("gives what the call gives", function()
      each(function(list)
        local call = client["start_" .. list.name](client, { page_size = 20 })
        assert.matches("^uqpay%.call %(" .. list.name, tostring(call))
        while not call:step() do client:step(1) end
        local page = succeeded(call:result())
        assert.same(truth(list, 1, 20), page.data)
        sandbox.fault { kind = "status", status = 400, endpoint = list.endpoint }
        local wrong = client["start_" .. list.name](client)
        while not wrong:step() do client:step(1) end
        failed("invalid_request", wrong:result())
      end)
    end)

    it("many at once, of all kinds", function()
      local calls = {}
      for number = 1, 5 do
        each(function(list)
          calls[#calls + 1] = { list, number,
            client["start_" .. list.name](client, { page_number = number }) }
        end)
      end
      for _, one in ipairs(calls) do
        local list, number, call = one[1], one[2], one[3]
        while not call:step() do client:step(1) end
        local first = (number - 1) * 10 + 1
        assert.same(truth(list, first, first + 9), succeeded(call:result()).data)
      end
    end)

    fixture.on_the_wire("under cqueues, beside other work", function()
      if not driver.has_loop "cqueues" then
        return pending("no package of it for " .. _VERSION)
      end
      local cqueues, face = require "cqueues", require "uqpay.cqueues"
      local one = face.new(fixture.options())
      local loop, pages, ticks = cqueues.new(), {}, 0
      sandbox.settings { delay = 0.5 }
      each(function(list)
        loop:wrap(function() pages[list.name] = one[list.name](one) end)
      end)
      loop:wrap(function()
        while not (pages.balances and pages.transactions and pages.accounts) do
          cqueues.sleep(0.01)
          ticks = ticks + 1
        end
      end)
      assert(loop:loop())
      sandbox.settings { delay = 0 }
      each(function(list) assert.same(truth(list, 1, 10), pages[list.name].data) end)
      assert.is_true(ticks >= 2)
      one:close()
    end)
  end)

  it("is asked for with the login's token, too", function()
    local one = fixture.client { token = false, client_id = sandbox.client_id,
      api_key = sandbox.api_key }
    each(function(list)
      assert.same(truth(list, 1, 10), succeeded(one[list.name](one)).data)
    end)
    assert.equal(1, #sandbox.mints())
    assert.same({ token = 1 }, sandbox.sent "x-api-key")
  end)

  it("reads JSON as the truth has it, whatever lua-cjson is told", function()
    local before = cjson.decode_max_depth()
    cjson.decode_max_depth(2)
    local page, message = client:accounts()
    cjson.decode_max_depth(before)
    assert(page, message)
    assert.same(truth(by_name.accounts, 1, 10), page.data)
  end)
end)
