-- pages.lua: client:each_transaction{...} and the like: iterators over every item of a
-- list. The next page is prefetched while the caller works on the present one.
--
-- A list that changes between two pages moves items from page to page. Items are
-- de-duplicated by id and counted against total_items, so that none comes twice and none
-- is missed silently: items added in front push others to the next page, where the
-- repeated ones are skipped; any other inconsistency is an error.
--
-- A failure is raised, so that a loop that ends is complete.
-- SPDX-License-Identifier: MIT

local internal = require "uqpay.internal"
local uqpay = require "uqpay"

local start = internal.starters() -- by endpoint

local PAGE_SIZE = 100
local WINDOW = 89 * 86400 -- seconds; the API takes 90 days, however it counts them
local OVERLAP = 1         -- seconds that two windows share

local function bad(method, option, expected)
  error(("bad option '%s' to '%s' (%s)"):format(option, method, expected), 4)
end

-- Unix seconds as an RFC 3339 time. os.date cannot do so everywhere: with a 32-bit time_t
-- it knows the years 1901 to 2038. Years are counted from March on, in eras of 400 years,
-- so that the leap day is a year's last day.
local function datetime(time)
  local floor = math.floor
  local days = floor(time / 86400)
  local second = time - days * 86400
  local day = days + 719468 -- since March 1 of the year 0
  local era = floor(day / 146097)
  day = day - era * 146097
  local year = floor((day - floor(day / 1460) + floor(day / 36524) - floor(day / 146096))
    / 365)
  day = day - (365 * year + floor(year / 4) - floor(year / 100))
  local month = floor((5 * day + 2) / 153)
  day = day - floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  year = era * 400 + year + (month <= 2 and 1 or 0)
  return ("%04d-%02d-%02dT%02d:%02d:%02d+00:00"):format(year, month, day,
    floor(second / 3600), floor(second / 60) % 60, second % 60)
end

-- The range of time to split into windows. Without a start there is one window, with the
-- options as they were given.
local function range_of(first, last)
  if not first then return { last = last, from = 0, to = 0 } end
  local from = uqpay.parse_time(first)
  local to = last and uqpay.parse_time(last) or math.max(os.time(), from)
  return { first = first, last = last or datetime(to), from = from, to = to }
end

-- Enters the next window of the range, the newest first. Windows overlap, since the API
-- does not say whether the ends of a range belong to it.
local function next_window(self)
  local query, range = self.query, self.range
  local seam = range.to - range.from > WINDOW and range.to - WINDOW
  query.start_time, query.end_time = seam and datetime(seam) or range.first, range.last
  if seam then
    range.to = seam + OVERLAP
    range.last = datetime(range.to)
  end
  self.last_window = not seam
  self.before, self.seen = self.seen, {} -- ids of the windows before this one, and of it
  self.number, self.received, self.repeated = 0, 0, 0
  self.first_total, self.total = nil, nil
end

local function start_call(self)
  self.query.page_number = self.number
  self.requests = self.requests + 1
  return start[self.endpoint](self.client, self.query)
end

-- Requests the next page. What this raises (the client may be closed) ends the iterator.
local function request(self)
  self.number = self.number + 1
  local ok, call = pcall(start_call, self)
  if not ok then
    self.items, self.at, self.ended = {}, 0, call
    error(call, 0)
  end
  self.call = call
end

local function await(self, call)
  if self.hub then return self.hub:await(call) end
  internal.wait(call)
  return call:result()
end

-- The page that was requested, or nil, message and error.
local function receive(self)
  local call = self.call
  if not call then
    error("this iterator waits for a page already, or an error has ended it", 0)
  end
  self.call = nil
  local over = call:step() -- its completion may have been reported before
  local page, message, err = await(self, call)
  if over and not page and err.kind == "timeout" then -- while the caller worked
    return await(self, start_call(self))
  end
  return page, message, err
end

-- Kinds of inconsistent pages: the list changed between two of them; an answer is wrong.
local CHANGED, WRONG = "conflict", "schema"

local function page_error(self, kind, text, ...)
  local message = self.name .. ": " .. text:format(...)
  return internal.page_error(self.client, self.endpoint, message, kind, self.requests,
    internal.clock() - self.started)
end

-- Checks the totals of a page of `count` items against the pages before it. Returns the
-- error if they are inconsistent.
local function check_totals(self, page, count)
  local total, pages, number = page.total_items, page.total_pages, self.number
  local before = self.total or total
  self.first_total, self.total = self.first_total or total, total
  if total < before then
    return page_error(self, CHANGED, "total_items fell from %.0f to %.0f before page "
      .. "%.0f: items may have moved to pages that were read", before, total, number)
  elseif self.repeated > total - self.first_total then
    return page_error(self, CHANGED, "page %.0f has items of the pages before it, and "
      .. "not because that many were added", number)
  elseif count == 0 and number < pages then
    return page_error(self, WRONG, "page %.0f of %.0f is empty", number, pages)
  elseif self.received > total or self.received < total and number >= pages then
    return page_error(self, WRONG, "%.0f items came with page %.0f of %.0f, but "
      .. "total_items is %.0f", self.received, number, pages, total)
  end
