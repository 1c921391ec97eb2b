-- Exact amounts: every digit that comes in comes out, sums are those of pen and paper,
-- and what cannot be exact is refused.

local engine = require "engine"
local fixture = require "spec.support.fixture"
local random = require "spec.support.random"
local uqpay = require "uqpay"
local sandbox = fixture.any_sandbox()

local amount, sum = uqpay.amount, uqpay.sum
local floor = math.floor
local number_type = rawget(math, "type")     -- Lua 5.3 and later
local mixed_order = _VERSION ~= "Lua 5.1"    -- of an amount and another type; LuaJIT, too
local most = 38

-- ---------------------------------------------------------------------------------------
-- Pen and paper: a number is { negative, digits, scale }, its digits a string in which
-- the last `scale` stand behind the point. No limit but memory.

local function parse(text)
  local sign, whole, rest = text:match "^(-?)(%d+)(.*)$"
  local fraction = rest:match "^%.(%d+)" or ""
  local exponent = tonumber(rest:match "[eE]([+-]?%d+)$" or "0")
  local digits = (whole .. fraction):gsub("^0+", "")
  local scale = #fraction - exponent
  if scale < 0 then
    if digits ~= "" then digits = digits .. ("0"):rep(-scale) end
    scale = 0
  end
  return { sign == "-" and digits ~= "", digits, scale }
end

local function padded(n, scale)
  return n[2] .. ("0"):rep(scale - n[3])
end

