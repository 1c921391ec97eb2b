-- Whole answers that were valid in all that concerns money were rejected: a text that is
-- null, missing or empty, control bytes in a name, an empty list that is null. And the
-- result has to be the same with and without the fast decoder (flat_json.c).

local engine = require "engine"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

local failed, succeeded = fixture.failed, fixture.succeeded
local missing = false -- in the place of a member: it is left out

-- Members: { name, JSON }. A list of texts in their order.
local balance = {
  { "balance_id", '"b"' }, { "currency", '"USD"' }, { "available_balance", "5000.25" },
  { "margin_balance", "10000" }, { "frozen_balance", '"2353.25"' },
  { "create_time", '"x"' }, { "last_trade_time", '"y"' },
  { "balance_status", '"ACTIVE"' },
}
local transaction = {
  { "transaction_id", '"t"' }, { "transaction_type", '"FEE"' },
  { "transaction_status", '"PENDING"' }, { "currency", '"USD"' }, { "amount", "-0.10" },
  { "create_time", '"x"' }, { "complete_time", '"y"' },
  { "short_transaction_id", '"CT"' },
  { "account_id", '"a"' }, { "account_name", '"ACME"' }, { "balance_id", '"b"' },
  { "ending_balance", "1.5" }, { "description", '"d"' },
}
local account = {
  { "account_id", '"a"' }, { "status", '"ACTIVE"' }, { "account_name", '"ACME"' },
  { "business_code", '["ISSUING"]' }, { "verification_status", '"APPROVED"' },
  { "entity_type", '"COMPANY"' }, { "country", '"SG"' },
}

