-- The decision after a failed attempt, a pure function: clock, deadline and random number
-- are arguments, so nothing here waits. And the parser of Retry-After.

local driver = require "spec.support.driver"
local engine = require "engine"

local function with(defaults, changes)
  local all = {}
  for name, value in pairs(defaults) do all[name] = value end
  for name, value in pairs(changes or {}) do all[name] = value end
  return all
end

-- Decides with changes to a case in which another attempt is made.
-- Returns again, wait, stopped.
local function decide(changes)
  local case = with({
    max_retries = 2, delay = 1, delay_max = 8, failure = { status = 503 }, attempt = 1,
    now = 100, deadline = 1000, chance = 0,
  }, changes)
  return engine.retry(case, case.failure, case.attempt, case.now, case.deadline,
    case.chance)
end

local function again(wait, changes)
  local yes, actual, stopped = decide(changes)
  assert.is_nil(stopped)
  assert.is_true(yes)
  assert.near(wait, actual, 1e-9)
end

local function stopped(why, changes)
  local yes, wait, actual = decide(changes)
  assert.equal(why, actual)
  assert.is_false(yes)
  assert.equal(0, wait)
end

describe("what is retryable", function()
  it("is a lost response, whatever its status", function()
    for _, status in ipairs { 0, 200, 201, 301, 400, 401, 404, 503 } do
      assert.is_true(engine.retryable { outcome_unknown = true, status = status }, status)
    end
  end)

  it("is a request that is still processing", function()
    assert.is_true(engine.retryable { processing = true, status = 400 })
    assert.is_true(engine.retryable { processing = true })
  end)

  it("are the statuses 408, 429 and 500 to 599, and no other", function()
    for status = 0, 999 do
      local expected = status == 408 or status == 429 or status >= 500 and status <= 599
      assert.equal(expected, engine.retryable { status = status }, status)
    end
  end)

  it("is not a refused token, nor Retry-After without a status for it", function()
    assert.is_false(engine.retryable { status = 401, token_refused = true })
    assert.is_false(engine.retryable { token_refused = true })
    assert.is_false(engine.retryable { retry_after = 5 })
    assert.is_false(engine.retryable { status = 400, retry_after = 5 })
  end)
end)

describe("a failure that is not retryable", function()
  it("ends the call in any case", function()
    for _, failure in ipairs {
      {}, { status = 200 }, { status = 400 }, { status = 401, token_refused = true },
      { status = 403 }, { status = 404 }, { status = 409 }, { status = 422 },
      { status = 302 }, { status = 400, retry_after = 1 },
    } do
      stopped("not_retryable", { failure = failure })
      stopped("not_retryable", { failure = failure, attempt = 99, deadline = 0 })
    end
  end)
end)

describe("the number of retries", function()
  it("is max_retries, and no more", function()
    for max = 0, 5 do
      for attempt = 1, max do
        assert.is_true((decide { max_retries = max, attempt = attempt }))
      end
      for attempt = max + 1, max + 3 do
        stopped("max_retries", { max_retries = max, attempt = attempt })
      end
    end
  end)

  it("is the reported reason if the deadline is reached as well", function()
    stopped("max_retries", { attempt = 3, deadline = 0 })
  end)
end)

