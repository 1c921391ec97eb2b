-- Times of the API become Unix seconds, independent of locale and TZ; anything else is an
-- error.

local driver = require "spec.support.driver"
local engine = require "engine"
local random = require "spec.support.random"
local uqpay = require "uqpay"

local time = uqpay.parse_time
local floor = math.floor
local number_type = rawget(math, "type")     -- Lua 5.3 and later
local draw = random.generator()

-- The result of a valid time: exactly two values.
local function moment(text, ...)
  local seconds, fraction = time(text, ...)
  if not seconds then error(("%s: %s"):format(random.show(text), fraction), 2) end
  assert.equal(2, select("#", time(text, ...)))
  return seconds, fraction
end

local function refused(message, text, ...)
  assert.equal(2, select("#", time(text, ...)))
  local seconds, got = time(text, ...)
  assert.is_nil(seconds, random.show(text:sub(1, 60)))
  assert.matches(message, got, 1, true)
  assert.is_nil(got:find "%c")
  assert.is_true(#got < 160)
end

local function raises(message, ...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.matches(message, err, 1, true)
end

-- The calendar, month by month.
local function is_leap(year)
  return year % 4 == 0 and year % 100 ~= 0 or year % 400 == 0
end
local lengths = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
local function length(year, month)
  return lengths[month] + (month == 2 and is_leap(year) and 1 or 0)
end

describe("a time", function()
  it("is right for well-known times", function()
    for text, seconds in pairs {
      ["1970-01-01T00:00:00Z"] = 0, ["2024-03-21T17:17:32+08:00"] = 1711012652,
      ["2024-03-21T09:17:32Z"] = 1711012652, ["2024-03-21T03:47:32-05:30"] = 1711012652,
      ["2001-09-09T01:46:40Z"] = 1000000000, ["2033-05-18T03:33:20Z"] = 2000000000,
      ["2038-01-19T03:14:08Z"] = 2 ^ 31, ["1969-12-31T23:59:59Z"] = -1,
      ["1901-12-13T20:45:52Z"] = -2 ^ 31, ["2106-02-07T06:28:16Z"] = 2 ^ 32,
      ["2000-02-29T12:00:00Z"] = 951825600, ["1900-03-01T00:00:00Z"] = -2203891200,
      ["9999-12-31T23:59:59Z"] = 253402300799, ["0002-01-01T00:00:00Z"] = -62104060800,
      ["1970-01-01T00:00:00-23:59"] = 86340, ["1970-01-01T00:00:00+23:59"] = -86340,
      ["1970-01-01T00:00:00-00:00"] = 0, ["2025-09-09T15:50:54+00:00"] = 1757433054,
    } do
      local got, fraction = moment(text)
      assert.equal(seconds, got, text)
      assert.equal(0, fraction)
      if number_type then
        assert.equal("integer", number_type(got))
        assert.equal("float", number_type(fraction))
      end
      local again, nanoseconds = engine.datetime(text)
      assert.same({ seconds, 0 }, { again, nanoseconds })
    end
  end)

  it("may have a space or lower-case letters", function()
    for _, text in ipairs {
      "2024-03-21T09:17:32Z", "2024-03-21t09:17:32z", "2024-03-21 09:17:32Z",
      "2024-03-21 17:17:32+08:00", "2024-03-21t17:17:32+08:00",
    } do
      assert.equal(1711012652, (moment(text)))
    end
  end)

  it("may have a fraction of one to nine digits", function()
    for digits, fraction in pairs {
      ["5"] = 0.5, ["48"] = 0.48, ["123"] = 0.123, ["000"] = 0, ["0001"] = 0.0001,
      ["123456789"] = 0.123456789, ["999999999"] = 0.999999999, ["000000001"] = 1e-9,
      ["100000000"] = 0.1,
    } do
      for _, zone in ipairs { "Z", "+08:00" } do
        local seconds, got = moment("2024-03-21T17:17:39." .. digits .. zone)
        assert.equal(fraction, got, digits)
        assert.equal(zone == "Z" and 1711041459 or 1711012659, seconds)
      end
      assert.equal(fraction, (select(2, moment("1969-12-31T23:59:59." .. digits .. "Z"))))
      assert.equal(-1, (moment("1969-12-31T23:59:59." .. digits .. "Z")))
    end
    for _ = 1, 2000 do
      local digits = random.digits(draw, draw(9))
      local _, fraction = moment("2024-03-21T17:17:39." .. digits .. "Z")
      if fraction ~= tonumber("0." .. digits) then random.fail("%s", digits) end
    end
    for _, digits in ipairs {
      "", "1234567890", "0000000000", ("1"):rep(1000000), "-5", "x",
    } do
      refused("is no time", "2024-03-21T17:17:39." .. digits .. "Z")
    end
    refused("is no time", "2024-03-21T17:17:39,5Z")
  end)

  it("is right for each day of all years of four digits", function()
    local days = -719162 + 365           -- 0002-01-01
    for year = 2, 9999 do
      for month = 1, 12 do
        local first = ("%04d-%02d-01T00:00:00Z"):format(year, month)
        if time(first) ~= days * 86400 then
          error(("%s is %s"):format(first, tostring(time(first))))
        end
        days = days + length(year, month)
        local last = ("%04d-%02d-%02dT00:00:00Z"):format(year, month, length(year, month))
        if time(last) ~= (days - 1) * 86400 then error(last) end
      end
    end
    assert.equal(2932897, days)          -- 10000-01-01
  end)

  it("is right for every second of a day, and every zone", function()
    for second = 0, 86399 do
      local text = ("2024-02-29T%02d:%02d:%02dZ"):format(floor(second / 3600),
        floor(second / 60) % 60, second % 60)
      if time(text) ~= 1709164800 + second then error(text) end
    end
    for minutes = -1439, 1439 do
      local n = math.abs(minutes)
      local text = ("1970-01-01T00:00:00%s%02d:%02d"):format(minutes < 0 and "-" or "+",
        floor(n / 60), n % 60)
      if time(text) ~= -minutes * 60 then error(text) end
    end
  end)

  it("is parsed as the C library formats it, at random", function()
    for _ = 1, 3000 do
      local seconds = (draw(2000001) - 1000001) * 2000 + draw(2000)
      local text = os.date("!%Y-%m-%dT%H:%M:%S", seconds)
      if time(text .. "Z") ~= seconds or time(text, "Z") ~= seconds then
        random.fail("%s is not %d", text, seconds)
      end
    end
  end)

  it("does not depend on TZ", function()
    for _, zone in ipairs { "UTC", "Asia/Singapore", "XYZ+11:30" } do
      local text = driver.output(driver.command("env", "TZ=" .. zone,
        os.getenv "UQPAY_LUA", "-e", ([[package.cpath = %q
        local uqpay = require "uqpay"
        local seconds, fraction = uqpay.parse_time "2024-03-21T17:17:32.5+08:00"
        print(("%%d"):format(seconds), fraction)]]):format(package.cpath)) .. " 2>&1")
      assert.equal("1711012652\t0.5\n", driver.pointed(text))
    end
  end)

  describe("without a zone", function()
    local text = "2024-05-09 15:52:23"

    it("is an error", function()
      refused("'2024-05-09 15:52:23' does not say its zone", text)
      refused("does not say its zone", "2024-05-09T15:52:23.25")
      refused("does not say its zone", text, nil)
      assert.same({ nil, "zone" }, { engine.datetime(text) })
    end)

    it("has the zone that the caller gives", function()
      assert.equal(1715269943, (moment(text, "Z")))
      assert.equal(1715269943, (moment(text, "z")))
      assert.equal(1715241143, (moment(text, "+08:00")))
      assert.equal(1715289743, (moment(text, "-05:30")))
      assert.same({ 1715241143, 0.5 }, { moment("2024-05-09T15:52:23.5", "+08:00") })
    end)

    it("is the only kind that the caller's zone applies to", function()
      assert.equal(1711012652, (moment("2024-03-21T17:17:32+08:00", "-11:00")))
      assert.equal(1711012652, (moment("2024-03-21T09:17:32Z", "-11:00")))
    end)

    it("needs a valid zone", function()
      for _, zone in ipairs {
        "", "UTC", "+8", "+08", "+0800", "08:00", "+08:00 ", " +08:00", "+24:00",
        "+08:60", "+8:00", "Z\0", "local", "\226\136\14608:00", ("+08:00"):rep(1000),
      } do
        raises("offset such as", time, text, zone)
        raises("#2 to", time, "2024-03-21T09:17:32Z", zone)
      end
      for _, zone in ipairs { 8, true, {}, print } do
        raises("string expected, got " .. type(zone), time, text, zone)
      end
    end)
  end)

  it("is absent if it is empty or in the years of the zero date", function()
    for _, text in ipairs {
      "", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00",
      "0001-01-01T08:05:43+08:05",
      "0000-12-31T16:00:00-08:00", "0001-01-01 00:00:00", "0000-00-00 00:00:00",
      "0001-01-01T00:00:00.000Z", "0001-12-31T23:59:59Z",
    } do
      refused("no date", text)
      assert.equal("no date", (select(2, time(text, "+08:00"))))
      assert.same({ nil, "none" }, { engine.datetime(text) })
    end
  end)

  it("is rejected if there is no such time", function()
    local list = {
      "2023-02-29T00:00:00Z", "2024-02-30T00:00:00Z", "1900-02-29T00:00:00Z",
      "2100-02-29T00:00:00Z", "2024-00-10T00:00:00Z", "2024-13-10T00:00:00Z",
      "2024-01-00T00:00:00Z", "2024-01-32T00:00:00Z", "2024-04-31T00:00:00Z",
      "2024-06-31T00:00:00Z", "2024-09-31T00:00:00Z", "2024-11-31T00:00:00Z",
      "2024-99-99T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T25:00:00Z",
      "2024-01-01T00:60:00Z", "2024-01-01T00:99:00Z", "2016-12-31T23:59:60Z",
      "2024-01-01T00:00:60Z", "2024-01-01T00:00:61Z", "2024-01-01T00:00:00+24:00",
      "2024-01-01T00:00:00+00:60", "2024-01-01T00:00:00-99:99",
      "2024-13-01 00:00:00", "2024-01-01 24:00:00",      -- before it asks for the zone
    }
    for _, text in ipairs(list) do
      refused("is no time", text)
      assert.same({ nil, "bad" }, { engine.datetime(text) })
    end
    for year = 1896, 2104 do
      for month = 1, 12 do
        refused("is no time", ("%d-%02d-%02dT00:00:00Z"):format(year, month,
          length(year, month) + 1))
      end
    end
  end)

  it("is rejected if it is anything else", function()
    local list = {
      " ", "x", "now", "2024", "2024-03", "2024-03-21", "0001-01-01", "17:17:32",
      "2024-03-21T", "2024-03-21T17:17", "2024-03-21T17:17Z", "2024-03-21T17:17:3Z",
      "2024-03-21X17:17:32Z", "2024-03-21_17:17:32Z", "2024/03/21 17:17:32Z",
      "24-03-21T17:17:32Z", "2024-3-21T17:17:32Z", "02024-03-21T17:17:32Z",
      "+2024-03-21T17:17:32Z", "-2024-03-21T17:17:32Z", "2024-03-21T 7:17:32Z",
      "2024-03-21T+7:17:32Z", " 2024-03-21T17:17:32Z", "2024-03-21T17:17:32Z ",
      "2024-03-21T17:17:32Z\n", "2024-03-21T17:17:32ZZ", "2024-03-21T17:17:32Zulu",
      "2024-03-21T17:17:32 Z", "2024-03-21 17:17:32 +08:00", "2024-03-21T17:17:32+8:00",
      "2024-03-21T17:17:32+0800", "2024-03-21T17:17:32+08", "2024-03-21T17:17:32+08:0",
      "2024-03-21T17:17:32+08:000", "2024-03-21T17:17:32+-8:00",
      "2024-03-21T17:17:32+08:+1",
      "2024-03-21T17:17:32*08:00", "2024-03-21T17:17:32+08.00",
      "2024-03-21T17:17:32Z+08:00",
      "2024-03-21T17:17:32\0", "2024-03-21T17:17:32Z\0", "\0002024-03-21T17:17:32Z",
      "2024-03-21\00017:17:32Z", "2024-W12-4T17:17:32Z", "20240321T171732Z", "1711012652",
      "Thu, 21 Mar 2024 09:17:32 GMT", "\217\162024-03-21T17:17:32Z", "\27[31m",
      ("2"):rep(1000000), "2024-03-21T17:17:32" .. ("+08:00"):rep(100000),
      ("\0"):rep(1000000), "0001-01-01T00:00:00Zero",
    }
    for _, text in ipairs(list) do
      refused("is no time", text)
      assert.same({ nil, "bad" }, { engine.datetime(text) })
    end
  end)

  it("is rejected with any byte changed to one that does not belong there", function()
    local text = "2024-03-21T17:17:32.5+08:00"
    for at = 1, #text do
      local own = text:sub(at, at)
      for byte = 0, 255 do
        local c = string.char(byte)
        local fits = own:find "%d" and c:find "%d" or own == "T" and c:find "[Tt ]"
          or own == "+" and (c == "-" or c:find "%d") or c == own
        local changed = text:sub(1, at - 1) .. c .. text:sub(at + 1)
        if not fits and time(changed) then error(random.show(changed)) end
      end
      if at < #text and not ({ [19] = true, [21] = true })[at] then
        refused("is no time", text:sub(1, at))
        assert.is_nil((engine.datetime(text:sub(1, at)))) -- and no byte is read beyond
      end
    end
  end)

  it("may be any bytes: the results keep their types", function()
    local pieces = { "2024", "-", "03", "T", " ", "17", ":", "32", ".", "5", "Z", "+",
      "08",
      "\0", "x", "\255", "00", "0001" }
    for _ = 1, 5000 do
      local list = {}
      for n = 1, draw(16) do list[n] = random.pick(draw, pieces) end
      local text = table.concat(list)
      local seconds, second = time(text, random.pick(draw, { "Z", "-08:00" }))
      if type(second) ~= (seconds and "number" or "string") then
        random.fail("%s", random.show(text))
      end
    end
  end)

  it("is a string", function()
    for _, value in ipairs { 1711012652, true, {}, print } do
      raises("string expected, got " .. type(value), time, value)
    end
    raises("#1 to", time, nil)
    raises("#1 to", time)
  end)
end)