local function object(members, name, json, more)
  local list = {}
  for _, member in ipairs(members) do
    local text = member[2]
    if member[1] == name then text = json end
    if text then list[#list + 1] = ('"%s":%s'):format(member[1], text) end
  end
  list[#list + 1] = more
  return "{" .. table.concat(list, ",") .. "}"
end

local function page(data, items, pages)
  return ('{"total_pages":%s,"total_items":%s%s}'):format(pages or "1", items or "1",
    data and ',"data":' .. data or "")
end

local lists = {
  { "balances", balance, { "create_time", "last_trade_time", "balance_status" },
    { "balance_id", "currency" } },
  { "transactions", transaction,
    { "create_time", "complete_time", "account_name", "short_transaction_id",
      "transaction_status" },
    { "transaction_id", "account_id", "balance_id", "currency", "transaction_type" } },
  { "accounts", account,
    { "status", "country", "entity_type", "verification_status" }, { "account_id" } },
}

describe("an answer that is valid in all that concerns money", function()
  local client

  fixture.with_client(function(made) client = made end, { max_retries = 0 })

  local function ask(method, body, options)
    sandbox.fault { kind = "answer", body = body }
    if method == "balance" then return client:balance("USD", options) end
    return client[method](client, options)
  end

  -- The balance of these members by both ways, or the kind of the error.
  local function both_ways(name, json)
    local got = {}
    for way, more in ipairs { false, '"more":null' } do
      local body = object(balance, name, json, more or nil)
      if way == 2 then assert.is_nil(engine.flat_json(body)) end
      local result, _, err = ask("balance", body)
      got[way] = result or err.kind
    end
    assert.same(got[2], got[1], ("%s: %s"):format(name, tostring(json)))
    return got[1]
  end

  it("may have a time or a status of a balance that is null, missing or empty", function()
    for _, name in ipairs { "create_time", "last_trade_time", "balance_status" } do
      for json, expected in pairs { null = "nil", [missing] = "nil", ['""'] = "" } do
        local got = both_ways(name, json)
        assert.equal("table", type(got), name .. ": " .. tostring(json))
        assert.equal(expected, tostring(got[name]))
        assert.equal(5000.25, got.available_balance)
      end
    end
  end)

  it("may have any bytes in a text of a balance that is no id and no currency", function()
    for json, text in pairs {
      ['"a\\tb"'] = "a\tb", ['"a\\u0000b\\n"'] = "a\0b\n", ['"\127"'] = "\127",
      ['"\\u007f"'] = "\127", ['"\195\164"'] = "\195\164",
    } do
      for _, name in ipairs { "create_time", "last_trade_time", "balance_status" } do
        assert.equal(text, both_ways(name, json)[name])
      end
      if text:find "%c" then
        assert.equal("schema", both_ways("balance_id", json))
        assert.equal("schema", both_ways("currency", json))
      end
    end
  end)

  it("is refused all the same where it is about money, by both ways", function()
    for _, name in ipairs { "balance_id", "currency", "available_balance",
      "margin_balance", "frozen_balance" } do
      for _, json in ipairs { "null", '""', "true", "{}", '"x\\n"' } do
        assert.equal("schema", both_ways(name, json == '"x\\n"' and name == "balance_id"
          and '"x\\u0001"' or json), name .. json)
      end
      assert.equal("schema", both_ways(name, missing))
    end
    for _, name in ipairs { "create_time", "last_trade_time", "balance_status" } do
      for _, json in ipairs { "5", "true", "{}", '["x"]' } do
        assert.equal("schema", both_ways(name, json), name .. json)
      end
    end
  end)

  it("may have such texts in the items of a list, kept as they were sent", function()
    for _, list in ipairs(lists) do
      local method, members = list[1], list[2]
      for _, name in ipairs(list[3]) do
        for json, text in pairs {
          null = "nil", [missing] = "nil", ['""'] = "", ['"a\\tb\\n"'] = "a\tb\n",
          ['"\127\\u0000"'] = "\127\0",
        } do
          local body = page("[" .. object(members, name, json) .. "]")
          local item = succeeded(ask(method, body)).data[1]
          assert.equal(text, tostring(item[name]), method .. " " .. name)
        end
        for _, json in ipairs { "5", "true", "{}" } do
          failed("schema", ask(method, page("[" .. object(members, name, json) .. "]")))
        end
      end
      for _, name in ipairs(list[4]) do
        for _, json in ipairs { '"a\\n"', '"\127"', "5", "{}" } do
          failed("schema", ask(method, page("[" .. object(members, name, json) .. "]")))
        end
      end
    end
  end)

  it("may have an ending_balance that is empty: there is none", function()
    for _, amounts in ipairs { "number", "string", "exact" } do
      for _, json in ipairs { '""', "null", missing } do
        local body = page("[" .. object(transaction, "ending_balance", json) .. "]")
        local item = succeeded(ask("transactions", body, { amounts = amounts })).data[1]
        assert.is_nil(item.ending_balance)
        assert.equal("-0.10", amounts == "number" and "-0.10" or tostring(item.amount))
      end
      for _, json in ipairs { '"none"', '" "', "true", "{}" } do
        failed("schema", ask("transactions", page("["
          .. object(transaction, "ending_balance", json) .. "]"), { amounts = amounts }))
      end
      failed("schema", ask("transactions", page("[" .. object(transaction, "amount", '""')
        .. "]"), { amounts = amounts }))
    end
  end)

  it("may have one business_code that is no list: it becomes one", function()
    for json, expected in pairs {
      ['"ISSUING"'] = { "ISSUING" }, ['""'] = {}, ["[]"] = {}, ["{}"] = {},
      ['["A","B"]'] = { "A", "B" },
    } do
      local body = page("[" .. object(account, "business_code", json) .. "]")
      assert.same(expected, succeeded(ask("accounts", body)).data[1].business_code)
    end
    for _, json in ipairs { "null", missing } do
      local body = page("[" .. object(account, "business_code", json) .. "]")
      assert.is_nil(succeeded(ask("accounts", body)).data[1].business_code)
    end
  end)

  it("may be a list of nothing in any form", function()
    for _, list in ipairs(lists) do
      for _, totals in ipairs { { "0", "0" }, { '"0"', "1" }, { "0", '"0"' } } do
        for _, data in ipairs { "[]", "{}", "null", missing } do
          local got = succeeded(ask(list[1], page(data, totals[1], totals[2])))
          assert.same({}, got.data)
          assert.equal(0, got.total_items)
        end
      end
      for _, data in ipairs { "null", missing } do
        failed("schema", ask(list[1], page(data, "3")))
        failed("schema", ask(list[1], page(data, "null", "0")))
      end
      for _, body in ipairs { "{}", '{"data":[]}', '{"data":null}', '{"total_items":0}',
        '{"total_pages":0}', page('"none"', "0", "0"), page("0", "0", "0"),
        page("[null]", "0", "0") } do
        failed("schema", ask(list[1], body))
      end
    end
  end)

  it("may have null for a page after the last item, and for no other", function()
    for _, case in ipairs {
      { 45, 10, 6, true }, { 45, 10, 5, false },
      { 45, 45, 2, true }, { 45, 45, 1, false },
      { 1, 10, 1000000000, true }, { 100, 100, 2, true }, { 101, 100, 2, false },
    } do
      local options = { page_size = case[2], page_number = case[3] }
      for _, data in ipairs { "null", missing } do
        local body = page(data, case[1], math.ceil(case[1] / case[2]))
        if case[4] then
          assert.same({}, succeeded(ask("accounts", body, options)).data)
        else
          failed("schema", ask("accounts", body, options))
        end
      end
    end
  end)

  it("ends an iterator well, window after window", function()
    sandbox.fault { kind = "answer", body = page("null", "0", "0"), times = 5 }
    for _ in client:each_transaction { start_time = "2025-01-01T00:00:00Z",
      end_time = "2025-12-31T00:00:00Z" } do error "an item" end
    assert.equal(5, #sandbox.requests())
  end)
end)
