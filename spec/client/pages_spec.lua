-- Every item of a list: each_balance, each_transaction and each_account, page after page,
-- window after window; what becomes of lists that change or go round in circles, and how
-- an iteration ends that cannot continue.

local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local uqpay = require "uqpay"

local failed = fixture.failed
-- Lua 5.1 calls the iterator of a for loop so that it cannot yield; see the README.
local yields_in_for = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil
local day = 86400

local lists = {
  { name = "each_balance", endpoint = "balances", id = "balance_id" },
  { name = "each_transaction", endpoint = "transactions", id = "transaction_id" },
  { name = "each_account", endpoint = "accounts", id = "account_id" },
}

local function each(check)
  for _, list in ipairs(lists) do check(list) end
end

local function raises(message, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok, "nothing was raised: " .. message)
  assert.equal("string", type(err))
  assert.matches(message, err, 1, true)
end

-- The ids of a walk, and its error if it ended with one (returned), which must be of this
-- kind.
local function walk(list, kind, ...)
  local ids, err = {}, nil
  for item, message, failure in ... do
    assert.is_nil(err, "it went on after an error")
    if item then
      assert.is_nil(message)
      ids[#ids + 1] = item[list.id]
    else
      assert.is_false(item)
      err = failed(kind, nil, message, failure)
    end
  end
  if kind then assert.is_truthy(err, "no error") end
  return ids, err
end

local function ids_of(list, items)
  local ids = {}
  for n, item in ipairs(items) do ids[n] = item[list.id] end
  return ids
end

local function truth(list, account)
  return ids_of(list, sandbox[list.endpoint](account))
end

local function prefix(all, count)
  local some = {}
  for n = 1, count do some[n] = all[n] end
  return some
end

local function arrived() return #sandbox.requests() end

-- The text with no %XX in it.
local function decoded(text)
  return (text:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

-- The ranges that were asked for: { from, to, page, ... } in Unix seconds, as they came.
local function ranges()
  local all = {}
  for n, request in ipairs(sandbox.requests "transactions") do
    local query = "&" .. request.query
    local first, last = query:match "&start_time=([^&]*)", query:match "&end_time=([^&]*)"
    first, last = first and decoded(first), last and decoded(last)
    all[n] = {
      first = first, from = first and uqpay.parse_time(first),
      last = last, to = last and uqpay.parse_time(last),
      page = tonumber((query:match "&page_number=(%d+)")),
    }
  end
  return all
end

local function stamp(time, fraction)
  return os.date("!%Y-%m-%dT%H:%M:%S", time) .. (fraction or "") .. "+00:00"
end

describe("every item", function()
  local client

  fixture.with_client(function(made) client = made end)

  -- A client of a merchant that has nothing yet.
  local function empty(changes)
    local options = { token = sandbox.new_token { merchant = "empty" } }
    for name, value in pairs(changes or {}) do options[name] = value end
    return fixture.client(options)
  end

  describe("comes", function()
    it("once and in order, a hundred with a request", function()
      each(function(list)
        assert.same(truth(list), walk(list, nil, client[list.name](client)))
        local request = sandbox.requests(list.endpoint)[1]
        assert.equal("page_size=100&page_number=1", request.query)
        assert.is_nil(request.headers["x-idempotency-key"])
        assert.equal(math.ceil(#truth(list) / 100), #sandbox.requests(list.endpoint))
      end)
    end)

    it("in pages of any size", function()
      each(function(list)
        for _, size in ipairs { 10, 11, 45, 99 } do
          local before = arrived()
          assert.same(truth(list), walk(list, nil,
            client[list.name](client, { page_size = size })))
          assert.equal(math.ceil(#truth(list) / size), arrived() - before)
        end
      end)
    end)

    it("only as the table that the page has", function()
      local number = 0
      for account, message, err in client:each_account { page_size = 10 } do
        number = number + 1
        assert.is_nil(message)
        assert.is_nil(err)
        assert.is_nil(getmetatable(account))
      end
      assert.equal(45, number)
      local next_item = client:each_account()
      assert.same(sandbox.accounts()[1], next_item())
      assert.equal(1, select("#", next_item()))
    end)

    it("or none does, where there is none", function()
      local one = empty()
      each(function(list)
        local next_item = one[list.name](one)
        assert.is_nil(next_item())
        assert.is_nil(next_item())
        assert.same({}, walk(list, nil, one[list.name](one)))
        assert.equal(2, #sandbox.requests(list.endpoint))
      end)
    end)

    it("of a connected account, through filters, with exact amounts", function()
      local list = lists[2]
      local sub = { on_behalf_of = sandbox.sub_account }
      assert.same(truth(list, sandbox.sub_account), walk(list, nil,
        client:each_transaction(sub)))
      local one = fixture.client(sub)
      assert.same(truth(lists[1], sandbox.sub_account), walk(lists[1], nil,
        one:each_balance()))
      local expected, sum = {}, uqpay.amount(0)
      for _, item in ipairs(sandbox.transactions()) do
        if item.currency == "XUSD" then expected[#expected + 1] = item.amount end
      end
      local n = 0
      for item in client:each_transaction { currency = "XUSD", amounts = "exact" } do
        n = n + 1
        assert.equal(expected[n], tostring(item.amount))
        sum = sum + item.amount
      end
      assert.equal(#expected, n)
      assert.equal(uqpay.sum(expected), sum)
    end)

    it("to several walks at once, each its own", function()
      local walks = {}
      each(function(list)
        for size = 10, 12 do
          local next_item = client[list.name](client, { page_size = size })
          walks[#walks + 1] = { list, next_item, {} }
        end
      end)
      local going = true
      while going do
        going = false
        for _, one in ipairs(walks) do
          local item = one[2]()
          if item then
            going = true
            table.insert(one[3], item[one[1].id])
          end
        end
      end
      for _, one in ipairs(walks) do assert.same(truth(one[1]), one[3]) end
    end)

    it("while the caller asks for other things", function()
      local list, ids = lists[3], {}
      for account in client:each_account { page_size = 10 } do
        ids[#ids + 1] = account.account_id
        assert.equal("USD", (assert(client:balance "USD")).currency)
      end
      assert.same(truth(list), ids)
    end)
  end)

  describe("is fetched", function()
    it("not before the first is asked for", function()
      each(function(list) client[list.name](client) end)
      assert.equal(0, arrived())
    end)

    it("one page ahead, and no further", function()
      local next_item = client:each_account { page_size = 10 }
      for n, account in ipairs(sandbox.accounts()) do
        assert.equal(account.account_id, next_item().account_id)
        local pages = math.min(math.ceil(n / 10) + 1, 5)
        local give_up = socket.gettime() + 30
        while arrived() < pages and socket.gettime() < give_up do socket.sleep(0.001) end
        assert.equal(pages, arrived())
      end
      assert.is_nil(next_item())
      assert.equal(5, arrived())
    end)

    it("again, if its time passed while the caller worked", function()
      -- Is it all there, asked for once more? A slow machine needs longer times for it.
      local function asked_again(seconds)
        sandbox.reset()
        local one = fixture.client { timeout = seconds }
        sandbox.fault { kind = "delay", seconds = seconds / 2,
          match = { ["?page_number"] = "2" } }
        local next_item = one:each_account { page_size = 10, on_error = "return" }
        local ids = {}
        for item in next_item do
          if not item then return false end
          ids[#ids + 1] = item.account_id
          if #ids == 10 then socket.sleep(seconds * 1.5) end
        end
        assert.same(truth(lists[3]), ids)
        return arrived() == 6
      end
      assert.is_true(asked_again(0.3) or asked_again(2) or asked_again(10))
      sandbox.reset()
    end)

    it("at the pace of the client, whatever the timeout", function()
      local one = fixture.client { rate_limit = 100 } -- two at once, then each 0.6 s
      assert(one:balance "USD")
      local ids = walk(lists[3], nil, one:each_account { page_size = 25, timeout = 0.5 })
      assert.same(truth(lists[3]), ids)
      assert.equal(0, one:stats().retries)
    end)

    it("after a retry, if the client has any left", function()
      sandbox.fault { kind = "status", status = 503, match = { ["?page_number"] = "2" } }
      sandbox.fault { kind = "drop_before", match = { ["?page_number"] = "3" } }
      sandbox.fault { kind = "truncate", match = { ["?page_number"] = "5" } }
      assert.same(truth(lists[3]), walk(lists[3], nil,
        client:each_account { page_size = 10 }))
    end)

    it("and let go when it was handed out", function()
      local kept = setmetatable({}, { __mode = "k" })
      local n = 0
      for item in client:each_transaction { page_size = 10 } do
        n = n + 1
        if n <= 100 then kept[item] = true end
      end
      collectgarbage()
      collectgarbage()
      assert.equal(428, n)
      local left = 0
      for _ in pairs(kept) do left = left + 1 end
      assert.is_true(left <= 10, "items kept: " .. left)
    end)
  end)

  describe("in windows of time", function()
    local list = lists[2]
    local first, last, from, to

    before_each(function()
      first, last = sandbox.first_transaction, sandbox.last_transaction
      from, to = uqpay.parse_time(first), uqpay.parse_time(last)
    end)

    -- The ids of those of the range, whose ends belong to it or not.
    local function inside(bounds, low, high, account)
      local ids = {}
      for _, item in ipairs(sandbox.transactions(account)) do
        local early = item.time < low or item.time == low and bounds:sub(1, 1) == "("
        local late = item.time > high or item.time == high and bounds:sub(2) == ")"
        if not early and not late then ids[#ids + 1] = item.transaction_id end
      end
      return ids
    end

    for _, bounds in ipairs { "[]", "[)", "(]", "()" } do
      it("comes once, newest first, if " .. bounds .. " are their bounds", function()
        sandbox.settings { bounds = bounds }
        for _, size in ipairs { 10, 100 } do
          assert.same(inside(bounds, from, to), walk(list, nil, client:each_transaction {
            start_time = first, end_time = last, page_size = size }))
        end
      end)

      it("comes once at each seam, if " .. bounds .. " are their bounds", function()
        sandbox.settings { bounds = bounds }
        local one, high = empty(), 1790000000
        -- three windows: the second begins and the third ends near each of these
        local low = high - 200 * day
        for _, seam in ipairs { high, high - 89 * day, high - 89 * day + 1,
          high - 178 * day + 1, high - 178 * day + 2, low } do
          for _, offset in ipairs { -1, 0, 0, 0, 1 } do
            sandbox.transaction { account = "empty", create_time = stamp(seam + offset) }
          end
          for _, offset in ipairs { -1, 0, 1 } do
            sandbox.transaction { account = "empty",
              create_time = stamp(seam + offset, ".5") }
          end
        end
        for _, size in ipairs { 10, 100 } do
          local ids = walk(list, nil, one:each_transaction {
            start_time = stamp(low), end_time = stamp(high), page_size = size })
          assert.same(inside(bounds, low, high, "empty"), ids)
        end
      end)
    end

    it("is asked for in no window of more than 90 days, without a gap", function()
      walk(list, nil, client:each_transaction { start_time = first, end_time = last })
      local all, windows = ranges(), {}
      for _, range in ipairs(all) do
        assert.is_true(range.to - range.from <= 90 * day)
        if range.page == 1 then windows[#windows + 1] = range end
      end
      assert.equal(3, #windows)
      assert.equal(last, windows[1].last)
      assert.equal(first, windows[3].first)
      for n = 2, 3 do
        local overlap = windows[n].to - windows[n - 1].from
        assert.is_true(overlap > 0 and overlap <= 2, "overlap: " .. overlap)
      end
    end)

    it("is asked for in the caller's words, if one window will do", function()
      for _, ends in ipairs {
        { first, "2026-05-01T00:00:00+08:00" },               -- 89 days
        { "2026-03-01T00:00:00.25Z", "2026-03-31T10:30:00.75-05:30" },
        { first, first },
      } do
        sandbox.reset()
        walk(list, nil, client:each_transaction {
          start_time = ends[1], end_time = ends[2] })
        for _, range in ipairs(ranges()) do
          assert.same({ ends[1], ends[2] }, { range.first, range.last })
        end
      end
      sandbox.reset()
      walk(list, nil, client:each_transaction {
        start_time = first, end_time = "2026-05-01T00:00:00.5+08:00" })
      assert.equal(1, ranges()[1].page)
      walk(list, nil, client:each_transaction {
        start_time = first, end_time = "2026-05-01T00:00:01+08:00" })
      assert.is_true(#ranges() > 2)
    end)

    it("ends now, if no end was given", function()
      local one, now = empty(), os.time()
      local expected = {}
      for _, age in ipairs { 0, 1, 88 * day, 89 * day, 150 * day } do
        expected[#expected + 1] = sandbox.transaction { account = "empty",
          create_time = stamp(now - age) }
      end
      sandbox.transaction { account = "empty", create_time = stamp(now - 151 * day) }
      sandbox.transaction { account = "empty", create_time = stamp(now + 3600) }
      local ids = walk(list, nil, one:each_transaction {
        start_time = stamp(now - 150 * day) })
      assert.same(expected, ids)
      assert.equal(2, #ranges())
      local ends = ranges()[1].to
      assert.is_true(ends >= now and ends <= os.time())
      -- a clock that is late, or a start to come: there is nothing yet
      assert.same({}, walk(list, nil, one:each_transaction {
        start_time = stamp(now + 7200) }))
    end)

    it("is asked for as it is, if no start was given", function()
      walk(list, nil, client:each_transaction {})
      for _, range in ipairs(ranges()) do
        assert.is_nil(range.first)
        assert.is_nil(range.last)
      end
      sandbox.reset()
      walk(list, nil, client:each_transaction { end_time = last })
      for _, range in ipairs(ranges()) do
        assert.is_nil(range.first)
        assert.equal(last, range.last)
      end
    end)

    it("comes from windows that this system's dates do not reach", function()
      for _, ends in ipairs {
        { "0003-06-01T00:00:00Z", "0004-12-31T23:59:59Z" },
        { "9999-01-01T00:00:00Z", "9999-12-31T23:59:59Z" },
        { "1599-11-01T00:00:00Z", "1600-03-02T00:00:00Z" },
        { "1899-12-01T00:00:00Z", "1900-03-02T00:00:00Z" },
        { "2099-12-01T00:00:00Z", "2100-03-02T00:00:00Z" },
      } do
        sandbox.reset()
        for _ in client:each_transaction { start_time = ends[1], end_time = ends[2] } do
          error "an item"
        end
        local all = ranges()
        assert.is_true(#all > 1)
        for n, range in ipairs(all) do
          assert.is_true(range.to - range.from <= 90 * day)
          if n > 1 then assert.equal(all[n - 1].from + 1, range.to) end
        end
      end
    end)

    it("comes from hundreds of windows, each asked for once", function()
      local one = empty()
      local oldest = sandbox.transaction { account = "empty",
        create_time = "1999-12-31T23:59:59Z" }
      assert.same({ oldest }, walk(list, nil, one:each_transaction {
        start_time = "1970-01-01T00:00:00Z", end_time = "2000-01-01T00:00:00Z" }))
      assert.equal(math.ceil(10957 / 89), arrived())
      sandbox.reset()
      one = empty()
      local next_item = one:each_transaction { -- years of three digits need a nought
        start_time = "0800-01-01T00:00:00Z", end_time = "0801-01-01T00:00:00Z" }
      assert.is_nil(next_item())
    end)

    it("not after a window that fails: false and the error do", function()
      local count = #inside("[]", to - 89 * day, to)
      sandbox.fault { kind = "status", status = 400, match = { ["?page_number"] = "1" },
        skip = 1 }
      local ids, err = walk(list, "invalid_request", client:each_transaction {
        start_time = first, end_time = last, on_error = "return" })
      assert.same(prefix(truth(list), count), ids)
      assert.equal(400, err.status)
    end)
  end)

  describe("with progress", function()
    -- The arguments of progress during an iteration over a list.
    local function told_of(name, options)
      local told = {}
      options.progress = function(info) told[#told + 1] = info end
      local count = 0
      for _ in client[name](client, options) do count = count + 1 end
      return told, count
    end

    it("is counted page by page, and up to what there is", function()
      local told, count = told_of("each_account", { page_size = 10 })
      assert.equal(5, #told)
      for n, info in ipairs(told) do
        assert.equal(math.min(10 * n, 45), info.done)
        assert.equal(45, info.total)
        assert.equal(n, info.pages)
        assert.is_true(info.rate > 0)
        assert.is_true(info.ends >= os.time() - 60)
      end
      assert.equal(45, count)
    end)

    it("is called for a page before its items", function()
      local done
      local next_item = client:each_account { page_size = 10,
        progress = function(info) done = info.done end }
      assert.is_nil(done)
      assert(next_item())
      assert.equal(10, done)
      for _ = 2, 10 do next_item() end
      assert.equal(10, done)
      assert(next_item())
      assert.equal(20, done)
    end)

    it("has no total before the last window of a range of time", function()
      local first, last = sandbox.first_transaction, sandbox.last_transaction
      local told, count = told_of("each_transaction", { page_size = 100,
        start_time = first, end_time = last })
      local known = false
      for n, info in ipairs(told) do
        assert.equal(n, info.pages)
        known = known or info.total ~= nil
        assert.equal(known, info.total ~= nil)
        assert.equal(known, info.ends ~= nil)
        if known then assert.is_true(info.total >= info.done) end
      end
      local info = told[#told]
      assert.same({ count, count, #told }, { info.done, info.total, info.pages })
      assert.is_true(count == 428 and told[1].total == nil and #told > 3)
    end)

    it("of a list of nothing is nothing of nothing", function()
      client:close()
      client = empty()
      local told = told_of("each_account", {})
      assert.equal(1, #told)
      assert.same({ 0, 0, 1 }, { told[1].done, told[1].total, told[1].pages })
    end)

    it("is not called for a page that failed", function()
      sandbox.fault { kind = "status", status = 400, match = { ["?page_number"] = "3" } }
      local calls = 0
      raises("HTTP 400", function()
        for _ in client:each_account { page_size = 10, progress = function()
          calls = calls + 1
        end } do calls = calls + 0 end
      end)
      assert.equal(2, calls)
    end)

    it("that raises changes nothing and is counted", function()
      local ids = walk(lists[3], nil, client:each_account { page_size = 10,
        progress = function() error "of its own" end })
      assert.same(truth(lists[3]), ids)
      assert.equal(5, client:stats().hook_errors)
    end)

    it("may use the iterator and its client", function()
      local ids, next_item = {}, nil
      local function take(item)
        if item then ids[#ids + 1] = item.account_id end
        return item
      end
      next_item = client:each_account { page_size = 10, progress = function(info)
        assert(client:balance "USD")
        if info.pages == 2 then take(next_item()) end
      end }
      while take(next_item()) do client:step() end
      assert.same(truth(lists[3]), ids)
      assert.equal(0, client:stats().hook_errors)
    end)
  end)

  describe("of a list that changes", function()
    it("in front comes once, and no item is missed", function()
      each(function(list)
        sandbox.reset()
        local expected = truth(list)
        sandbox.settings { pages = "shift" }
        assert.same(expected, walk(list, nil,
          client[list.name](client, { page_size = 10 })))
      end)
    end)

    -- Walks a list of 25 to which 27 of this time are added behind the first item.
    local function walk_grown(time)
      local one, list = empty(), lists[2]
      sandbox.transaction { account = "empty", times = 25 }
      local before = truth(list, "empty")
      local next_item, ids = one:each_transaction { page_size = 10 }, {}
      ids[1] = assert(next_item()).transaction_id
      sandbox.transaction { account = "empty", times = 27, create_time = time }
      for item in next_item do
        ids[#ids + 1] = item.transaction_id
      end
      return ids, before
    end

    it("in front by more than a page comes, and nothing twice", function()
      local ids, before = walk_grown "2027-01-01T00:00:00Z"
      local seen = {}
      for _, id in ipairs(ids) do
        assert.is_nil(seen[id])
        seen[id] = true
      end
      for _, id in ipairs(before) do assert.is_true(seen[id]) end
    end)

    it("at its end comes with what was added", function()
      local ids = walk_grown "2020-01-01T00:00:00Z"
      assert.same(truth(lists[2], "empty"), ids)
    end)

    it("so that items may be missed ends with an error", function()
      each(function(list)
        if list.endpoint == "balances" then -- one page is too few for it
          client:close()
          client = fixture.client { on_behalf_of = sandbox.many_sub_account }
        end
        sandbox.reset()
        sandbox.settings { pages = "shrink" }
        local ids, err = walk(list, "conflict",
          client[list.name](client, { page_size = 10, on_error = "return" }))
        assert.equal(10, #ids)
        assert.is_true(err.retryable)
        assert.equal(2, err.attempts)
        assert.matches(list.name .. ": total_items fell from %d+ to %d+ before page 2",
          err.message)
        client:close()
        client = fixture.client()
      end)
    end)

    it("so that items move unseen by the total ends with an error", function()
      local one = empty()
      sandbox.transaction { account = "empty", times = 30 }
      -- one item more in front, one less behind
      for page = 1, 2 do
        local items = {}
        for n = 1, 10 do
          local item = '{"transaction_id":"%d","transaction_type":"FEE","amount":1,'
            .. '"transaction_status":"PENDING","currency":"USD","create_time":"x"}'
          items[n] = item:format(page == 1 and n or n + 9)
        end
        sandbox.fault { kind = "answer", body = ('{"total_pages":3,"total_items":30,'
          .. '"data":[%s]}'):format(table.concat(items, ",")) }
      end
      local ids, err = walk(lists[2], "conflict", one:each_transaction { page_size = 10,
        on_error = "return" })
      assert.equal(10, #ids)
      assert.matches("page 2 has items of the pages before it", err.message, 1, true)
    end)

    it("or not: the same page for ever ends with an error", function()
      each(function(list)
        sandbox.reset()
        local expected = truth(list)
        sandbox.settings { pages = "repeat" }
        local ids, err = walk(list, "conflict",
          client[list.name](client, { page_size = 10, on_error = "return" }))
        assert.same(prefix(expected, math.min(10, #expected)), ids)
        assert.equal(2, err.attempts)
        assert.equal(2, arrived())
      end)
    end)
  end)

  describe("of a list whose totals are wrong", function()
    local list = lists[3]

    local function walk_with(settings, kind)
      sandbox.reset()
      sandbox.settings(settings)
      return walk(list, kind, client:each_account { page_size = 10, on_error = "return" })
    end

    it("comes in full if they are strings", function()
      assert.same(truth(list), walk_with { total_pages = "string",
        total_items = "string" })
    end)

    it("ends with an error, and never asks for ever", function()
      for _, case in ipairs {
        { { total_pages = "huge" }, 45, 6, "page 6 of 1000000000 is empty" },
        { { total_pages = "zero" }, 0, 1, "10 items came with page 1 of 0, but "
          .. "total_items is 45" },
        { { total_items = "huge" }, 40, 5, "45 items came with page 5 of 5, but "
          .. "total_items is 1000000000" },
        { { total_items = "zero" }, 0, 1, "10 items came with page 1 of 5, but "
          .. "total_items is 0" },
        { { data = "object" }, 0, 1, "page 1 of 5 is empty" },
        { { total_pages = "zero", data = "object" }, 0, 1, "0 items came with page 1" },
        { { total_pages = "negative" }, 0, 1, "the answer's total_pages" },
        { { total_items = "missing" }, 0, 1, "the answer has no total_items" },
        { { data = "odd_item" }, 0, 1, "the answer's data" },
        { { item_without = "account_id" }, 0, 1, "no data[10].account_id" },
      } do
        local settings, count, requests, message = case[1], case[2], case[3], case[4]
        local ids, err = walk_with(settings, "schema")
        assert.same(prefix(truth(list), count), ids)
        assert.equal(requests, arrived())
        assert.matches(message, err.message, 1, true)
        assert.is_false(err.retryable)
      end
    end)

    it("ends with an error when a page has an item twice", function()
      local item = '{"account_id":"a","status":"ACTIVE"}'
      sandbox.fault { kind = "answer", body = '{"total_pages":1,"total_items":2,"data":['
        .. item .. "," .. item .. "]}" }
      local ids, err = walk(list, "schema", client:each_account { on_error = "return" })
      assert.same({}, ids)
      assert.matches("each_account: page 1 has one account_id in two rows, 1 and 2 [",
        err.message, 1, true)
    end)
  end)

  describe("that cannot be fetched", function()
    local function broken(page, on_error)
      sandbox.fault { kind = "status", status = 400, match = { ["?page_number"] = page } }
      return client:each_account { page_size = 10, on_error = on_error }
    end

    it("raises the message, with the loop's place, and again after it", function()
      each(function(list)
        for _, on_error in ipairs { false, "raise" } do
          sandbox.reset()
          sandbox.fault { kind = "status", status = 400,
            match = { ["?page_number"] = "1" } }
          local next_item = client[list.name](client,
            on_error and { on_error = on_error } or nil)
          local ok, message = pcall(function()
            for _ in next_item do error "an item" end
          end)
          assert.is_false(ok)
          assert.equal("string", type(message))
          local here = debug.getinfo(1, "S").short_src:gsub("%p", "%%%0")
          assert.matches("^" .. here .. ":%d+: " .. list.name .. ": HTTP 400 ", message)
          assert.matches("%[127.0.0.1:%d+, 1 attempt, request %x+%] %(invalid_request%)$",
            message)
          for _ = 1, 3 do
            local again, same = pcall(next_item)
            assert.is_false(again)
            assert.equal((message:gsub("^.-:%d+: ", "", 1)), same)
          end
          assert.equal(1, arrived())
        end
      end)
    end)

    it("raises it after the items before it, and for an inconsistent list", function()
      local count = 0
      raises("HTTP 400", function()
        for _ in broken "3" do count = count + 1 end
      end)
      assert.equal(20, count)
      sandbox.reset()
      sandbox.settings { pages = "repeat" }
      local message = select(2, pcall(function()
        for _ in client:each_account { page_size = 10 } do count = count + 1 end
      end))
      assert.equal(30, count)
      assert.matches("%d: each_account: page 2 has items of the pages before it, .*"
        .. "%[127.0.0.1:%d+, 2 requests%] %(conflict%)$", message)
    end)

    it("raises it in every kind of coroutine", function()
      local co = coroutine.wrap(function()
        for _ in broken "2" do coroutine.yield "item" end
      end)
      for _ = 1, 10 do assert.equal("item", co()) end
      raises("HTTP 400", co)
    end)

    it("gives false, the message and the error, if they are wanted", function()
      each(function(list)
        sandbox.reset()
        sandbox.fault { kind = "status", status = 400, code = 7,
          match = { ["?page_number"] = "1" } }
        local ids, err = walk(list, "invalid_request", client[list.name](client,
          { on_error = "return" }))
        assert.same({}, ids)
        assert.equal(400, err.status)
        assert.equal(1, arrived())
      end)
    end)

    it("leaves those before it", function()
      local ids, err = walk(lists[3], "invalid_request", broken("3", "return"))
      assert.same(prefix(truth(lists[3]), 20), ids)
      assert.equal("not_retryable", err.retry_stopped)
      assert.equal(3, arrived())
    end)

    it("stays an error if called again: nil, the message and the error", function()
      local next_item = broken("1", "return")
      local item, message, err = next_item()
      assert.is_false(item)
      failed("invalid_request", nil, message, err)
      for _ = 1, 3 do
        local again = { next_item() }
        assert.is_nil(again[1])
        assert.equal(message, again[2])
        assert.equal(err, again[3])
      end
      assert.equal(1, arrived())
    end)

    it("fails a sum, in its way", function()
      for _, on_error in ipairs { "raise", "return" } do
        sandbox.fault { kind = "status", status = 400,
          match = { ["?page_number"] = "2" } }
        local next_item = client:each_transaction { page_size = 10, amounts = "exact",
          on_error = on_error }
        local function sum()
          return uqpay.sum(function()
            local item, why, failure = next_item()
            return item and item.amount, why, failure
          end)
        end
        if on_error == "raise" then
          raises("each_transaction: HTTP 400", sum)
        else
          failed("invalid_request", sum())
          failed("invalid_request", sum()) -- now nil stands for it
        end
      end
    end)

    it("since the token was refused is an error of that kind", function()
      local one = fixture.client { token = sandbox.expired_token }
      walk(lists[3], "auth", one:each_account { on_error = "return" })
    end)

    it("of an account that is closed is an error, too", function()
      local _, err = walk(lists[1], "invalid_request",
        client:each_balance { on_behalf_of = sandbox.closed_sub_account,
          on_error = "return" })
      assert.equal("sub_account_not_found", err.code)
      assert.equal(sandbox.closed_sub_account, err.on_behalf_of)
    end)
  end)

  describe("refuses", function()
    -- The first step of an iterator with a wrong value is its failure.
    local function refused(message, list, options)
      raises(message, client[list.name](client, options))
      options.on_error = "return"
      local ids, err = walk(list, "invalid_request", client[list.name](client, options))
      assert.same({}, ids)
      assert.equal(1, (err.message:find(message, 1, true)), err.message)
      assert.equal(0, err.attempts)
      assert.is_false(err.retryable)
      assert.equal(({ each_balance = "balances", each_account = "accounts",
        each_transaction = "transactions" })[list.name], err.endpoint)
    end

    it("every wrong option at once, naming it, and sends nothing", function()
      each(function(list)
        local function bad(message, ...)
          raises(message, client[list.name], client, ...)
        end
        local to = (" to '%s'"):format(list.name)
        bad("bad option 'page_size'" .. to, { page_size = "10" })
        bad("bad option 'page_number'" .. to, { page_number = 2 })
        bad("bad option 'timeout'" .. to, { timeout = -1 })
        bad("bad option 'amounts'" .. to, { amounts = "exactly" })
        bad("bad option 'on_error'" .. to .. ' ("raise" or "return" expected',
          { on_error = "raises" })
        bad("bad option 'on_error'" .. to, { on_error = true })
        bad("bad option 'progress'" .. to, { progress = "function" })
        bad("unknown option 'idempotency_key'" .. to, { idempotency_key = uqpay.uuid() })
        bad("unknown option 'page_sise'" .. to .. " (did you mean 'page_size'?)",
          { page_sise = 10 })
        bad("unknown option 'page_sise'" .. to, { page_sise = 10, page_size = 0 })
        bad("table expected", "USD")
        bad("no further argument expected", {}, 5)
        bad("without __index", setmetatable({}, { __index = { page_size = 10 } }))
        if list.name ~= "each_transaction" then
          bad("unknown option 'start_time'", { start_time = sandbox.first_transaction })
          bad("unknown option 'currency'", { currency = "USD" })
        end
      end)
      raises("unknown option 'on_behalf_of'", client.each_account, client,
        { on_behalf_of = sandbox.sub_account })
      local one = fixture.client { on_behalf_of = sandbox.sub_account }
      raises("is a call of the master account", one.each_account, one)
      assert.equal(0, arrived())
    end)

    it("every wrong value when the first item is asked for", function()
      each(function(list)
        refused(("bad option 'page_size' to '%s' (a whole number from 1 to 100 expected)")
          :format(list.name), list, { page_size = 101 })
      end)
      refused("bad option 'on_behalf_of' to 'each_balance'", lists[1],
        { on_behalf_of = "master" })
      refused("bad option 'currency' to 'each_transaction' (an upper-case currency code "
        .. 'such as "USD" expected, got an empty string)', lists[2], { currency = "" })
      refused("bad option 'transaction_id' to 'each_transaction'", lists[2],
        { transaction_id = "5", start_time = "2026-03-01T00:00:00Z" })
      assert.equal(0, arrived())
      assert.equal(0, client:stats().calls)
    end)

    it("invalid times, and a range that ends before it starts", function()
      local function bad(message, options)
        refused(message .. "' to 'each_transaction'", lists[2], options)
      end
      bad("bad option 'start_time", { start_time = "2026-03-01" })
      bad("bad option 'end_time", { end_time = "2026-03-01T00:00:00" })
      bad("bad option 'end_time", { start_time = "2026-03-01T00:00:00Z", end_time = "x" })
      raises("bad option 'start_time' to 'each_transaction' (string expected, got "
        .. "number)", client.each_transaction, client, { start_time = 1772294400 })
      for _, ends in ipairs {
        { "2026-03-01T00:00:00+08:00", "2026-02-28T15:59:59Z" },
        { "2026-03-01T00:00:00.5Z", "2026-03-01T00:00:00.499999999Z" },
      } do -- a value that may be the user's: as any failure, at the first item
        local range = { start_time = ends[1], end_time = ends[2] }
        local next_item = client:each_transaction(range)
        raises("bad option 'end_time' to 'each_transaction' (not before start_time "
          .. "expected)", next_item)
        range.on_error = "return"
        local item, message, err = client:each_transaction(range)()
        assert.is_false(item)
        failed("invalid_request", nil, message, err)
        assert.equal(0, err.attempts)
        assert.is_false(err.retryable)
      end
      client:each_transaction { start_time = "2026-03-01T00:00:00+08:00",
        end_time = "2026-02-28T16:00:00Z" }
      assert.equal(0, arrived())
    end)

    it("with the place of the mistake in its caller", function()
      local here = debug.getinfo(1, "S").short_src
      for _, options in ipairs { { page_size = "0" }, { page_number = 1 } } do
        local ok, err = pcall(function()
          local next_item = client:each_account(options)
          return next_item
        end)
        assert.is_false(ok)
        assert.equal(here, err:match "^(.-):%d+: ")
      end
    end)

    it("what is no client", function()
      each(function(list)
        assert.is_false((pcall(client[list.name], {})))
        assert.is_false((pcall(client[list.name])))
      end)
    end)
  end)

  describe("and the end of the client:", function()
    local closed = "attempt to use a closed uqpay client"

    it("a closed one makes no iterator", function()
      client:close()
      each(function(list) raises(closed, client[list.name], client) end)
    end)

    it("a page in flight is canceled, with an error", function()
      sandbox.fault { kind = "hang", match = { ["?page_number"] = "2" } }
      local next_item = client:each_account { page_size = 10, on_error = "return" }
      assert(next_item())
      client:close()
      for _ = 2, 10 do assert(next_item()) end
      local item, message, err = next_item()
      assert.is_false(item)
      failed("canceled", nil, message, err)
      sandbox.reset()
      local unused = fixture.client()
      next_item = unused:each_account()
      unused:close()
      raises(closed, next_item)
    end)

    it("a loop may be left at any time", function()
      for _ = 1, 20 do
        local next_item = client:each_account { page_size = 10 }
        assert(next_item())
      end
      collectgarbage()
      collectgarbage()
      assert.equal(45, #walk(lists[3], nil, client:each_account()))
      assert.is_true(arrived() >= 21)
    end)

    if _VERSION >= "Lua 5.4" then
      it("Lua 5.4 cancels the page ahead when a loop is left", function()
        sandbox.fault { kind = "hang", match = { ["?page_number"] = "2" } }
        local run = assert(load [[
          for account in ... do return account end]])
        assert(run(client:each_account { page_size = 10 }))
        assert.equal(1, client:stats().failed)
        sandbox.reset()
        local next_item, _, _, closing = client:each_account()
        assert(next_item())
        getmetatable(closing).__close(closing)
        assert.is_nil(next_item())
      end)
    end

    it("an iterator keeps its client", function()
      local next_item = fixture.client():each_account { page_size = 10 }
      local count = 0
      for _ in next_item do
        count = count + 1
        if count % 10 == 1 then collectgarbage() end
      end
      assert.equal(45, count)
    end)
  end)

  -- The loops run in this very process, each walk in a coroutine of its own.
  local loops = {
    cqueues = driver.has_loop "cqueues" and function(face, bodies, ticks)
      local cqueues = require "cqueues"
      local loop = cqueues.new()
      for _, body in ipairs(bodies) do loop:wrap(body, face) end
      loop:wrap(ticks, function() cqueues.sleep(0.01) end)
      assert(loop:loop())
    end or nil,
    luv = driver.has_loop "luv" and function(face, bodies, ticks)
      local uv = require "luv"
      for _, body in ipairs(bodies) do coroutine.wrap(body)(face) end
      coroutine.wrap(ticks)(function()
        local co, timer = coroutine.running(), uv.new_timer()
        timer:start(10, 0, function()
          timer:close()
          assert(coroutine.resume(co))
        end)
        coroutine.yield()
      end)
      uv.run()
    end or nil,
    copas = pcall(require, "copas") and function(face, bodies, ticks)
      local copas = require "copas"
      local sleep = require "spec.support.copas_sleep"
      local over = false
      for _, body in ipairs(bodies) do copas.addthread(body, face) end
      copas.addthread(function()
        ticks(function() sleep(0.01) end)
        over = true
      end)
      while not over do copas.step(0.005) end -- the loop of copas 1 has no end
    end or nil,
  }

  for loop, run in pairs(loops) do
    it("comes under " .. loop .. ", while others work", function()
      local face = require("uqpay." .. loop)
      local one = face.new(fixture.options())
      sandbox.settings { delay = 0.1 }
      local ids, done, count, errors, loop_count = {}, 0, 0, {}, 0
      local bodies = {}
      each(function(list)
        for size = 40, 41 do
          bodies[#bodies + 1] = function()
            local own = {}
            ids[#ids + 1] = { list, own }
            local next_item = one[list.name](one, { page_size = size })
            local item, message = next_item()
            while item do
              own[#own + 1] = item[list.id]
              item, message = next_item()
            end
            assert.is_nil(item, message)
            done = done + 1
          end
        end
      end)
      bodies[#bodies + 1] = function()
        local closed = { on_behalf_of = sandbox.closed_sub_account, on_error = "return" }
        errors[1] = { one:each_balance(closed)() }
        closed.on_error = nil
        -- Lua 5.1's pcall cannot yield
        errors[2] = yields_in_for and { pcall(function()
          for _ in one:each_balance(closed) do error "an item" end
        end) }
        done = done + 1
      end
      bodies[#bodies + 1] = yields_in_for and function()
        for _ in one:each_account { page_size = 15 } do
          loop_count = loop_count + 1
        end
        done = done + 1
      end or nil
      run(face, bodies, function(sleep)
        while done < #bodies do
          sleep()
          count = count + 1
        end
        one:close()
      end)
      sandbox.settings { delay = 0 }
      assert.equal(6, #ids)
      for _, walked in ipairs(ids) do assert.same(truth(walked[1]), walked[2]) end
      assert.equal(yields_in_for and 45 or 0, loop_count)
      assert.is_false(errors[1][1])
      failed("invalid_request", nil, errors[1][2], errors[1][3])
      if errors[2] then
        assert.is_false(errors[2][1])
        assert.matches("each_balance: HTTP 400", errors[2][2], 1, true)
      end
      assert.is_true(count >= 5, "ticks: " .. count)
    end)
  end

  it("serves one coroutine: another one gets an error in the meantime", function()
    if not driver.has_loop "cqueues" then
      return pending("no package of cqueues for " .. _VERSION)
    end
    local cqueues, face = require "cqueues", require "uqpay.cqueues"
    local one, loop = face.new(fixture.options()), cqueues.new()
    local next_item, first, second = one:each_account(), nil, nil
    sandbox.settings { hold = "all" }
    loop:wrap(function() first = next_item() end)
    loop:wrap(function()
      while arrived() == 0 do cqueues.sleep(0.002) end
      second = { pcall(next_item) }
      sandbox.settings { hold = "" }
    end)
    assert(loop:loop())
    assert.equal(sandbox.accounts()[1].account_id, first.account_id)
    assert.is_false(second[1])
    assert.matches("waits for a page already", second[2], 1, true)
    one:close()
  end)

  it("under a loop is taken outside of it, too", function()
    if not driver.has_loop "cqueues" then
      return pending("no package of cqueues for " .. _VERSION)
    end
    local face = require "uqpay.cqueues"
    local one = face.new(fixture.options())
    assert.same(truth(lists[3]), walk(lists[3], nil, one:each_account()))
    raises("bad option 'page_size' to 'each_account'", one.each_account, one,
      { page_size = "0" })
    walk(lists[3], "invalid_request",
      one:each_account { page_size = 0, on_error = "return" })
    one:close()
  end)
end)
