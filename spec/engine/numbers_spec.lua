-- Digits, and whatever else a body of status 200 may hold: what is taken is exact, and
-- what is no balance is an error. All of it in both forms of amounts.

local fixture = require "spec.support.fixture"
local mime = require "mime"
local sandbox = require "spec.sandbox.sandbox"

local number_type = rawget(math, "type")     -- Lua 5.3 and later
local forms = { "number", "string", "exact" }
local amounts = { "available_balance", "margin_balance", "frozen_balance" }
local client

local function answered(body, form, currency)
  sandbox.fault { kind = "answer", body_base64 = (mime.b64(body)) }
  return client:balance { currency = currency or "USD", amounts = form }
end

-- Those that the API may leave out: nothing about money is in them.
local soft = { create_time = true, last_trade_time = true, balance_status = true }

local fields = {
  { "balance_id", '"72970a7c-7921-431c-b95f-3438724ba16f"' }, { "currency", '"USD"' },
  { "available_balance", "5000.25" }, { "margin_balance", "10000" },
  { "frozen_balance", "2353.25" }, { "create_time", '"2024-03-21T17:17:32+08:00"' },
  { "last_trade_time", '"2024-03-21T17:17:33+08:00"' }, { "balance_status", '"ACTIVE"' },
}

-- A balance in JSON: changes are texts by name, false leaves a member out; more members
-- come last.
local function json(changes, more)
  local members = {}
  for _, field in ipairs(fields) do
    local text = changes and changes[field[1]]
    if text == nil then text = field[2] end
    if text then members[#members + 1] = '"' .. field[1] .. '":' .. text end
  end
  members[#members + 1] = more
  return "{" .. table.concat(members, ",") .. "}"
end

-- The balance of a body that must be taken.
local function taken(body, form)
  return fixture.succeeded(answered(body, form))
end

-- Neither form takes the body; it is not asked for again.
local function refused(kind, body, form)
  for _, one in ipairs(form and { form } or forms) do
    local err = fixture.failed(kind, answered(body, one))
    assert.equal(200, err.status)
    assert.equal(1, err.attempts)
    assert.equal("not_retryable", err.retry_stopped)
    assert.is_false(err.retryable)
    assert.equal(body ~= "" and body:sub(1, 2048) or nil, err.body)
  end
end

-- What is made of each text of the list is refused.
local function all_refused(kind, list, make)
  for _, text in ipairs(list) do refused(kind, make(text)) end
end

local function is_float(expected, value, what)
  assert.equal("number", type(value), what)
  assert.equal(expected, value, what)
  if number_type then assert.equal("float", number_type(value), what) end
end

local function quoted(text) return '"' .. text .. '"' end

-- A member whose value this is, behind a whole balance.
local function extra(text) return json(nil, '"extra":' .. text) end

local nines, zeros = ("9"):rep(300), ("0"):rep(300)

-- Numbers of the JSON grammar and the doubles nearest to them.
local numbers = {
  { "0", 0 }, { "-0", 0 }, { "0.00", 0 }, { "0e0", 0 }, { "0e400", 0 },
  { "-0.0e-999", 0 }, { "1", 1 }, { "-1", -1 }, { "10000", 10000 }, { "10000.00", 10000 },
  { "5000.25", 5000.25 }, { "-0.01", -0.01 }, { "0.1", 0.1 }, { "0.10", 0.1 },
  { "1e3", 1000 }, { "1E3", 1000 }, { "1e+3", 1000 }, { "1.5e-3", 0.0015 },
  { "-12.5E+1", -125 }, { "1e-0003", 0.001 }, { "1e22", 1e22 }, { "1e23", 1e23 },
  { "0.30000000000000004", 0.1 + 0.2 }, { "0.3", 0.3 },
  { "99999999999999999999", 1e20 },
  { "12345678901234567890.12", 12345678901234567890.12 },
  { "9007199254740991", 2 ^ 53 - 1 }, { "9007199254740992", 2 ^ 53 },
  { "9007199254740993", 2 ^ 53 }, { "9007199254740993.00000001", 2 ^ 53 + 2 },
  { "9007199254740995", 2 ^ 53 + 4 }, { "90071992547409.93", 90071992547409.93 },
  { "9223372036854775807", 2 ^ 63 }, { "9223372036854775808", 2 ^ 63 },
  { "-9223372036854775809", -2 ^ 63 }, { "18446744073709551616", 2 ^ 64 },
  { "179769313486231570" .. ("0"):rep(291), 1.7976931348623157e308 },
  { "1.7976931348623157e308", 1.7976931348623157e308 }, { "5e-324", 2 ^ -1074 },
  { "2.2250738585072014e-308", 2 ^ -1022 }, { "2.5e-324", 2 ^ -1074 },
  { "0." .. zeros .. nines .. "e300", 1 }, { nines .. "e-300", 1 },
  { "1." .. zeros, 1 }, { "1" .. zeros .. "e-300", 1 },
}

-- Numbers of the grammar that no double is near.
local beyond = {
  "1e400", "-1e400", "1e309", "1.8e308", "1e-400", "-1e-400", "2e-324", "1e99999999999",
  "1e-99999999999", nines .. nines, "0." .. zeros .. zeros .. "1",
}

-- What the grammar does not know.
local no_numbers = {
  "NaN", "nan", "Infinity", "-Infinity", "inf", "-inf", "1#INF", "0x10", "0X1F", "0x1p3",
  "-0x1", "01", "00", "-01", "007.5", "1.", "-1.", "1.e3", ".5", "-.5", "+1", "+0.5", "-",
  "--1", "-+1", "1e", "1e+", "1E-", "1e3.5", "1.2.3", "1,5", "1,000.00", "1 000", "1_000",
  "1'000", "10f", "10d", "10L", "10n", "0b1", "0o7", "1/2", "1-2", "1+2", "5%", "$5",
  "\226\136\1465", "\217\161", "1e\239\188\145", "5\0", "\0005", "1 USD", "USD", "()",
}

describe("amounts", function()
  fixture.with_client(function(made) client = made end)

  describe("as numbers or as strings on the wire", function()
    local function each(run)
      for _, case in ipairs(numbers) do
        run(case[1], case[2], case[1])
        run(case[1], case[2], quoted(case[1]))
      end
    end

    it("are the nearest double, a float, by default", function()
      each(function(_, value, sent)
        local changes = {}
        for _, name in ipairs(amounts) do changes[name] = sent end
        local balance = taken(json(changes))
        for _, name in ipairs(amounts) do is_float(value, balance[name], sent) end
      end)
    end)

    it("are their digits as sent with amounts = \"string\"", function()
      each(function(text, _, sent)
        local changes = {}
        for _, name in ipairs(amounts) do changes[name] = sent end
        local balance = taken(json(changes), "string")
        for _, name in ipairs(amounts) do assert.equal(text, balance[name]) end
      end)
    end)

    it("keep to their own fields", function()
      local body = json { available_balance = "1.50", margin_balance = '"2.50"',
        frozen_balance = "3.50" }
      local balance = taken(body, "string")
      assert.same({ "1.50", "2.50", "3.50" }, { balance.available_balance,
        balance.margin_balance, balance.frozen_balance })
      balance = taken(body)
      assert.same({ 1.5, 2.5, 3.5 }, { balance.available_balance,
        balance.margin_balance, balance.frozen_balance })
    end)

    it("beyond every double are refused, but kept as digits", function()
      for _, text in ipairs(beyond) do
        for _, sent in ipairs { text, quoted(text) } do
          for _, name in ipairs(amounts) do
            refused("schema", json { [name] = sent }, "number")
          end
          assert.equal(text, taken(json { margin_balance = sent }, "string")
            .margin_balance)
        end
      end
    end)

    it("are refused when they are no numbers of JSON", function()
      all_refused("decode", no_numbers, function(text)
        return json { available_balance = text }
      end)
      all_refused("schema", {
        "", " ", "1 ", " 1", "1\\n", "\\u0031\\u0000", "\\u0000", "1\\u0020", "null",
        "true", "{}", "\\\"1\\\"", "1e", "abc", "\195\188", "\\u00ff5", "\195\1915",
      }, function(text)
        return json { available_balance = quoted(text) }
      end)
      for _, text in ipairs(no_numbers) do
        local kind = text:find "[%z\1-\31\127]" and "decode" or "schema"
        refused(kind, json { frozen_balance = quoted(text) })
      end
    end)

    it("are refused in every place but no other", function()
      for _, name in ipairs(amounts) do
        refused("decode", json { [name] = "01" })
        refused("schema", json { [name] = '"01"' })
        refused("schema", json { [name] = '""' })
      end
      refused("decode", extra "01")
      refused("decode", extra "[[{\"a\":1.}]]")
      assert.equal("01", taken(extra '"01"').extra)
    end)
  end)

  it("made at random are what Lua reads, and their own digits", function()
    local seed = 20240321
    local function random(n)
      seed = (seed * 16807) % 2147483647
      return seed % n
    end
    local function some_digits(most)
      local list = { random(9) + 1 }
      for n = 2, random(most) + 1 do list[n] = random(10) end
      return table.concat(list)
    end
    local list = {}
    for n = 1, 1000 do
      local text = some_digits(20) .. "." .. some_digits(n % 4 == 0 and 20 or 2)
      if random(2) == 0 then text = "-" .. text end
      if n % 3 == 0 then text = text .. "e" .. (random(500) - 250) end
      list[n] = text
    end
    local body = extra("[" .. table.concat(list, ",") .. "]")
    local values, texts = taken(body).extra, taken(body, "string").extra
    assert.equal(#list, #values)
    for n, text in ipairs(list) do is_float(tonumber(text), values[n], text) end
    assert.same(list, texts)
  end)
end)

describe("a body of status 200", function()
  fixture.with_client(function(made) client = made end)

  describe("whose fields are not those of a balance is refused:", function()
    it("one is missing or null", function()
      for _, field in ipairs(fields) do
        for _, text in ipairs { false, "null" } do
          local body = json { [field[1]] = text }
          if soft[field[1]] then
            for _, form in ipairs(forms) do assert.is_nil(taken(body, form)[field[1]]) end
          else
            refused("schema", body)
          end
        end
      end
      for _, body in ipairs { "{}", '{"code":200}', '{"data":' .. json() .. "}" } do
        refused("schema", body)
      end
    end)

    it("one is of another type", function()
      for _, field in ipairs(fields) do
        for _, text in ipairs {
          "true", "false", "{}", "[]", "[1]", '["USD"]', '{"value":1}',
        } do
          refused("schema", json { [field[1]] = text })
        end
        if field[2]:sub(1, 1) == '"' then
          for _, text in ipairs { "0", "1", "5000.25", "1e400" } do
            refused("schema", json { [field[1]] = text })
          end
        end
      end
    end)

    it("a text that may not be is empty", function()
      for _, name in ipairs { "balance_id", "currency" } do
        refused("schema", json { [name] = '""' })
      end
    end)

    it("an id, a currency or an amount has control bytes", function()
      for _, field in ipairs(fields) do
        for text, bytes in pairs {
          ["\\u0000"] = "\0", ["USD\\u0000"] = "USD\0", ["a\\nb"] = "a\nb",
          ["\\u001f"] = "\31", ["\\u007f"] = "\127",
        } do
          local body = json { [field[1]] = quoted(text) }
          if soft[field[1]] then
            assert.equal(bytes, taken(body)[field[1]])
          else
            refused("schema", body)
          end
        end
      end
    end)

    it("the currency is another one", function()
      all_refused("schema", {
        "SGD", "usd", "Usd", "USD ", " USD", "US", "USDT", "USDUSD", "US\\u0044 ",
        "\\uff35\\uff33\\uff24", "USD\\u0000", "\\u0000USD",
      }, function(text) return json { currency = quoted(text) } end)
      fixture.failed("schema", answered(json(), nil, "XUSD"))
      fixture.failed("schema", answered(json { currency = '"XUSD"' }, nil, "USD"))
    end)

    it("and the message names the field", function()
      for _, field in ipairs(fields) do
        for _, text in ipairs(soft[field[1]] and { "true", "5" }
          or { false, "null", "true" }) do
          local err = fixture.failed("schema", answered(json { [field[1]] = text }))
          assert.matches(field[1], err.message, 1, true)
        end
      end
    end)
  end)

  describe("is taken with", function()
    it("any text as status and times, and the id as it is", function()
      for _, text in ipairs {
        "SOMETHING_NEW", "active", "x", "\195\164\226\130\172", ("s"):rep(10000),
      } do
        assert.equal(text, taken(json { balance_status = quoted(text) }).balance_status)
        assert.equal(text, taken(json { balance_id = quoted(text) }).balance_id)
      end
      for _, text in ipairs {
        "2024-03-21T17:17:32+08:00", "2024-03-21T17:17:32Z", "2024-03-21T17:17:32.5Z",
        "2024-03-21T17:17:32.123456789+08:00", "2024-05-09 15:52:23",
        "0001-01-01T00:00:00Z", "", "whenever",
      } do
        local balance = taken(json { create_time = quoted(text),
          last_trade_time = quoted(text) })
        assert.equal(text, balance.create_time)
        assert.equal(text, balance.last_trade_time)
      end
    end)

    it("its members in any order, and blanks between all of them", function()
      local members = {}
      for n, field in ipairs(fields) do
        members[#fields + 1 - n] = (' "%s"\n:\t%s\r'):format(field[1], field[2])
      end
      local body = " \t\r\n{" .. table.concat(members, " ,") .. " }\r\n\t "
      for _, form in ipairs(forms) do
        assert.same(taken(json(), form), taken(body, form))
      end
    end)

    it("names and values in escapes", function()
      local body = json():gsub("currency", "c\\u0075rrency"):gsub("USD", "\\u0055SD")
      assert.equal("USD", taken(body).currency)
      assert.equal('"\\/\b\f\n\r\t\195\164\240\159\152\128',
        taken(extra [["\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00"]]).extra)
    end)
  end)

  describe("may have more members, which are kept:", function()
    it("text, switches, lists, objects, what is empty", function()
      local more = '"t":"text","y":true,"n":false,"l":["a",["b"]],"o":{"p":{"q":"r"}},'
        .. '"el":[],"eo":{},"es":"","":"no name"'
      for _, form in ipairs(forms) do
        local balance = taken(json(nil, more), form)
        for name in pairs(taken(json(), form)) do balance[name] = nil end
        assert.same({ t = "text", y = true, n = false, l = { "a", { "b" } },
          o = { p = { q = "r" } }, el = {}, eo = {}, es = "", [""] = "no name" }, balance)
      end
    end)

    it("null is nothing, wherever it is", function()
      for _, form in ipairs(forms) do
        local balance = taken(json(nil, '"a":null,"b":[null,"x",null],"c":{"d":null},'
          .. '"e":[{"f":null,"g":"h"}],"i":[null]'), form)
        assert.is_nil(balance.a)
        assert.same({ [2] = "x" }, balance.b)
        assert.same({}, balance.c)
        assert.same({ { g = "h" } }, balance.e)
        assert.same({}, balance.i)
      end
    end)

    it("numbers, whole ones as integers where Lua has them", function()
      local balance = taken(json(nil, '"a":5,"b":-7,"c":0,"d":[1,{"e":2}],"f":2.5,'
        .. '"g":2.0,"h":1e2,"available":{"available_balance":3}'))
      assert.same({ 5, -7, 0 }, { balance.a, balance.b, balance.c })
      assert.same({ 1, { e = 2 } }, balance.d)
      is_float(2.5, balance.f)
      is_float(2, balance.g)
      is_float(100, balance.h)
      if number_type then
        for _, value in ipairs { balance.a, balance.b, balance.c, balance.d[1],
          balance.d[2].e, balance.available.available_balance } do
          assert.equal("integer", number_type(value))
        end
      end
    end)

    it("whole numbers as integers up to the last one that fits", function()
      local list = taken(extra("[9007199254740993,999999999999999999,"
        .. "9223372036854775807,-9223372036854775808,9223372036854775808]")).extra
      if not number_type then
        assert.same({ 2 ^ 53, 1e18, 2 ^ 63, -2 ^ 63, 2 ^ 63 }, list)
        return
      end
      for n, text in ipairs { "9007199254740993", "999999999999999999",
        "9223372036854775807", "-9223372036854775808" } do
        assert.equal("integer", number_type(list[n]), text)
        assert.equal(text, tostring(list[n]))
      end
      is_float(2 ^ 63, list[5])
    end)

    it("numbers as their digits with amounts = \"string\"", function()
      local balance = taken(json(nil, '"a":5,"b":-7.50,"c":[1.0,{"d":2e5}],"e":1e400,'
        .. '"f":12345678901234567890'), "string")
      assert.same({ "5", "-7.50", { "1.0", { d = "2e5" } }, "1e400",
        "12345678901234567890" },
        { balance.a, balance.b, balance.c, balance.e, balance.f })
    end)

    it("strings that look like numbers stay strings", function()
      for _, form in ipairs(forms) do
        for _, text in ipairs { "5", "5.00", "1e400", "NaN", "0x10", "\195\1915" } do
          assert.equal(text, taken(extra(quoted(text)), form).extra)
          assert.equal(text, taken(extra("[" .. quoted(text) .. "]"), form).extra[1])
        end
      end
    end)

    it("NUL in a string or a name is kept", function()
      for _, form in ipairs(forms) do
        local balance = taken(json(nil, '"a":"x\\u0000y","b\\u0000c":"z"'), form)
        assert.equal("x\0y", balance.a)
        assert.equal("z", balance["b\0c"])
      end
    end)

    it("as many as there is room for", function()
      local members = {}
      for n = 1, 5000 do members[n] = ('"m%d":%d'):format(n, n) end
      local balance = taken(json(nil, table.concat(members, ",")))
      for n = 1, 5000 do assert.equal(n, balance["m" .. n]) end
    end)

    it("but none whose number no double is near", function()
      for _, text in ipairs(beyond) do
        refused("schema", extra(text), "number")
        refused("schema", extra('[{"a":' .. text .. "}]"), "number")
      end
      refused("schema", json(nil, '"a\\r\\n\\u0000b":1e400'), "number")
    end)
  end)

  describe("with two members of one name is refused:", function()
    it("any field twice, even with the same value", function()
      for _, field in ipairs(fields) do
        local again = ('"%s":%s'):format(field[1], field[2])
        refused("decode", json(nil, again))
        refused("decode", "{" .. again .. "," .. json():sub(2))
        refused("decode", json(nil, again .. "," .. again))
      end
    end)

    it("another value first, which the last would hide", function()
      for name, text in pairs {
        available_balance = "1", margin_balance = '"7"', frozen_balance = "null",
        currency = '"SGD"', balance_status = '"CLOSED"', balance_id = "{}",
      } do
        refused("decode", ('{"%s":%s,'):format(name, text) .. json():sub(2))
      end
    end)

    it("another value last", function()
      refused("decode", json(nil, '"available_balance":999999'))
      refused("schema", json(nil, '"available_balance":null'))
      refused("schema", json(nil, '"currency":"SGD"'))
    end)

    it("spelled with escapes", function()
      refused("decode", json(nil, '"av\\u0061ilable_balance":1'))
      refused("decode", json(nil, '"\\u0063\\u0075rrency":"USD"'))
      refused("decode", '{"curren\\u0063y":"SGD",' .. json():sub(2))
      refused("decode", extra '{"a/b":1,"a\\/b":2}')
    end)

    it("more ones, deep ones, and names that are empty", function()
      for _, text in ipairs {
        '{"a":1,"a":1}', '[[{"a":1,"b":2,"a":3}]]', '{"a":{"b":"c","b":"d"}}',
        '{"":1,"":2}', '{"a":null,"a":null}', '{"a":[],"a":{}}', '{"1":1,"1":2}',
        '{"a\\u0000":1,"a\\u0000":2}',
      } do
        refused("decode", extra(text))
      end
      refused("decode", json(nil, '"x":1,"x":1'))
    end)

    it("but one name in several objects is no such thing", function()
      local balance = taken(
        extra '[{"a":1,"currency":"SGD"},{"a":2,"currency":"EUR"}]')
      assert.same({ { a = 1, currency = "SGD" }, { a = 2, currency = "EUR" } },
        balance.extra)
    end)
  end)

  describe("that is no JSON text is refused:", function()
    local function all_extra(list) all_refused("decode", list, extra) end

    it("nothing, blanks, a page, noise", function()
      all_refused("decode", {
        "", " ", "\n", "\0", "<html>no</html>", "OK", "\31\139\8\0\0\0\0\0",
        "\255\254{\0", ("\0"):rep(1000), ("x"):rep(100000),
      }, function(text) return text end)
    end)

    it("a byte order mark before it", function()
      refused("decode", "\239\187\191" .. json())
      refused("decode", "\254\255" .. json())
    end)

    it("anything behind it", function()
      all_refused("decode", {
        "x", " x", "}", "]", ",", "{}", " {}", json(), "\n" .. json(), "null", " 1", '""',
        "\0", " \0", "//", "\255", ";", "\239\187\191",
      }, function(text) return json() .. text end)
    end)

    it("cut off anywhere", function()
      local whole = json()
      for at = 1, #whole - 1, 7 do refused("decode", whole:sub(1, at)) end
      refused("decode", whole:sub(1, -2))
      refused("decode", whole:sub(2))
    end)

    it("commas, colons and brackets out of place", function()
      all_extra {
        "[1,]", "[,1]", "[,]", "[1,,2]", "[1 2]", '{"a":1,}', "{,}", '{,"a":1}',
        '{"a" 1}', '{"a"}', '{"a":}', '{"a"::1}', '{"a":1 "b":2}', '{"a":1:2}', "{:1}",
        '{"a":1,"b"}', "[1}", '{"a":1]', "]", "}", "[", "{", "", ",", ":", "[1:2]",
      }
      refused("decode", (json():gsub("}$", ",}")))
      refused("decode", (json():gsub("}$", ", \n}")))
    end)

    it("names that are no strings, other quotes, comments", function()
      all_extra {
        "{a:1}", "{1:2}", "{null:1}", "{true:1}", "{[]:1}", "{{}:1}", "{'a':1}", "'a'",
        "`a`", "/* x */ 1", "1 // x\n", "# x\n1", "[1] /**/", "<!-- x -->1",
      }
    end)

    it("words that are no literals", function()
      all_extra {
        "nul", "nulll", "NULL", "Null", "nil", "None", "undefined", "tru", "True", "TRUE",
        "truefalse", "false1", "yes", "t", "NaN", "Infinity", "-true", "null.",
      }
    end)

    it("control bytes in strings, and blanks that JSON does not know", function()
      local list = {}
      for code = 0, 31 do list[#list + 1] = '"a' .. string.char(code) .. 'b"' end
      all_extra(list)
      all_extra {
        "\0001", "1\0", "\f1", "\v1", "\b1", "\1271", "\194\1601", "\226\128\1681",
      }
      refused("decode", (json():gsub("currency", "curr\0ency")))
      refused("decode", (json():gsub("USD", "USD\0")))
      refused("decode", (json():gsub(",", "\0,", 1)))
    end)

    it("strings that are no UTF-8", function()
      for _, bytes in ipairs {
        "\128", "\191", "\192\128", "\193\191", "\194", "\195(", "\224\128\128",
        "\224\159\191", "\226\130", "\226(\161", "\237\160\128", "\237\191\191",
        "\240\128\128\128", "\240\143\191\191", "\240\159\152", "\244\144\128\128",
        "\245\128\128\128", "\248\136\128\128\128", "\254", "\255", "\2555", "\\\255",
        "\\\195\164",
      } do
        refused("decode", extra('"' .. bytes .. '"'))
        refused("decode", extra('"a' .. bytes .. 'b"'))
        refused("decode", extra('{"' .. bytes .. '":1}'))
        refused("decode", json { balance_status = '"' .. bytes .. '"' })
        refused("decode", extra(bytes))
      end
      for _, bytes in ipairs {
        "\194\128", "\223\191", "\224\160\128", "\237\159\191", "\238\128\128",
        "\239\191\191", "\240\144\128\128", "\244\143\191\191",
      } do
        assert.equal(bytes, taken(extra(quoted(bytes))).extra)
      end
    end)

    it("escapes that there are not, and halves of surrogate pairs", function()
      all_refused("decode", {
        "\\x41", "\\'", "\\a", "\\0", "\\v", "\\ ", "\\U0041", "\\u", "\\u1", "\\u12",
        "\\u123", "\\u12G4", "\\u 123", "\\u+123", "\\u-123", "\\u{41}", "\\ud800",
        "\\udc00", "\\udfff", "\\ud800x", "\\ud800\\n", "\\ud800\\u0041",
        "\\ud800\\ud800", "\\udc00\\ud800", "\\ud83d \\ude00", "\\\n", "\\\0",
      }, function(text) return extra(quoted(text)) end)
      refused("decode", extra '"\\"')
      refused("decode", extra '{"\\ud800":1}')
    end)

    it("nested too deeply; as deep as is allowed it is taken", function()
      local function nest(levels, open, close)
        return extra(open:rep(levels) .. close:rep(levels))
      end
      for _, form in ipairs(forms) do
        taken(nest(31, "[", "]"), form)
        taken(extra(('{"a":'):rep(31) .. "1" .. ("}"):rep(31)), form)
      end
      for _, levels in ipairs { 32, 33, 100, 1000, 30000 } do
        refused("decode", nest(levels, "[", "]"))
        refused("decode", extra(('{"a":'):rep(levels) .. "1" .. ("}"):rep(levels)))
        refused("decode", extra(("["):rep(levels)))
      end
    end)

    it("and the message says where", function()
      local err = fixture.failed("decode", answered('{"a":01}'))
      assert.matches("no JSON: malformed number at byte 6", err.message, 1, true)
      err = fixture.failed("decode", answered "")
      assert.matches("HTTP 200 with an empty body", err.message, 1, true)
    end)
  end)

  it("that is JSON but no object is refused", function()
    for _, text in ipairs {
      "[]", "[1,2]", "[" .. json() .. "]", '"USD"', '""', "0", "5000.25", "-1e5", "1e400",
      "true", "false", "null", " null ", quoted((json():gsub('"', '\\"'))),
    } do
      refused("schema", text)
    end
  end)

  it("that was refused leaves nothing for the next call", function()
    for _, body in ipairs {
      json(nil, '"available_balance":1'), json { currency = '"SGD"' }, "{", "",
      extra(("["):rep(50)), json(nil, '"message":"x"'):sub(1, -2),
    } do
      assert.is_nil((answered(body)))
      assert.equal(5000.25, fixture.succeeded(client:balance "USD").available_balance)
    end
  end)
end)
