-- The fast decoder of flat objects: its results are those of the JSON library, which
-- decodes everything else.

local engine = require "engine"
local fixture = require "spec.support.fixture"
local random = require "spec.support.random"
local sandbox = require "spec.sandbox.sandbox"

local flat = engine.flat_json

describe("a plain object", function()
  it("is read member by member", function()
    assert.same({ { "a", "x y", true }, { "b", "-1.50e+3", false }, { "", "", true } },
      flat '{"a":"x y","b":-1.50e+3,"":""}')
    assert.same({ { " a ", " x ", true }, { "b", "0", false } },
      flat ' \t\r\n{ " a "\n:\t" x " ,\r"b" : 0 } \n')
  end)

  it("may have sixteen members", function()
    local members = {}
    for n = 1, 16 do members[n] = ('"%d":%d'):format(n, n) end
    assert.equal(16, #flat("{" .. table.concat(members, ",") .. "}"))
    members[17] = '"17":17'
    assert.is_nil(flat("{" .. table.concat(members, ",") .. "}"))
  end)

  local others = {
    "an array", "[1]", "no object", "1", "empty", "{}", "nothing", "", "a brace", "{",
    "no end", '{"a":1', "a comma too many", '{"a":1,}', "a comma too few", '{"a":1"b":2}',
    "more behind it", '{"a":1}{', "a byte behind it", '{"a":1}x', "a NUL behind it",
    '{"a":1}\0', "no colon", '{"a" 1}', "no value", '{"a":}', "no name", "{:1}",
    "a bare name", "{a:1}", "an open name", '{"a', "an open string", '{"a":"x',
    "a string open at its quote", '{"a":"', "null", '{"a":null}', "true", '{"a":true}',
    "an object in it", '{"a":{}}', "an array in it", '{"a":[]}',
    "an escape", '{"a":"\\n"}', "an escaped quote", '{"a":"\\""}',
    "a control byte", '{"a":"\1"}', "a line end", '{"a":"\n"}', "DEL", '{"a":"\127"}',
    "a NUL", '{"a":"\0"}', "UTF-8", '{"a":"\195\164"}', "a broken byte", '{"a":"\255"}',
    "a leading zero", '{"a":01}', "a plus", '{"a":+1}', "a bare point", '{"a":.5}',
    "NaN", '{"a":NaN}', "hex", '{"a":0x1}', "a number with a NUL", '{"a":1\0}',
    "single quotes", "{'a':1}", "a BOM", '\239\187\191{"a":1}',
  }
  for n = 1, #others, 2 do
    it("is not " .. others[n], function() assert.is_nil(flat(others[n + 1])) end)
  end
end)

describe("a response", function()
  local client
  setup(function()
    sandbox.start()
    client = fixture.client { max_retries = 0 }
  end)
  before_each(function() sandbox.reset() end)
  teardown(function() client:close() end)

  local function ask(body, amounts)
    sandbox.fault { kind = "answer", body = body }
    local balance, _, err = client:balance("USD", { amounts = amounts })
    if balance then return balance end
    return { kind = err.kind, message = err.message:gsub(" %[.*", "") }
  end

  local fields = {
    { "balance_id", '"72970a7c-7921-431c-b95f-3438724ba16f"' },
    { "currency", '"USD"' }, { "available_balance", "5000.25" },
    { "margin_balance", "10000" }, { "frozen_balance", '"2353.25"' },
    { "create_time", '"2024-03-21T17:17:32+08:00"' }, { "last_trade_time", '""' },
    { "balance_status", '"ACTIVE"' },
  }

  local function body_of(list, more)
    local members = {}
    for n, field in ipairs(list) do
      members[n] = ('"%s":%s'):format(field[1], field[2])
    end
    members[#members + 1] = more
    return "{" .. table.concat(members, ",") .. "}"
  end

  -- The fields, with this one instead of the nth.
  local function with(n, field)
    local list = {}
    for i, one in ipairs(fields) do list[i] = i == n and field or one end
    return list
  end

  -- A null, which is absent from the result, needs the JSON library.
  local function check(list)
    for _, amounts in ipairs { "number", "string", "exact" } do
      local short, long = body_of(list), body_of(list, '"more":null')
      local got, expected = ask(short, amounts), ask(long, amounts)
      assert.same(expected, got, short)
      for name, value in pairs(expected) do
        assert.equal(tostring(value), tostring(got[name]), short)
      end
    end
  end

  it("is the same by both decoders", function()
    assert.is_truthy(flat(body_of(fields)))
    assert.is_nil(flat(body_of(fields, '"more":null')))
    check(fields)
    assert.same({ "5000.25", "10000", "2353.25" }, (function()
      local b = ask(body_of(fields), "string")
      return { b.available_balance, b.margin_balance, b.frozen_balance }
    end)())
  end)

  local values = {
    "0", "-0", "-0.0", "1e2", "1E-2", "123456789012345678901234567890.12345", "1e400",
    "-1e400", "1e-400", "0.1", "12345678901234567", '"1"', '"-0.50"', '"1e2"', '"01"',
    '" 1"', '"1 "', '""', '"x"', '"USD"', '"SGD"', '"usd"', '"USDT"', '"US"', "null",
    "true", "{}", "[]", '"\\u0041"', '"\195\164"', '"a\\/b"', '"a\\nb"', '"\127"', "01",
    "1.", "-", '"' .. ("9"):rep(400) .. '"', ("9"):rep(38), ("9"):rep(39),
  }

  it("is the same by both decoders, with any field values", function()
    local generator = random.generator()
    for n, field in ipairs(fields) do
      for _ = 1, 8 do
        check(with(n, { field[1], random.pick(generator, values) }))
      end
    end
  end)

  it("is the same by both decoders in edge cases", function()
    check(with(2, { "currency", '"USDT"' }))
    check(with(2, { "currency", '"US"' }))
    for _, other in ipairs { "US", "USDT", "SGD", "" } do
      local body = body_of(with(2, { "currency", '"' .. other .. '"' }))
      assert.equal("schema", ask(body).kind)
    end
    check(with(2, { "currency", "1" }))
    check(with(3, { "available_balance", '"x"' }))
    check(with(3, { "available_balance", '""' }))
    check(with(1, { "balance_id", "1" }))
    check(with(8, { "balance_status", '""' }))
    check(with(6, { "create_times", '""' }))
    check(with(6, { "create_tim", '""' }))
    check(with(9, { "create_time", '""' }))
    check(with(6, { "balance_id", '"twice"' }))
    for n, field in ipairs(fields) do
      local twice = with()
      twice[9] = field
      check(twice)
      twice[9], twice[n] = nil, twice[8]
      check(twice)
      local fewer = with()
      table.remove(fewer, n)
      check(fewer)
    end
  end)

  it("is the same by both decoders, with any fields", function()
    local generator = random.generator()
    local extra = { { "code", "200" }, { "code", "500" }, { "message", '"failed"' },
      { "error", '"x"' }, { "type", '"t"' }, { "new", '"field"' }, { "new", "1" },
      { "Currency", '"USD"' }, { "cur\\u0072ency", '"SGD"' } }
    for _ = 1, 60 do
      local list = {}
      for _, field in ipairs(fields) do
        local what = generator(20)
        if what > 1 then table.insert(list, generator(#list + 1), field) end
        if what == 2 then
          table.insert(list, { field[1], random.pick(generator, values) })
        end
      end
      if generator(2) == 1 then
        table.insert(list, generator(#list + 1), random.pick(generator, extra))
      end
      check(list)
    end
  end)
end)