end

-- The number of the row with that id.
local function row_of(self, rows, id)
  for row, item in ipairs(rows) do
    if item[self.id] == id then return row end
  end
end

-- The items of a page without those that came before; nil and an error if two rows have
-- the same id.
local function new_items(self, rows)
  local items, seen, number = {}, self.seen, self.number
  for row, item in ipairs(rows) do
    local id = item[self.id]
    if seen[id] == number then
      return nil, page_error(self, WRONG, "page %.0f has one %s in two rows, %d and %d",
        number, self.id, row_of(self, rows, id), row)
    elseif seen[id] then
      self.repeated = self.repeated + 1
    elseif not self.before[id] then
      items[#items + 1] = item
    end
    seen[id] = number -- of the last page that had it
  end
  return items
end

-- Calls `progress`. left: number of items to come, if known.
local function report_progress(self, left)
  local elapsed = internal.clock() - self.started
  local rate = elapsed > 0 and self.done / elapsed or 0
  self.progress {
    done = self.done, total = left and self.done + left, pages = self.pages, rate = rate,
    ends = left and rate > 0 and os.time() + left / rate or nil,
  }
end

-- Takes the new items of the page that was requested, and requests the one after it.
-- Returns the error if there is one.
local function advance(self)
  local page, _, err = receive(self)
  if not page then return err end
  local items
  items, err = new_items(self, page.data)
  if err then return err end
  self.received = self.received + #page.data
  err = check_totals(self, page, #page.data)
  if err then return err end
  self.items, self.at = items, 0
  self.done, self.pages = self.done + #items, self.pages + 1
  local left = self.last_window and page.total_items - self.received or nil
  if self.number < page.total_pages then
    request(self)
  elseif not self.last_window then
    next_window(self)
    request(self)
  else
    self.over = true
  end
  if self.progress and not pcall(report_progress, self, left) then
    internal.hook_failed(self.client)
  end
end

-- The next item; nil at the end; nil and the error after a failure.
local function take_item(self)
  if internal.stepping(self.call) then
    error("a hook must not use the iterator that it runs for", 0)
  end
  if self.ended then error(self.ended, 0) end
  if self.failure then return nil, self.failure end
  if not self.begun then
    self.begun = true -- before any call: a finalizer that runs in it may use the iterator
    request(self)
  end
  repeat
    while self.at == #self.items do
      if self.over then return nil end
      self.failure = advance(self)
      if self.failure then return nil, self.failure end
    end
    if self.call and not self.call:done() then self.call:step() end -- prefetches
  until self.at < #self.items -- a finalizer may have taken the last one
  self.at = self.at + 1
  return self.items[self.at]
end

-- The results of the iterator for a failure: it is raised at each call, with the position
-- of the loop; or they are false, message and error once, and nil, message and error
-- after that.
local function failure_results(self, err)
  if not self.returns then
    local message = ("%s (%s)"):format(err.message, err.kind)
    if not message:find(self.name, 1, true) then
      message = self.name .. ": " .. message
    end
    error(message, 3)
  end
  local item = nil
  if not self.reported then item = false end
  self.reported = true
  return item, err.message, err
end

local function close(self)
  self.over, self.items, self.at = true, {}, 0
  if self.call then self.call:cancel() end
end

-- The options of the calls for pages, without the iterator's own.
local function query_of(options)
  local query = { page_size = PAGE_SIZE, queued = true }
  for option, value in pairs(options) do query[option] = value end
  query.progress, query.on_error = nil, nil
  return query
end

-- client:<name>(options): the options are checked. endpoint: the method for one page; id:
-- the field that identifies an item; err: the failure of the first item, if any.
return function(client, options, name, endpoint, id, err)
  options = options or {}
  if options.page_number then bad(name, "page_number", "pages are counted by itself") end
  local self = {
    client = client, name = name, endpoint = endpoint, id = id, failure = err or nil,
    progress = options.progress, returns = options.on_error == "return",
    started = internal.clock(), begun = false, requests = 0, done = 0, pages = 0,
    seen = {}, items = {}, at = 0,
  }
  if not err then
    self.hub, self.query = internal.user_value(client).hub, query_of(options)
    self.range = range_of(options.start_time, options.end_time)
    next_window(self)
  end
  local function next_item()
    local item, failure = take_item(self)
    if not failure then return item end
    -- No tail call, for the level of `error`.
    local none, message, failed = failure_results(self, failure)
    return none, message, failed
  end
  return next_item, nil, nil, setmetatable({}, { __close = function() close(self) end })
end