local function show(n)
  local digits = ("0"):rep(n[3] + 1 - #n[2]) .. n[2]
  local text = digits:sub(1, #digits - n[3])
  if n[3] > 0 then text = text .. "." .. digits:sub(-n[3]) end
  return (n[1] and "-" or "") .. text
end

local function fits(n) return #n[2] <= most and n[3] <= most end

-- Two strings of digits made equally long.
local function level(a, b)
  local n = math.max(#a, #b)
  return ("0"):rep(n - #a) .. a, ("0"):rep(n - #b) .. b
end

-- a + sign * b of strings of digits; a is not the smaller one if sign is -1.
local function column(a, b, sign)
  local out, carry = {}, 0
  a, b = level(a, b)
  for i = #a, 1, -1 do
    local digit = a:byte(i) - 48 + sign * (b:byte(i) - 48) + carry
    carry = floor(digit / 10)
    out[i] = digit - 10 * carry
  end
  return (((carry > 0 and carry or "") .. table.concat(out)):gsub("^0+", ""))
end

local function compare(a, b)
  local scale = math.max(a[3], b[3])
  local x, y = level(padded(a, scale), padded(b, scale))
  if a[1] ~= b[1] then return a[1] and -1 or 1 end
  if x == y then return 0 end
  return (x < y) == a[1] and 1 or -1
end

local function plus(a, b)
  local scale = math.max(a[3], b[3])
  local x, y = padded(a, scale), padded(b, scale)
  if a[1] == b[1] then return { a[1], column(x, y, 1), scale } end
  local left, right = level(x, y)
  local negative = a[1]
  if left < right then
    left, right, negative = right, left, b[1]
  end
  local digits = column(left, right, -1)
  return { negative and digits ~= "", digits, scale }
end

local function minus(a, b) return plus(a, { not b[1] and b[2] ~= "", b[2], b[3] }) end

-- ---------------------------------------------------------------------------------------
-- Random numbers as text

local draw = random.generator()

local function sign() return draw(2) == 1 and "-" or "" end

local function whole(n) return draw(9) .. random.digits(draw, n - 1) end

local makers = {
  money = function()
    return sign() .. whole(draw(8)) .. "." .. random.digits(draw, 2)
  end,
  small = function()
    return sign() .. "0." .. random.digits(draw, draw(most))
  end,
  wide = function()
    return sign() .. whole(draw(22)) .. "." .. random.digits(draw, draw(16))
  end,
  edge = function()
    local places = draw(most)
    local digits = random.pick(draw, { "9", "1" }):rep(most)
    if places == most then return sign() .. digits end
    return sign() .. digits:sub(1, places) .. "." .. digits:sub(places + 1)
  end,
  power = function()
    return ("%s%s%s%d"):format(sign(), whole(draw(5)), random.pick(draw, { "e", "E", "e+",
      "e-" }), draw(most) - 1)
  end,
  round = function() return sign() .. whole(draw(3)) .. ("0"):rep(draw(12)) end,
  zero = function() return random.pick(draw, { "0", "-0", "0.00", "-0.0", "0e5" }) end,
}

local names = {}
for name in pairs(makers) do names[#names + 1] = name end
table.sort(names)          -- for the seed to say it all

local function any() return makers[random.pick(draw, names)]() end

local function any_fitting()
  for _ = 1, 1000 do
    local text = any()
    if fits(parse(text)) then return text end
  end
  error "no number fits"
end

-- A userdata of another type.
local client = uqpay.new { token = "t" }

-- The amount, of which the text must be one.
local function exact(text)
  local value, message = amount(text)
  if not value then random.fail("%s: %s", text, message) end
  return value
end

local function raises(message, ...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.equal("string", type(err))
  assert.matches(message, err, 1, true)
end

-- The results of a function that failed on what the world gave it.
local function failed(message, ...)
  assert.equal(2, select("#", ...))
  local value, got = ...
  assert.is_nil(value)
  assert.matches(message, got, 1, true)
  assert.is_nil(got:find "%c", "control byte")
  assert.is_true(#got < 160)
end

local nines = ("9"):rep(most)
local smallest = "0." .. ("0"):rep(most - 1) .. "1"

describe("an amount", function()
  describe("is made", function()
    it("of a decimal string, with every digit that it has", function()
      for text, digits in pairs {
        ["10000.00"] = "10000.00", ["-0.01"] = "-0.01", ["0"] = "0", ["0.10"] = "0.10",
        ["5000.25"] = "5000.25", ["12345678901234567890.12"] = "12345678901234567890.12",
        ["9007199254740993"] = "9007199254740993", ["-7"] = "-7", ["0.000"] = "0.000",
        ["1e3"] = "1000", ["1E+3"] = "1000", ["1.50e1"] = "15.0", ["1.5e-3"] = "0.0015",
        ["-12.5E+1"] = "-125", ["1e-0003"] = "0.001", ["25e0"] = "25", ["0e9"] = "0",
        ["0.00e1"] = "0.0", ["0e99999999999999999999"] = "0", ["100e-2"] = "1.00",
        [nines] = nines, ["-" .. nines] = "-" .. nines, [smallest] = smallest,
        ["1e37"] = "1" .. ("0"):rep(37), ["1e-38"] = smallest,
        ["0." .. nines] = "0." .. nines, ["-0." .. nines] = "-0." .. nines,
        ["0." .. ("0"):rep(100000) .. "1e100001"] = "1",
      } do
        assert.equal(digits, tostring(amount(text)), text)
        assert.equal(digits, engine.decimal(text), text)
      end
    end)

    it("without a sign if it is zero", function()
      for text, digits in pairs {
        ["-0"] = "0", ["-0.00"] = "0.00", ["-0e5"] = "0", ["-0.0E-2"] = "0.000",
      } do
        assert.equal(digits, tostring(amount(text)))
        assert.equal(0, amount(text):sign())
      end
      assert.equal("0.00", tostring(-amount "0.00"))
      assert.equal("0.00", tostring(amount "-5.25" + "5.25"))
    end)

    it("of a whole number", function()
      for _, case in ipairs {
        { 0, "0" }, { 7, "7" }, { -12345, "-12345" }, { 2 ^ 53 - 1, "9007199254740991" },
        { -(2 ^ 53 - 1), "-9007199254740991" }, { 1e15, "1000000000000000" },
        { -0.0, "0" },
      } do
        assert.equal(case[2], tostring(amount(case[1])))
      end
      if number_type then
        assert.equal("9223372036854775807", tostring(amount(math.maxinteger)))
        assert.equal("-9223372036854775808", tostring(amount(math.mininteger)))
        assert.equal("9007199254740993", tostring(amount(9007199254740992 + 1)))
      end
    end)

    it("of an amount, which it is", function()
      local value = amount "1.50"
      assert.is_true(rawequal(value, amount(value)))
    end)

    it("of any text at random as pen and paper have it, or not at all", function()
      for _, name in ipairs(names) do
        for _ = 1, 1500 do
          local text = makers[name]()
          local expected, value = parse(text), amount(text)
          local digits = value and tostring(value)
          if digits ~= (fits(expected) and show(expected) or nil) then
            random.fail("%s became %s", text, tostring(digits))
          end
          if digits ~= engine.decimal(text) then random.fail("%s differs", text) end
          if value and tostring(amount(digits)) ~= digits then
            random.fail("%s is not read again", digits)
          end
        end
      end
    end)
  end)

  describe("is refused", function()
    it("beyond its range, instead of rounded", function()
      for _, text in ipairs {
        nines .. "9", "1e38", "-1e38", "1" .. ("0"):rep(38), "1e-39", "0e-39",
        smallest:gsub("1$", "01"), nines .. ".0", "0." .. nines .. "0", "1." .. nines,
        "1e400", "-1e-400", "1e99999999999999999999", "1e-99999999999999999999",
        "1e9223372036854775807", "1e-9223372036854775808", "1e18446744073709551616",
        "1e4294967296", "1e-4294967296", ("1"):rep(1000000), "0." .. ("0"):rep(1000000),
        "1." .. ("0"):rep(38),
      } do
        failed("more than 38 digits", amount(text))
        assert.equal("range", (select(2, engine.decimal(text))))
      end
    end)

    it("if it is text that is no number of JSON", function()
      for _, text in ipairs {
        "", " ", "-", "+", "+1", " 1", "1 ", "1\n", "01", "-01", "00", ".5", "5.", "1.e3",
        "1e", "1e+", "1e3.5", "1..5", "--1", "1-", "0x10", "0x1p3", "1f", "1_000",
        "1,000", "1,5", "1.000,5", "NaN", "nan", "inf", "-Infinity", "1\0", "\0001",
        "1\0002", "\2551", "\217\161", "1e\0", "five", "1/2", "$5", "5 USD",
        "\27[31m1", ".", "e5",
        ("x"):rep(1000000), ("1"):rep(100) .. "x", "1" .. ("\0"):rep(1000000),
      } do
        failed("is no decimal number", amount(text))
        assert.equal("bad", (select(2, engine.decimal(text))))
      end
    end)

    it("if it is a float that may have lost digits", function()
      for _, number in ipairs {
        0.1, -0.01, 5000.25, 1.5, 2 ^ 53 + 0.0, -(2 ^ 53) + 0.0, 1e22, 1e300, 5e-324,
        math.huge, -math.huge, 0 / 0,
      } do
        raises("a float has lost its decimal digits", amount, number)
        raises("lost", amount(1).add, amount(1), number)
        raises("lost", function() return amount(1) + number end)
        raises("lost", function() return number - amount(1) end)
      end
    end)

    it("if it is anything else, and it is named", function()
      for _, value in ipairs {
        true, false, {}, print, coroutine.create(function() end), io.stdout,
        client,
      } do
        raises("expected, got " .. type(value), amount, value)
        raises("#1 to ", amount, value)
        raises("expected, got " .. type(value), amount(1).add, amount(1), value)
        raises("expected, got " .. type(value), amount(1).cmp, value, amount(1))
      end
      raises("expected, got nil", amount, nil)
      raises("expected, got nil", amount)
      raises("expected, got nil", function() return amount(1) + nil end)
    end)

    it("by the methods of another type, and those by it", function()
      local one = amount(1)
      for name, method in pairs(getmetatable(one).__index) do
        for _, value in ipairs { io.stdout, client, {}, true, print } do
          raises("bad argument #1", method, value, 1)
        end
        raises("bad argument #1", method, nil)
        assert.is_false(pcall(method), name)
      end
      for _, name in ipairs { "neg", "sign", "minor", "format", "tonumber" } do
        raises("uqpay.amount expected, got string", one[name], "1", 2)
      end
      raises("FILE*", io.stdout.read, one)
      raises("uqpay.client", client.balance, one)
    end)
  end)

  describe("adds up", function()
    it("as pen and paper do, at random", function()
      for _ = 1, 6000 do
        local x, y = any_fitting(), any_fitting()
        local a, b = exact(x), exact(y)
        for operation, expected in pairs {
          add = plus(parse(x), parse(y)), sub = minus(parse(x), parse(y)),
        } do
          local ok, value = pcall(a[operation], a, b)
          local digits = ok and tostring(value)
          if digits ~= (fits(expected) and show(expected)) then
            random.fail("%s %s %s is %s, not %s", x, operation, y, tostring(digits),
              show(expected))
          end
        end
        if tostring(a) ~= show(parse(x)) then random.fail("%s changed", x) end
      end
    end)

    it("in any order, and back again", function()
      for _ = 1, 2000 do
        local a, b = exact(makers.money()), exact(makers.money())
        local c = exact(sign() .. "0." .. random.digits(draw, draw(25)))
        local one, other = (a + b) + c, c + (b + a)
        if tostring(one) ~= tostring(other) or one - c - b ~= a or -(-a) ~= a
          or (a - a):sign() ~= 0 then
          random.fail("%s, %s, %s", tostring(a), tostring(b), tostring(c))
        end
      end
    end)

    it("a tenth, a thousand times", function()
      local total, float, list = amount(0), 0, {}
      for n = 1, 1000 do
        total, float = total + "0.1", float + 0.1
        list[n] = "0.1"
      end
      assert.equal("100.0", tostring(total))
      assert.is_true(total == amount(100))
      assert.is_true(sum(list) == total)
      assert.is_false(float == 100)     -- which is what this type is for
    end)

    it("with the larger scale of the two", function()
      for _, case in ipairs {
        { "1.50", "2.5", "4.00", "-1.00" }, { "1", "0.00", "1.00", "1.00" },
        { "0.001", "1e3", "1000.001", "-999.999" }, { "9.99", "0.01", "10.00", "9.98" },
        { "-1.0", "1.00", "0.00", "-2.00" }, { "100", "99", "199", "1" },
      } do
        assert.equal(case[3], tostring(amount(case[1]) + case[2]))
        assert.equal(case[4], tostring(amount(case[1]) - case[2]))
      end
    end)

    it("up to its last digit, and raises beyond it", function()
      assert.equal(nines, tostring(amount(nines:sub(1, -2) .. "8") + 1))
      assert.equal("0", tostring(amount(nines) - nines))
      assert.equal("0." .. nines, tostring(amount("0." .. nines:sub(1, -2) .. "8")
        + smallest))
      for _, case in ipairs {
        { nines, "1" }, { "-" .. nines, "-1" }, { nines, nines }, { nines, "0.1" },
        { nines, "0.0" }, { "1e37", smallest }, { "0." .. nines, smallest },
        { "1", smallest },
      } do
        local a, b = amount(case[1]), amount(case[2])
        raises("amount out of range", function() return a + b end)
        raises("more than 38 digits", function() return a - (-b) end)
        raises("amount out of range", sum, case)
      end
    end)

    it("with strings and whole numbers on either side", function()
      assert.equal("3.50", tostring(amount "1.50" + 2))
      assert.equal("3.50", tostring(2 + amount "1.50"))
      assert.equal("3.75", tostring("2.25" + amount "1.50"))
      assert.equal("0.75", tostring("2.25" - amount "1.50"))
      assert.equal("-0.75", tostring(amount "1.50":sub "2.25"))
      assert.equal("-1.50", tostring(amount "1.50":neg()))
      raises("'1,5' is no decimal number", function() return amount(1) + "1,5" end)
      raises("an empty string is no decimal number", amount(1).add, amount(1), "")
    end)
  end)

  describe("compares", function()
    it("as pen and paper do, at random", function()
      for _ = 1, 6000 do
        local x = any_fitting()
        local y = draw(4) == 1 and show(parse(x)) or any_fitting()
        local a, b, expected = exact(x), exact(y), compare(parse(x), parse(y))
        if a:cmp(b) ~= expected or b:cmp(a) ~= -expected or (a < b) ~= (expected < 0)
          or (a <= b) ~= (expected <= 0) or (a > b) ~= (expected > 0)
          or (a >= b) ~= (expected >= 0) or (a == b) ~= (expected == 0)
          or a:cmp(y) ~= expected then
          random.fail("%s and %s", x, y)
        end
        if a:sign() ~= compare(parse(x), parse "0") then random.fail("sign of %s", x) end
      end
    end)

    it("whatever the scales, even when a sum would not fit", function()
      assert.is_true(amount "1" == amount "1.00")
      assert.is_true(amount "0" == amount "-0.000")
      assert.equal(1, amount(nines):cmp(smallest))
      assert.equal(-1, amount("-" .. nines):cmp("-" .. smallest))
      assert.equal(-1, amount "0":cmp(smallest))
    end)

    it("with strings and whole numbers by cmp, and by order where Lua does", function()
      assert.equal(0, amount "1.00":cmp(1))
      assert.equal(-1, amount "1.00":cmp "1.01")
      if mixed_order then
        assert.is_true(amount "1.00" < 2 and "0.99" < amount "1.00")
        assert.is_true(amount "1.00" >= "1")
        assert.is_false(1 > amount "1.00")
        raises("no decimal number", function() return amount(1) < "x" end)
        raises("lost", function() return amount(1) < 0.5 end)
      end
    end)

    it("equal to another amount only", function()
      assert.is_false(amount(1) == 1)
      assert.is_false(amount "1" == "1")
      assert.is_false(amount(1) == io.stdout)
      assert.is_false(io.stdout == amount(1))
      assert.is_false(amount(1) == client)
      assert.is_true(amount(1) ~= nil)
    end)
  end)

  describe("in minor units", function()
    it("is a whole number, an integer where Lua has them", function()
      for _, case in ipairs {
        { "5000.25", "USD", 500025 }, { "-0.01", "EUR", -1 }, { "10000", "USD", 1000000 },
        { "1e3", "JPY", 1000 }, { "1.234", "KWD", 1234 }, { "1.5", "BHD", 1500 },
        { "1.00", "JPY", 1 }, { "2.50000", "USD", 250 }, { "0.0001", "CLF", 1 },
        { "7", 0, 7 }, { "1.000001", 6, 1000001 }, { smallest, 38, 1 },
        { "-0.00", "USD", 0 },
      } do
        local units = amount(case[1]):minor(case[2])
        assert.equal(case[3], units, case[1])
        if number_type then assert.equal("integer", number_type(units)) end
      end
    end)

    it("has no digits that the currency has not", function()
      failed("0.001 has more than 2 decimals", amount "0.001":minor "USD")
      failed("0.5 has more than 0 decimals", amount "0.5":minor "JPY")
      failed("1.2345 has more than 3 decimals", amount "1.2345":minor(3))
      failed("has more than 37 decimals", amount(smallest):minor(37))
    end)

    it("is what Lua's integers can hold", function()
      if number_type then
        assert.equal(math.maxinteger, amount "92233720368547758.07":minor "USD")
        assert.equal(math.mininteger, amount "-92233720368547758.08":minor "USD")
        failed("beyond this Lua's integers", amount "92233720368547758.08":minor "USD")
        failed("beyond this Lua's integers", amount "-92233720368547758.09":minor "USD")
      else
        assert.equal(2 ^ 53, amount "90071992547409.92":minor "USD")
        assert.equal(-2 ^ 53, amount "-90071992547409.92":minor "USD")
        failed("beyond this Lua's integers", amount "90071992547409.93":minor "USD")
        failed("beyond this Lua's integers", amount "-90071992547409.93":minor "USD")
      end
      failed("beyond this Lua's integers", amount(nines):minor(0))
      failed("beyond this Lua's integers", amount(nines):minor(2))
    end)

    it("agrees with pen and paper, at random", function()
      for _ = 1, 2000 do
        local text, places = makers.money(), draw(4) - 1
        local cents = parse(text)
        local units, message = amount(text):minor(places)
        local digits = padded(cents, math.max(places, 2))
        if places < 2 and digits:sub(places - 2):find "[^0]" then
          if units or not message:find "more than" then
            random.fail("%s %d: %s", text, places, tostring(units))
          end
        else
          local expected = tonumber(digits:sub(1, #digits + math.min(0, places - 2))) or 0
          if units ~= (cents[1] and -expected or expected) then
            random.fail("%s %d: %s", text, places, tostring(units))
          end
        end
      end
    end)

    it("needs a currency that ISO 4217 knows, or the number of decimals", function()
      for _, code in ipairs {
        "XUSD", "usd", "US", "", "USDT", "XAU", "XDR", "XXX", "DEM", "USD\0", "ABC", " ",
        "D A", "2", ("U"):rep(1000000), "\27[31m",
      } do
        failed("ISO 4217 has no decimals for", amount(1):minor(code))
        failed("ISO 4217 has no decimals for", amount(1):format(code))
      end
      assert.equal(1000000, amount "1":minor(6))
      for _, value in ipairs { -1, 39, 0.5, 1e300, math.huge, 0 / 0 } do
        raises("from 0 to 38", amount(1).minor, amount(1), value)
      end
      for _, value in ipairs { true, {}, amount(2) } do
        raises("got " .. type(value), amount(1).minor, amount(1), value)
        raises("got " .. type(value), amount(1).format, amount(1), value)
      end
      raises("got no value", amount(1).minor, amount(1))
    end)
  end)

  describe("as text", function()
    it("has the decimals of a currency", function()
      for _, case in ipairs {
        { "5000.25", "USD", "5000.25" }, { "10000", "EUR", "10000.00" },
        { "10000", "JPY", "10000" }, { "-0.5", "KWD", "-0.500" }, { "0", "USD", "0.00" },
        { "1.5000", "USD", "1.50" }, { "3.000", "JPY", "3" }, { "-0.00", "JPY", "0" },
        { "1.5", 4, "1.5000" }, { "12", 0, "12" }, { "1.5", nil, "1.5" },
      } do
        assert.equal(case[3], amount(case[1]):format(case[2]))
      end
      failed("1.005 has more than 2 decimals", amount "1.005":format "USD")
      failed("more than 38 digits", amount(nines):format "USD")
    end)

    it("has separators between thousands, if one is given", function()
      for _, case in ipairs {
        { "1234567.50", "1,234,567.50" }, { "123456.00", "123,456.00" },
        { "999", "999.00" },
        { "1000", "1,000.00" }, { "-999.99", "-999.99" }, { "-123456", "-123,456.00" },
        { "-1234567", "-1,234,567.00" }, { "0.12", "0.12" },
      } do
        assert.equal(case[2], amount(case[1]):format("USD", ","))
      end
      assert.equal("1'234.5678", amount "1234.5678":format(nil, "'"))
      assert.equal("12\226\128\175345", amount "12345":format("JPY", "\226\128\175"))
      assert.equal("12\000345", amount "12345":format(0, "\0"))
      assert.equal("12345.00", amount "12345":format("USD", ""))
      raises("string expected", amount(1).format, amount(1), "USD", 5)
      local long = amount(nines):format(nil, (" "):rep(100000))
      assert.equal(nines, (long:gsub(" ", "")))
    end)

    it("is what tostring and .. give", function()
      assert.equal("10000.00 USD", amount "10000.00" .. " USD")
      assert.equal("USD 0.10", "USD " .. amount "0.10")
      assert.equal("1.02.0", amount "1.0" .. amount "2.0")
      assert.equal("1.05", amount "1.0" .. 5)
      assert.is_false(pcall(function() return amount(1) .. nil end))
      assert.is_false(pcall(function() return amount(1) .. {} end))
      assert.equal("uqpay.amount", getmetatable(amount(1)).__name)
    end)
  end)

  it("is the nearest double as a number", function()
    for _ = 1, 3000 do
      local text = any_fitting()
      local value = amount(text):tonumber()
      if value ~= tonumber(text) + 0.0 then random.fail("%s: %.17g", text, value) end
      if number_type and number_type(value) ~= "float" then random.fail("%s", text) end
    end
  end)

  it("can neither be multiplied nor divided, nor be changed", function()
    assert.is_false(pcall(function() return amount(1) * 2 end))
    assert.is_false(pcall(function() return amount(1) / 2 end))
    assert.is_false(pcall(function() amount(1).scale = 2 end))
    assert.is_nil(amount(1).digits)
  end)
end)

describe("the sum", function()
  it("of a list is that of its elements, in any order", function()
    assert.equal("0", tostring(sum {}))
    assert.equal("6.75", tostring(sum { 1, "2.50", amount "3.25" }))
    for _ = 1, 200 do
      local list, expected = {}, parse "0"
      for n = 1, draw(20) do
        local text = makers.money()
        expected = plus(expected, parse(text))
        list[n] = draw(2) == 1 and text or exact(text)
      end
      local total = tostring(sum(list))
      for n = #list, 2, -1 do
        local other = draw(n)
        list[n], list[other] = list[other], list[n]
      end
      if total ~= show(expected) or tostring(sum(list)) ~= total then
        random.fail("%s, not %s", total, show(expected))
      end
    end
  end)

  it("leaves nothing out in silence", function()
    for _, case in ipairs {
      { 1, { nil, 1, 3 } }, { 2, { 1, nil, 3 } }, { 3, { 1, 2, nil, nil, 3 } },
      { 5, { 1, 2, 3, 4, [6] = 1 } }, { 2, { 1, [1e6] = 1 } },
    } do
      raises(("list[%d] is nil: a list without holes expected"):format(case[1]), sum,
        case[2])
    end
    raises("but it has the key 'n'", sum, { 1, 2, n = 2 })
    raises("but it has the key 'USD'", sum, { USD = "1.00" })
    raises("but it has the key 0", sum, { [0] = 1, 2 })
    raises("but it has the key 1.5", sum, { 1, [1.5] = 2 })
    raises("but it has a boolean as a key", sum, { 1, [true] = 2 })
    raises("without __index", sum, setmetatable({}, { __index = { 1, 2 } }))
    local short = { __len = function() return 1 end }
    assert.equal("3", tostring(sum(setmetatable({ 1, 2 }, short))))
    raises("bad element 2 to 'sum' ('1,5' is no decimal number)", sum, { 1, "1,5" })
    raises("bad element 1 to 'sum' (a float", sum, { 0.1 })
    raises("got boolean", sum, { false })
    for _, value in ipairs { "1", 5, true, amount(1) } do
      raises("table expected, got", sum, value)
    end
    raises("table expected, got", sum)
  end)

  it("of a function's results ends at nil, and fails with it", function()
    local function over(list, ...)
      local n, last = 0, { ... }
      return function()
        n = n + 1
        if list[n] then return list[n], "something else" end
        return nil, last[1], last[2]
      end
    end
    assert.equal("6.75", tostring(sum(over { 1, "2.50", amount "3.25" })))
    assert.equal("0", tostring(sum(over {})))
    local err = {}
    local total, message, third = sum(over({ 1, 2 }, "page 3 is lost", err))
    assert.is_nil(total)
    assert.equal("page 3 is lost", message)
    assert.equal(err, third)
    raises("bad element 2 to 'sum' (amount", sum, over { 1, true })
    raises("bad element 3 to 'sum' ('x'", sum, over { 1, 2, "x" })
    raises("boom", sum, function() error "boom" end)
  end)
end)

-- ISO 4217's exceptions, whole; the rest have two decimals.
describe("the currencies", function()
  local decimals = {
    [0] = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    [3] = "BHD IQD JOD KWD LYD OMR TND", [4] = "CLF UYW",
  }

  it("are those of ISO 4217, with its decimals", function()
    local expected, counts = {}, {}
    for places, codes in pairs(decimals) do
      for code in codes:gmatch "%a+" do expected[code] = places end
    end
    for n = 0, 26 ^ 3 - 1 do
      local code = string.char(65 + floor(n / 676), 65 + floor(n / 26) % 26, 65 + n % 26)
      local text = amount "1":format(code)
      if text then
        local places = #(text:match "%.(%d+)" or "")
        assert.equal(expected[code] or 2, places, code)
        counts[places] = (counts[places] or 0) + 1
      else
        assert.is_nil(expected[code], code)
      end
    end
    assert.same({ [0] = 17, [2] = 144, [3] = 7, [4] = 2 }, counts)
  end)

  it("have among them all that are in use, and those just withdrawn", function()
    local codes = "USD EUR GBP SGD HKD CNY AUD CAD CHF NZD SEK NOK DKK PLN CZK HUF RON "
      .. "TRY ILS ZAR AED SAR QAR EGP MAD NGN KES GHS INR PKR BDT LKR THB MYR IDR PHP "
      .. "TWD MOP BRL MXN ARS COP PEN UYU MGA MRU SLE VES VED XCD XCG ZWG ANG BGN HRK "
      .. "SLL ZWL"
    for code in codes:gmatch "%a+" do
      assert.equal("1.00", amount(1):format(code), code)
    end
  end)
end)

describe("amounts = \"exact\"", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  local fields = { "available_balance", "margin_balance", "frozen_balance" }

  it("returns the digits as sent, as amounts for arithmetic", function()
    local exactly = fixture.client { amounts = "exact" }
    for _, sent in ipairs { "number", "string" } do
      sandbox.settings { amounts = sent }
      for currency, texts in pairs {
        USD = { "5000.25", "10000", "2353.25" }, SGD = { "10000.00", "0", "-0.01" },
        XUSD = { "12345678901234567890.12", "9007199254740993", "0.10" },
      } do
        local balance = fixture.succeeded(exactly:balance(currency))
        for n, name in ipairs(fields) do
          assert.equal("userdata", type(balance[name]))
          assert.equal(texts[n], tostring(balance[name]))
          assert.is_true(balance[name] == amount(texts[n]))
        end
        assert.equal("string", type(balance.create_time))
      end
    end
    local balance = exactly:balance "USD"
    assert.equal("17,353.50", sum { balance.available_balance, balance.margin_balance,
      balance.frozen_balance }:format("USD", ","))
  end)

  it("is for a call or a client", function()
    local numbers = fixture.client()
    assert.equal(5000.25, numbers:balance("USD").available_balance)
    local balance = numbers:balance { currency = "USD", amounts = "exact" }
    assert.equal("5000.25", tostring(balance.available_balance))
    local amounts = fixture.client { amounts = "exact" }
    balance = amounts:balance("USD", { amounts = "string" })
    assert.equal("5000.25", balance.available_balance)
  end)

  local function answer(available, more)
    local body = ('{"balance_id":"b","currency":"USD","available_balance":%s,'
      .. '"margin_balance":0,"frozen_balance":0,"create_time":"","last_trade_time":"",'
      .. '"balance_status":"ACTIVE"%s}'):format(available, more or "")
    sandbox.fault { kind = "answer", body = body }
    return fixture.client():balance("USD", { amounts = "exact" })
  end

  it("makes amounts of the numbers in fields that are not known", function()
    local balance = fixture.succeeded(answer("1.50",
      ',"total":-12.50,"count":3,"name":"4","deep":[{"a":1e3},null,true]'))
    assert.equal("-12.50", tostring(balance.total))
    assert.equal(3, balance.count:minor(0))
    assert.equal("4", balance.name)
    assert.equal("1000", tostring(balance.deep[1].a))
    assert.equal(true, balance.deep[3])
  end)

  it("refuses what is beyond an amount's range", function()
    for _, text in ipairs { nines .. "9", "1e400", "1e-39", '"1e38"' } do
      local err = fixture.failed("schema", answer(text))
      assert.matches("available_balance: more than 38 digits: use amounts = \"string\"",
        err.message, 1, true)
    end
    local err = fixture.failed("schema", answer("1", ',"total":[1e400]'))
    assert.matches("more than 38 digits", err.message, 1, true)
    err = fixture.failed("schema", answer("1", ',"total":1e400'))
    assert.matches("total: more than 38 digits", err.message, 1, true)
    fixture.failed("schema", answer '"1,50"')
    assert.equal("-" .. nines, tostring(answer("-" .. nines).available_balance))
  end)
end)
