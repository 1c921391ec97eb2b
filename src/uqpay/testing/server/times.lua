-- times.lua: times as the API writes them, 2024-03-21T17:17:32+08:00, and dates of HTTP.
-- SPDX-License-Identifier: MIT

local times = {}

local zone = 8 * 3600

-- The last second whose year has four digits.
times.latest = 253402300799 - zone

local function leap(year)
  return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
end

local month_days = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function month_length(year, month)
  return month_days[month] + (month == 2 and leap(year) and 1 or 0)
end

-- Days from 1970-01-01 to a date, or nil if there is no such date.
local function days(year, month, day)
  if year < 1 or month < 1 or month > 12 or day < 1 then return nil end
  if day > month_length(year, month) then return nil end
  local before = year - 1
  local sum = before * 365 + math.floor(before / 4) - math.floor(before / 100)
    + math.floor(before / 400) - 719162
  for m = 1, month - 1 do
    sum = sum + month_length(year, m)
  end
  return sum + day - 1
end

-- Seconds east of Greenwich, or nil.
local function offset(text)
  if text == "Z" then return 0 end
  local sign, hours, minutes = text:match "^([+-])(%d%d):(%d%d)$"
  if not sign or hours > "23" or minutes > "59" then return nil end
  return (sign == "-" and -1 or 1) * (hours * 3600 + minutes * 60)
end

-- Unix seconds of an ISO 8601 time with an offset, or nil. Strict on purpose: a blank
-- where a "+" was not escaped must not pass.
function times.parse(text)
  local year, month, day, hour, minute, second, rest =
    text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)(.*)$"
  if not year or hour > "23" or minute > "59" or second > "59" then return nil end
  local fraction, east = rest:match "^(%.%d+)(.+)$"
  local shift = offset(east or rest)
  local date = days(tonumber(year), tonumber(month), tonumber(day))
  if not date or not shift then return nil end
  return date * 86400 + hour * 3600 + minute * 60 + second - shift
    + (tonumber(fraction and "0" .. fraction) or 0)
end

function times.format(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%S", math.floor(seconds) + zone) .. "+08:00"
end

local days_of_week = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local months = {
  "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
}

-- A date of HTTP: names are English in every locale.
function times.http(seconds)
  local date = os.date("!*t", math.floor(seconds))
  return ("%s, %02d %s %d %02d:%02d:%02d GMT"):format(days_of_week[date.wday], date.day,
    months[date.month], date.year, date.hour, date.min, date.sec)
end

return times
