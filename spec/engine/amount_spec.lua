-- Numbers as text: only the grammar of JSON is accepted, and a conversion to a double
-- gives the nearest one.

local driver = require "spec.support.driver"
local engine = require "engine"
local random = require "spec.support.random"

-- Access to globals is slow in a spec, and there is much to compute.
local assert, ipairs, pairs, tonumber, tostring =
  assert, ipairs, pairs, tonumber, tostring
local abs, floor, huge, max, min = math.abs, math.floor, math.huge, math.max, math.min

-- ---------------------------------------------------------------------------------------
-- A slow oracle that converts nothing: is this double the nearest to that text? Whole
-- numbers of any size, least limb first.

local base = 10000000

-- big * factor + carry, in place; factor is at most the base.
local function times(big, factor, carry)
  carry = carry or 0
  for i = 1, #big do
    local value = big[i] * factor + carry
    big[i] = value % base
    carry = (value - big[i]) / base
  end
  while carry > 0 do
    big[#big + 1] = carry % base
    carry = floor(carry / base)
  end
  return big
end

local function times_power(big, root, exponent)
  local step = root == 10 and 7 or root == 5 and 10 or 23
  while exponent > 0 do
    local n = min(step, exponent)
    times(big, root ^ n)
    exponent = exponent - n
  end
  return big
end

local function from_digits(digits)
  local big = {}
  for last = #digits, 1, -7 do
    big[#big + 1] = tonumber(digits:sub(max(1, last - 6), last))
  end
  while big[#big] == 0 do big[#big] = nil end
  return big
end

local function to_digits(big)
  local parts = {}
  for i = #big, 1, -1 do parts[#parts + 1] = ("%07.0f"):format(big[i]) end
  return (table.concat(parts):gsub("^0+", ""))
end

-- Below 0, 0 or above 0.
local function compare(a, b)
  if #a ~= #b then return #a - #b end
  for i = #a, 1, -1 do
    if a[i] ~= b[i] then return a[i] - b[i] end
  end
  return 0
end

-- A literal's digits and power of ten, without the sign.
local function parse(text)
  local whole, rest = text:match "^-?(%d+)(.*)$"
  local fraction = rest:match "^%.(%d+)" or ""
  local exponent = tonumber(rest:match "[eE]([+-]?%d+)$" or "0")
  return whole .. fraction, exponent - #fraction
end

-- Compares the literal with factor * 2^power.
local function compare_literal(text, factor, power)
  local digits, exponent = parse(text)
  local left, right = from_digits(digits), factor
  times_power(exponent > 0 and left or right, 10, abs(exponent))
  times_power(power > 0 and right or left, 2, abs(power))
  return compare(left, right)
end

local two52, two53 = 2 ^ 52, 2 ^ 53

-- value = mantissa * 2^power, as the double has it.
local function split(value)
  local power = 0
  while value >= two53 do value, power = value / 2, power + 1 end
  while value < two52 and power > -1074 do value, power = value * 2, power - 1 end
  return value, power
end

local function whole(value) return from_digits(("%.0f"):format(value)) end

-- Half-way points belong to the even neighbour; below a power of two the next double is
-- only half as far.
local function is_nearest(text, value)
  if (1 / value < 0) ~= (text:sub(1, 1) == "-") then return false end
  if value == 0 then return not parse(text):find "[1-9]" end
  local mantissa, power = split(abs(value))
  local near = mantissa == two52 and power > -1074
  local even = mantissa % 2 == 0
  local below = times(whole(mantissa - 1), 4, near and 3 or 2)
  local low = compare_literal(text, below, power - 2)
  local high = compare_literal(text, times(whole(mantissa), 4, 2), power - 2)
  return (low > 0 or even and low == 0) and (high < 0 or even and high == 0)
end

local function is_out_of_range(text)
  return compare_literal(text, times(whole(two53 - 1), 2, 1), 970) >= 0
    or parse(text):find "[1-9]" ~= nil and compare_literal(text, { 1 }, -1075) <= 0
end

local function check_nearest(text)
  local value, why = engine.number_double(text)
  local good
  if value then good = is_nearest(text, value)
  else good = why == "range" and is_out_of_range(text) end
  if not good then
    random.fail("%s became %s", text, value and ("%.17g"):format(value) or why)
  end
end

-- The interpreter's own conversion, under the C locale.
local function check_like_lua(text)
  local value, why = engine.number_double(text)
  local theirs = driver.number(text) + 0.0
  local range = abs(theirs) == huge or theirs == 0 and parse(text):find "[1-9]"
  if range then theirs = nil end
  if value ~= theirs or not value and why ~= "range" then
    random.fail("%s became %s, not %s", text, tostring(value or why), tostring(theirs))
  end
end

-- ---------------------------------------------------------------------------------------
-- Random literals

local draw = random.generator()
local function digits(n) return random.digits(draw, n) end
local function sign() return draw(2) == 1 and "-" or "" end

local function integer(n) return (tostring(draw(9)) .. digits(n - 1)) end

local makers = {
  money = function()
    return sign() .. integer(draw(15)) .. "." .. digits(draw(4))
  end,
  long_mantissa = function()
    local n = 16 + draw(4)
    local text = integer(n)
    local point = draw(n - 1)
    return ("%s%s.%se%d"):format(sign(), text:sub(1, point), text:sub(point + 1),
      draw(61) - 31)
  end,
  short_with_exponent = function()
    return ("%s%s%s%s%d"):format(sign(), integer(draw(17)),
      random.pick(draw, { "e", "E" }), random.pick(draw, { "", "+", "-" }), draw(30))
  end,
  extreme = function()
    return ("%s%se%d"):format(sign(), integer(draw(20)), draw(690) - 355)
  end,
  long = function()
    return sign() .. integer(draw(60)) .. "." .. digits(draw(200))
  end,
}

-- The decimal digits half-way between a double and the next one, and what is a little
-- below and above.
local function halfway()
  local mantissa = two52 + floor(two52 * (draw(1000000) / 1000001)) + draw(1000)
  local power = draw(120) - 90
  local big = times(whole(mantissa), 2, 1)        -- times 2^(power - 1)
  local exact
  if power > 0 then
    exact = to_digits(times_power(big, 2, power - 1)) .. ".0"
  else
    local places = 1 - power
    local text = to_digits(times_power(big, 5, places))
    text = ("0"):rep(places + 1 - #text) .. text
    exact = text:sub(1, -places - 1) .. "." .. text:sub(-places)
  end
  local below = exact:gsub("([1-9])([0.]*)$", function(last, zeros)
    return tostring(tonumber(last) - 1):sub(1, 1) .. zeros:gsub("0", "9") .. "9999"
  end)
  return exact, below, exact .. "0000001"
end

-- ---------------------------------------------------------------------------------------

local accepted = {
  "0", "-0", "7", "10", "-1", "123456789", "0.0", "-0.0", "0.5", "10000.00", "-0.01",
  "1e3", "1E3", "1e+3", "1e-3", "1.5E+10", "0e0", "0E-0", "0.00e00", "1e007",
  "-1.25e-002", "12345678901234567890", "1e400", "-1e-400", ("9"):rep(1000),
  "0." .. ("0"):rep(1000) .. "1",
}

local refused = {
  "", "-", "+", "+1", " 1", "1 ", "\t1", "1\n", "01", "-01", "00", "00.5", "-00", ".5",
  "-.5", "5.", "5.e3", "1.e", "1e", "1e+", "1e-", "1ee3", "1e3.5", "1e3e3", "1..5",
  "1.5.5", "--1", "-+1", "1-", "1+1", "0x10", "0x1p3", "1f", "1d", "1L", "1_000", "1,000",
  "1,5", "1.000,5", "1'000", "NaN", "nan", "-nan", "Infinity", "-Infinity", "inf", "Inf",
  "1e1000x", "1\0", "\0001", "1\0002", "\194\1601", "\239\188\145", "\217\161", "\2551",
  "1/2", "1%", "$1", "1 000", "O", "e5", "-e5", "E", ".", "-.", ".e1",
}

local show = random.show

describe("a number's text", function()
  it("is accepted if it is JSON's", function()
    for _, text in ipairs(accepted) do
      assert.is_true(engine.number_valid(text), show(text))
      assert.equal(#text, engine.number_scan(text), show(text))
    end
  end)

  it("is rejected if it is anything else", function()
    for _, text in ipairs(refused) do
      assert.is_false(engine.number_valid(text), show(text))
    end
  end)

  it("is rejected with any other byte before or after it", function()
    for byte = 0, 255 do
      local c = string.char(byte)
      if not c:find "%d" then
        assert.is_false(engine.number_valid("12.5" .. c), show(c))
        assert.equal(c == "-", engine.number_valid(c .. "12.5"), show(c))
      end
    end
  end)

  it("is scanned to the end of its longest number", function()
    for text, length in pairs {
      ["1"] = 1, ["01"] = 1, ["-01"] = 2, ["1.5x"] = 3, ["1."] = 1, ["1.x"] = 1,
      ["-1.-"] = 2, ["1e"] = 1, ["1e+"] = 1, ["1e+x"] = 1, ["1e5.5"] = 3, ["1.5e"] = 3,
      ["1.5e-"] = 3, ["1.5e-7}"] = 6, ["0x10"] = 1, ["-"] = 0, [""] = 0, ["x1"] = 0,
      ["--1"] = 0, [".5"] = 0, ["1,2"] = 1, ["5]"] = 1, ["0e0e"] = 3, ["1-1"] = 1,
    } do
      assert.equal(length, engine.number_scan(text), text)
    end
  end)

  it("ends where it is said to end, whatever bytes follow", function()
    local text = "-120.50e+10"
    local lengths = { 0, 2, 3, 4, 4, 6, 7, 7, 7, 10, 11 }
    for n, length in ipairs(lengths) do
      assert.equal(length, engine.number_scan(text, n), text:sub(1, n))
      assert.equal(length == n, engine.number_valid(text, n), text:sub(1, n))
    end
    assert.equal(12, engine.number_double("123", 2))
    assert.equal(1.5, engine.number_double("1.57e300", 3))
    local long = ("7"):rep(70)
    assert.equal(tonumber(("7"):rep(65)) + 0.0, engine.number_double(long, 65))
  end)

  it("is accepted as by a simple parser, at random", function()
    local pieces = { "0", "1", "9", "00", "12", "-", "+", ".", "e", "E", "x", " ", "," }
    for _ = 1, 10000 do
      local list = {}
      for i = 1, draw(7) do list[i] = random.pick(draw, pieces) end
      local text = table.concat(list)
      local int, rest = text:match "^-?(%d+)(.*)$"
      local good = int ~= nil and (int == "0" or int:sub(1, 1) ~= "0")
      if good then
        rest = rest:gsub("^%.%d+", "", 1):gsub("^[eE][+-]?%d+", "", 1)
        good = rest == ""
      end
      if engine.number_valid(text) ~= good then random.fail("%s", show(text)) end
    end
  end)
end)

describe("a number's double", function()
  it("is the nearest one where that is hard", function()
    local hard = {
      -- what the API sends
      "5000.25", "10000", "2353.25", "10000.00", "-0.01", "0.1", "0.2", "0.3", "111.11",
      "12345678901234567890.12", "0.10", "1e3", "100.02", "99999999999.99",
      -- around 2^53
      "9007199254740991", "9007199254740992", "9007199254740993", "9007199254740994",
      "9007199254740995", "9007199254740996", "9007199254740997", "-9007199254740993",
      "9007199254740992.5", "9007199254740993.0", "9007199254740993.1",
      "9007199254740993.00000000000000000000000000000000001",
      "9007199254740992.99999999999999999999999999999999999",
      "9007199254740992.9", "900719925474099.25", "90071992547409.925",
      "9007199254740991.5", "4503599627370496.5", "4503599627370497.5",
      "4503599627370495.75", "9007199254740991e1", "18014398509481985",
      "18446744073709551615", "18446744073709551616", "9223372036854775807",
      "9223372036854775808", "9223372036854776832", "9223372036854776833",
      -- powers of ten around the last exact one
      "1e22", "1e23", "9e22", "1e-22", "1e-23", "123456789012345678e-22", "8.5e22",
      "9007199254740992e22", "9007199254740993e-22", "1e21", "1e15", "1e16", "1e17",
      "999999999999999999", "1000000000000000000", "0.000000000000000001",
      "0.1234567890123456789", "123456789012345.678", "0.3000000000000000166",
      -- half-way between 1 and its neighbours
      "1.00000000000000011102230246251565404236316680908203125",
      "1.00000000000000011102230246251565404236316680908203124999999",
      "1.000000000000000111022302462515654042363166809082031250000001",
      "0.99999999999999994448884876874217297881841659545898437500",
      "0.999999999999999944488848768742172978818416595458984374999",
      "1.00000000000000033306690738754696212708950042724609375",
      -- subnormal, and the edge above them
      "4.9406564584124654e-324", "5e-324", "3e-324", "2.4703282292062328e-324",
      "2.2250738585072014e-308", "2.2250738585072011e-308", "2.2250738585072012e-308",
      "2.22507385850720113605740979670913197593481954635164564802342610972e-308",
      "1e-320", "1.5e-323", "7.4109846876186981e-324", "-1e-310",
      -- the largest
      "1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623158079e308",
      "-1.7976931348623157e308", "179769313486231570000e288",
      -- long
      ("9"):rep(308), "1" .. ("0"):rep(300), "0." .. ("0"):rep(300) .. "1",
      "0." .. ("3"):rep(800), ("1"):rep(60) .. "." .. ("1"):rep(800),
      "0.5" .. ("0"):rep(800),
      "1" .. ("0"):rep(400) .. "e-400", "0." .. ("0"):rep(400) .. "1e+401",
    }
    for _, text in ipairs(hard) do
      check_nearest(text)
      check_like_lua(text)
      assert.is_number(engine.number_double(text), text)
    end
  end)

  it("is right for well-known numbers", function()
    for text, value in pairs {
      ["0"] = 0, ["1"] = 1, ["-1"] = -1, ["0.5"] = 0.5, ["-0.25"] = -0.25,
      ["1e3"] = 1000, ["125e-3"] = 0.125, ["9007199254740993"] = 2 ^ 53,
      ["9007199254740995"] = 2 ^ 53 + 4,
      ["5e-324"] = 2 ^ -1074, ["2.2250738585072014e-308"] = 2 ^ -1022,
      ["1.7976931348623157e308"] = (2 - 2 ^ -52) * 2 ^ 1023,
      ["18446744073709551616"] = 2 ^ 64, ["1" .. ("0"):rep(400) .. "e-400"] = 1,
      ["1.00000000000000011102230246251565404236316680908203125"] = 1,
      ["1.000000000000000111022302462515654042363166809082031250000001"] = 1 + 2 ^ -52,
    } do
      assert.equal(value, engine.number_double(text), text)
    end
  end)

  it("keeps the sign of zero, in every way to write it", function()
    for _, text in ipairs {
      "0", "0.0", "0.000", "0e5", "0E-99999999999999999999", "0.0e99999999999999999999",
      "0.00000000000000000000", "0." .. ("0"):rep(500),
    } do
      assert.equal(0, engine.number_double(text), text)
      assert.equal(huge, 1 / engine.number_double(text), text)
      assert.equal(-huge, 1 / engine.number_double("-" .. text), text)
    end
  end)

  it("is an error if none is near", function()
    for _, text in ipairs {
      "1e309", "1e400", "1.7976931348623159e308", "179769313486231590000e288",
      ("9"):rep(309), "1e99999999999999999999", "123e+2147483647", "0.1e4294967296",
      "1e-324", "2e-324", "1e-400", "0.1e-99999999999999999999", "1e-2147483648",
      "2.4703282292062327e-324", "0." .. ("0"):rep(400) .. "1",
    } do
      for _, signed in ipairs { text, "-" .. text } do
        local value, why = engine.number_double(signed)
        assert.is_nil(value, signed)
        assert.equal("range", why)
      end
    end
  end)

  it("does not depend on how many zeros are written", function()
    local value = engine.number_double "5000.25"
    for _, text in ipairs {
      "5000.250", "5000.25000000000000000000", "5000.25" .. ("0"):rep(100), "500025e-2",
      "0.500025e4", "5.00025E+003", "50002500000000000000000000e-22",
    } do
      assert.equal(value, engine.number_double(text), text)
    end
  end)

  for name, count in pairs {
    money = 3000, long_mantissa = 3000, short_with_exponent = 3000, extreme = 500,
    long = 300,
  } do
    it("is the nearest one: " .. name:gsub("_", " ") .. ", at random", function()
      for _ = 1, count do check_nearest(makers[name]()) end
    end)
    it("is the C locale's: " .. name:gsub("_", " ") .. ", at random", function()
      for _ = 1, 3 * count do check_like_lua(makers[name]()) end
    end)
  end

  it("is the nearest one: half-way between two, and on either side", function()
    for _ = 1, 400 do
      local exact, below, above = halfway()
      check_nearest(exact)
      check_nearest(below)
      check_nearest(above)
    end
  end)

  it("comes from any number of digits", function()
    for n = 1, 200 do
      local digits_only = ("7"):rep(n)
      check_nearest(digits_only)
      check_nearest("-" .. digits_only)
      check_nearest("0." .. digits_only)
    end
  end)

  it("comes from a million digits, too", function()
    assert.equal(1 / 3, engine.number_double("0." .. ("3"):rep(1000000)))
    local value, why = engine.number_double(("3"):rep(1000000))
    assert.is_nil(value)
    assert.equal("range", why)
  end)

  it("does not change the process's locale", function()
    local before = os.setlocale()
    engine.number_double "12345678901234567890.12"
    assert.equal(before, os.setlocale())
  end)
end)