describe("the wait", function()
  it("doubles from the delay to its maximum", function()
    local waits = { 1, 2, 4, 8, 8, 8 }
    for attempt, wait in ipairs(waits) do
      again(wait / 2, { max_retries = 100, attempt = attempt, chance = 0 })
    end
    local uneven = { 3, 6, 10, 10 }
    for attempt, wait in ipairs(uneven) do
      again(wait / 2, { max_retries = 9, attempt = attempt, delay = 3, delay_max = 10 })
    end
  end)

  it("stays at its maximum however often it doubles", function()
    for _, attempt in ipairs { 64, 100, 1000, 2000, 100000 } do
      again(4, { max_retries = 2000000000, attempt = attempt })
      again(2.5,
        { max_retries = 2000000000, attempt = attempt, delay = 1e-9, delay_max = 5 })
    end
  end)

  it("does not exceed the maximum the first time", function()
    again(4, { delay = 100, delay_max = 8 })
    again(2, { delay = 4, delay_max = 4, attempt = 2 })
  end)

  it("is 0 for a delay of 0", function()
    for attempt = 1, 5 do
      again(0, { max_retries = 9, delay = 0, attempt = attempt, chance = 0.9 })
      again(0, { max_retries = 9, delay = 0, delay_max = 0, attempt = attempt })
    end
  end)

  it("is random in the upper half of its step", function()
    for _, case in ipairs { { 1, 1 }, { 2, 2 }, { 3, 4 }, { 4, 8 }, { 5, 8 } } do
      local attempt, step = case[1], case[2]
      for chance = 0, 0.999, 0.037 do
        again(step / 2 + chance * step / 2,
          { max_retries = 9, attempt = attempt, chance = chance })
      end
      local _, least = decide { max_retries = 9, attempt = attempt, chance = 0 }
      local _, most = decide { max_retries = 9, attempt = attempt, chance = 1 - 2 ^ -53 }
      assert.equal(step / 2, least)
      assert.is_true(most > 0.99 * step and most <= step)
    end
  end)

  it("is what the server asks for, if that is longer", function()
    for _, seconds in ipairs { 0.6, 1, 2, 30, 600 } do
      again(seconds, { failure = { status = 429, retry_after = seconds } })
      again(seconds, { failure = { status = 503, retry_after = seconds } })
    end
    again(3600, { deadline = 100000, failure = { status = 429, retry_after = 3600 } })
  end)

  it("is its own, if the server asks for less or nothing", function()
    for _, seconds in ipairs { 0, 0.1, 0.5 } do
      again(0.5, { failure = { status = 429, retry_after = seconds } })
    end
    again(4,
      { max_retries = 9, attempt = 5, failure = { status = 429, retry_after = 3 } })
    again(8 * 0.75, { max_retries = 9, attempt = 4, chance = 0.5,
      failure = { status = 429, retry_after = 5 } })
  end)

  it("exceeds its maximum only by Retry-After", function()
    again(20,
      { delay = 0.01, delay_max = 0.02, failure = { status = 503, retry_after = 20 } })
  end)
end)

describe("the deadline", function()
  it("is later than the end of each wait", function()
    again(0.5, { now = 100, deadline = 100.501 })
    stopped("deadline", { now = 100, deadline = 100.5 })
    stopped("deadline", { now = 100, deadline = 100.499 })
    stopped("deadline", { now = 100, deadline = 100 })
    stopped("deadline", { now = 101, deadline = 100 })
  end)

  it("is compared with the random wait", function()
    again(0.75, { now = 100, deadline = 100.8, chance = 0.5 })
    stopped("deadline", { now = 100, deadline = 100.8, chance = 0.7 })
  end)

  it("is compared with Retry-After", function()
    again(5, { deadline = 105.5, failure = { status = 429, retry_after = 5 } })
    for _, seconds in ipairs { 5, 5.5, 60, 3600 } do
      stopped("deadline",
        { deadline = 105, failure = { status = 503, retry_after = seconds } })
    end
  end)

  it("stops even a wait of 0 once it is reached", function()
    stopped("deadline", { delay = 0, now = 100, deadline = 100 })
    again(0, { delay = 0, now = 100, deadline = 100.001 })
  end)

  it("is exact far from the clock's zero", function()
    again(0.5, { now = 4e9, deadline = 4e9 + 0.6 })
    stopped("deadline", { now = 4e9, deadline = 4e9 + 0.5 })
  end)
end)

describe("Retry-After in seconds", function()
  it("is accepted from 1 to 3600, with leading zeros or without", function()
    for seconds = 1, 3600 do
      assert.equal(seconds, engine.retry_after(tostring(seconds), 0))
    end
    for _, text in ipairs { "007", "00007", ("0"):rep(250) .. "7" } do
      assert.equal(7, engine.retry_after(text, 1e9), text)
    end
  end)

  it("is ignored if it is 0, huge, or not a whole number", function()
    for _, text in ipairs {
      "", "0", "00", "3601", "99999", "86400", "4294967297", "18446744073709551617",
      ("9"):rep(255), "1" .. ("0"):rep(254), "-1", "-5", "+5", "5.0", "0.5", "1e2", "5s",
      "5 ", " 5", "5,5", "5;", "0x10", "soon", "two", "NaN", "inf", "\1", "5\0015",
      "\2555", "1 2", "1_0", "1'000", "-0", "5-", "\195\1781",
    } do
      for _, now in ipairs { 0, 1e9, 4e9 } do
        assert.equal(0, engine.retry_after(text, now), text)
      end
    end
  end)
end)

