-- pages.lua: client:each_transaction{...} and its like: every item of a list, page after
-- page, one of them asked for ahead while the caller works.
--
-- A list that changes between two pages moves its items to others. What has come is held
-- against total_items, so that no item comes twice and none is left out unseen: items
-- that are added in front while we read push others to the next page, where they are
-- passed over; anything else that does not fit together is an error.
-- SPDX-License-Identifier: MIT

local Hub = require "uqpay.hub"
local internal = require "uqpay.internal"
local uqpay = require "uqpay"

local PAGE_SIZE = 100
local WINDOW = 89 * 86400 -- seconds; the API takes 90 days, however it counts them
local OVERLAP = 1         -- seconds that two windows share

local function bad(method, option, expected)
  error(("bad option '%s' to '%s' (%s)"):format(option, method, expected), 4)
end

local function stamp(time)
  local t = os.date("!*t", time)
  return ("%04d-%02d-%02dT%02d:%02d:%02d+00:00"):format(t.year, t.month, t.day, t.hour,
    t.min, t.sec)
end

-- The range of time that is asked for, to be split. Without a start there is none: the
-- options go to the API as they are.
local function range_of(first, last)
  if not first then return { last = last, from = 0, to = 0 } end
  local from = uqpay.time(first)
  local to = last and uqpay.time(last) or math.max(os.time(), from)
  return { first = first, last = last or stamp(to), from = from, to = to }
end

-- Turns to the next window of the range, from its end to its start. Two windows overlap,
-- so that no moment is the edge of both: which edges belong to a window is unknown.
local function turn(self)
  local query, range = self.query, self.range
  local seam = range.to - range.from > WINDOW and range.to - WINDOW
  query.start_time, query.end_time = seam and stamp(seam) or range.first, range.last
  if seam then
    range.to = seam + OVERLAP
    range.last = stamp(range.to)
  end
  self.last_window = not seam
  self.before, self.seen = self.seen, {} -- ids of the windows before this one, and of it
  self.number, self.received, self.repeated = 0, 0, 0
  self.first_total, self.total = nil, nil
end

local function start(self)
  self.query.page_number = self.number
  self.asked = self.asked + 1
  return self.client[self.method](self.client, self.query)
end

local function ask(self)
  self.number = self.number + 1
  self.call = start(self)
end

-- The next page, or nil, message and error.
local function receive(self)
  local call = self.call
  if not call then
    error("this iterator waits for a page already, or an error has ended it", 0)
  end
  self.call = nil
  local over = call:step() -- if so, nobody would tell us
  local page, message, err = self.hub:await(call)
  if over and not page and err.kind == "timeout" then -- while the caller worked
    return self.hub:await(start(self))
  end
  return page, message, err
end

local CHANGED, WRONG = true, false -- the list between two pages; the API's totals

local function misfit(self, changed, text, ...)
  local message = self.name .. ": " .. text:format(...)
  return internal.misfit(message, changed, self.asked, internal.clock() - self.started)
end

-- What is wrong with a page of so many items after those before it; nil: nothing.
local function judge(self, page, count)
  local total, pages, number = page.total_items, page.total_pages, self.number
  local before = self.total or total
  self.first_total, self.total = self.first_total or total, total
  if total < before then
    return misfit(self, CHANGED, "total_items fell from %.0f to %.0f before page "
      .. "%.0f: items may have moved to pages that were read", before, total, number)
  elseif self.repeated > total - self.first_total then
    return misfit(self, CHANGED, "page %.0f has items of the pages before it, and "
      .. "not because that many were added", number)
  elseif count == 0 and number < pages then
    return misfit(self, WRONG, "page %.0f of %.0f is empty", number, pages)
  elseif self.received > total or self.received < total and number >= pages then
    return misfit(self, WRONG, "%.0f items came with page %.0f of %.0f, but "
      .. "total_items is %.0f", self.received, number, pages, total)
  end
end

-- Takes the items that are new out of the next page, and asks for the one behind it.
-- Returns the error if there is one.
local function advance(self)
  local page, _, err = receive(self)
  if not page then return err end
  local items, seen = {}, self.seen
  for _, item in ipairs(page.data) do
    local id = item[self.id]
    if seen[id] then
      self.repeated = self.repeated + 1
    elseif not self.before[id] then
      items[#items + 1] = item
    end
    seen[id] = true
  end
  self.received = self.received + #page.data
  err = judge(self, page, #page.data)
  if err then return err end
  self.items, self.at = items, 0
  if self.number < page.total_pages then
    ask(self)
  elseif not self.last_window then
    turn(self)
    ask(self)
  else
    self.over = true
  end
end

-- The next item; nil at the end; false, message and error after a failure, and from then
-- on nil, message and error.
local function deliver(self)
  if internal.stepping(nil, self.call) then
    error("a hook must not use the iterator that it runs for", 0)
  end
  if self.asked == 0 then ask(self) end
  repeat
    while self.at == #self.items do
      local err = self.failure
      if err then return nil, err.message, err end
      if self.over then return nil end
      err = advance(self)
      if err then
        self.failure = err
        return false, err.message, err
      end
    end
    if self.call and not self.call:done() then self.call:step() end -- sends, receives
  until self.at < #self.items -- a finalizer may have taken the last
  self.at = self.at + 1
  return self.items[self.at]
end

local function close(self)
  self.over, self.items, self.at = true, {}, 0
  if self.call then self.call:cancel() end
end

-- client:<name>(options), which are checked; method starts the call for a page, and id
-- names the items' own field. refused, if any, is the call for the first page: it has
-- failed already, since an option has a value that cannot be sent.
return function(client, options, name, method, id, refused)
  options = options or {}
  local range = range_of(not refused and options.start_time, options.end_time)
  if options.page_number then bad(name, "page_number", "pages are counted by itself") end
  local query = { page_size = PAGE_SIZE, queued = true }
  for option, value in pairs(options) do query[option] = value end
  local peer = internal.peer(client)
  peer.hub = peer.hub or Hub.new(client)
  local self = {
    client = client, hub = peer.hub, name = name, method = method, id = id,
    query = query, range = range, started = internal.clock(), asked = refused and 1 or 0,
    call = refused,
    seen = {}, items = {}, at = 0,
  }
  turn(self)
  return function() return deliver(self) end, nil, nil,
    setmetatable({}, { __close = function() close(self) end })
end