describe("Retry-After as a date", function()
  local day = 86400

  -- The simple way: year by year, month by month.
  local lengths = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
  local names = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
    "Nov", "Dec" }
  local weekdays = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" }

  local function is_leap(year)
    return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  end

  -- Calls visit(unix seconds at midnight, "Thu, 01 Jan 1970") for each day to the last
  -- year's end.
  local function each_day(last_year, visit)
    local days = 0
    for year = 1970, last_year do
      for month = 1, 12 do
        local length = lengths[month] + (month == 2 and is_leap(year) and 1 or 0)
        for date = 1, length do
          visit(days * day, ("%s, %02d %s %04d"):format(weekdays[days % 7 + 1], date,
            names[month], year))
          days = days + 1
        end
      end
    end
  end

  it("is parsed for every day from 1970 to 2110", function()
    each_day(2110, function(midnight, date)
      local seconds = engine.retry_after(date .. " 00:00:00 GMT", midnight - 60)
      if midnight >= 60 and seconds ~= 60 then error(date .. ": " .. seconds, 0) end
    end)
  end)

  it("is parsed as the C library formats it", function()
    for _, time in ipairs {
      1, 59, 86399, 951782400 - 1, 951782400, 951868799, 951868800, 1e9, 1709164799,
      1709164800, 1709251199, 1709251200, 2 ^ 31 - 1, 2 ^ 31, 2 ^ 31 + 1, 4107542399,
      4107542400, 2 ^ 32 - 1, 2 ^ 32, 13574563200, 32503680000, 253402300799,
    } do
      if time < 2 ^ 31 or driver.has_late_dates() then
        local date = driver.http_date(time)
        for _, before in ipairs { 1, 30, 59, 3600 } do
          assert.equal(before, engine.retry_after(date, time - before), date)
        end
      end
    end
  end)

  it("counts every second of an hour, minute and day", function()
    local midnight = 951782400           -- 29 Feb 2000
    for second = 0, 86399, 7 do
      local date = ("Tue, 29 Feb 2000 %02d:%02d:%02d GMT"):format(
        math.floor(second / 3600), math.floor(second / 60) % 60, second % 60)
      assert.equal(10, engine.retry_after(date, midnight + second - 10), date)
    end
  end)

  it("knows which years have a leap day", function()
    for year, feb28 in pairs {
      [2000] = 951696000, [2023] = 1677542400, [2024] = 1709078400, [2096] = 3981225600,
      [2100] = 4107456000, [2400] = 13574476800,
    } do
      local leap = is_leap(year)
      local march = ("Mon, 01 Mar %d 00:00:00 GMT"):format(year)
      local next_day = feb28 + day
      assert.equal(leap and 0 or 5, engine.retry_after(march, next_day - 5), march)
      assert.equal(leap and 5 or 0, engine.retry_after(march, next_day + day - 5), march)
      if leap then
        local last = ("Mon, 29 Feb %d 00:00:00 GMT"):format(year)
        assert.equal(5, engine.retry_after(last, next_day - 5), last)
      end
    end
  end)

  it("may be a leap second", function()
    assert.equal(10, engine.retry_after("Sat, 31 Dec 2016 23:59:60 GMT", 1483228790))
  end)

  it("is the time that is left, with its fraction", function()
    local date, time = "Sun, 06 Nov 1994 08:49:37 GMT", 784111777
    assert.equal(5, engine.retry_after(date, time - 5))
    assert.near(0.25, engine.retry_after(date, time - 0.25), 1e-6)
    assert.near(1.5, engine.retry_after(date, time - 1.5), 1e-6)
    assert.equal(3600, engine.retry_after(date, time - 3600))
  end)

  it("is ignored if it is past, or more than an hour ahead", function()
    local date, time = "Sun, 06 Nov 1994 08:49:37 GMT", 784111777
    for _, now in ipairs { time, time + 0.001, time + 1, time + 1e6, time - 3600.5,
      time - 3601, time - day, 0, 4e9 } do
      assert.equal(0, engine.retry_after(date, now), now)
    end
    assert.equal(0, engine.retry_after("Thu, 01 Jan 1970 00:00:00 GMT", 0))
    assert.equal(0, engine.retry_after("Fri, 31 Dec 9999 23:59:59 GMT", 1e9))
  end)

  -- Texts, and the time that a lenient parser would read.
  local function ignored(cases)
    local taken = {}
    for text, lenient in pairs(cases) do
      if engine.retry_after(text, lenient - 10) ~= 0 then taken[#taken + 1] = text end
    end
    table.sort(taken)
    assert.equal("", table.concat(taken, "\n"))
  end

  it("is ignored if there is no such day or time", function()
    ignored {
      ["Sun, 30 Feb 2027 00:00:00 GMT"] = 1803945600, -- as 2 Mar 2027
      ["Sun, 29 Feb 2027 00:00:00 GMT"] = 1803859200,
      ["Sun, 29 Feb 2100 00:00:00 GMT"] = 4107542400,
      ["Sun, 31 Apr 2027 00:00:00 GMT"] = 1809129600,
      ["Sun, 00 Mar 2027 00:00:00 GMT"] = 1803772800,
      ["Sun, 32 Jan 2027 00:00:00 GMT"] = 1801440000,
      ["Sun, 99 Nov 1994 08:49:37 GMT"] = 784111777 + 93 * day,
      ["Sun, 06 Nov 1994 24:00:00 GMT"] = 784166400,
      ["Sun, 06 Nov 1994 08:60:00 GMT"] = 784112400,
      ["Sun, 06 Nov 1994 08:49:61 GMT"] = 784111801,
      ["Sun, 06 Nov 1994 99:99:99 GMT"] = 784080000 + 99 * 3661,
    }
  end)

  it("is ignored with any other byte in place of a digit", function()
    local time = 784111777
    ignored {
      ["Sun, -6 Nov 1994 08:49:37 GMT"] = time - 12 * day,
      ["Sun, +6 Nov 1994 08:49:37 GMT"] = time,
      ["Sun, 06 Nov +994 08:49:37 GMT"] = time,
      ["Sun, 06 Nov 1994 +8:49:37 GMT"] = time,
      ["Sun, 06 Nov 1994 -8:49:37 GMT"] = time - 16 * 3600,
      ["Sun, 06 Nov 1994 08:-9:37 GMT"] = time - 58 * 60,
      ["Sun, 06 Nov 1994 08:49:-7 GMT"] = time - 44,
      ["Sun, 06 Nov 1994 08: 9:37 GMT"] = time - 40 * 60,
      ["Sun, 06 Nov 1994 08:49: 7 GMT"] = time - 30,
      -- the bytes next to the digits
      ["Sun, 0: Nov 1994 08:49:37 GMT"] = time + 4 * day,
      ["Sun, 1/ Nov 1994 08:49:37 GMT"] = time + 3 * day,
      ["Sun, 06 Nov 199: 08:49:37 GMT"] = time + 2192 * day,
      ["Sun, 06 Nov 1994 0::49:37 GMT"] = time + 2 * 3600,
      ["Sun, 06 Nov 1994 08:4::37 GMT"] = time + 60,
      ["Sun, 06 Nov 1994 08:49:3: GMT"] = time + 3,
    }
  end)

  it("is ignored if its form is not the one of HTTP", function()
    local time = 784111777
    local cases = {}
    for _, text in ipairs {
      "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
      "Sun, 06 Nov 1994 08:49:37 GMt", "Sun, 06 Nov 1994 08:49:37 GM ",
      "Sun, 06 Nov 1994 08:49:37 GMT+1", "Sun, 06 Nov 1994 08:49:37 GMT ",
      "Sun, 06 Nov 1994 08:49:37 +0000", "06 Nov 1994 08:49:37 GMT",
      "Sun 06 Nov 1994 08:49:37 GMT", "Sun, 06 November 1994 08:49:37 GMT",
      "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 ovD 1994 08:49:37 GMT",
      "Sun, 06 No 1994 08:49:37 GMT", "Sun, 06 11 1994 08:49:37 GMT",
      "Sun, 06 Nov 94 08:49:37 GMT", "Sun, 06 Nov 01994 08:49:37 GMT",
      "Sun, 006 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT",
      "Sun, 06 Nov 1994 08.49.37 GMT", "Sun, 06 Nov 1994 08:49:37.5 GMT",
      "Sun, 06 Nov 1994 8:49:37 PM GMT", "Sun, 06 Nov 1994 008:49:37 GMT",
      "1994-11-06T08:49:37Z", "784111777", "Sunday, 06 Nov 1994 08:49:37 GMT",
      "S1n, 06 Nov 1994 08:49:37 GMT", "   , 06 Nov 1994 08:49:37 GMT",
      "Su\228, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov -994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08:49:37 GMTx",
    } do
      cases[text] = time
    end
    ignored(cases)
  end)

  it("is ignored if it is cut anywhere", function()
    local date, time = "Sun, 06 Nov 1994 08:49:37 GMT", 784111777
    local cases = {}
    for length = 0, #date - 1 do
      cases[date:sub(1, length)] = time
      cases[date:sub(length + 2)] = time
    end
    ignored(cases)
  end)
end)
