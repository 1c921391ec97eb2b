-- The sandbox's lists: balances, transactions, connected accounts, in pages.

local curl = require "spec.support.curl"
local sandbox = require "spec.sandbox.sandbox"

local unpack = table.unpack or unpack

local paths = {
  balances = "/v1/issuing/balances",
  transactions = "/v1/issuing/balances/transactions",
  accounts = "/v1/accounts",
}
local ids = {
  balances = "balance_id", transactions = "transaction_id", accounts = "account_id",
}

local function get(name, query, headers)
  return curl.ask { method = "GET", headers = headers,
    path = paths[name] .. (query == "" and "" or "?" .. query) }
end

local function page(name, number, more, headers)
  return get(name, "page_size=10&page_number=" .. number .. (more or ""), headers)
end

local function behalf(id)
  return { ["x-on-behalf-of"] = id }
end

-- All items, page by page, of so many pages, with the totals of the last one.
local function walk(name, size, more, headers)
  local items, number = {}, 0
  while true do
    number = number + 1
    local answer = get(name,
      ("page_size=%d&page_number=%d%s"):format(size, number, more or ""), headers)
    assert.equal(200, answer.status, answer.body)
    for _, item in ipairs(answer.json.data) do items[#items + 1] = item end
    if number >= answer.json.total_pages then return items, answer.json end
  end
end

local function column(list, name)
  local values = {}
  for n, item in ipairs(list) do values[n] = item[name] end
  return values
end

local function refused(answer, message)
  assert.equal(400, answer.status, answer.body)
  assert.same({ type = "invalid_request_error", code = "invalid_request_error",
    message = message }, answer.json)
end

local function escaped(text)
  return (text:gsub("[^%w-._~]", function(byte)
    return ("%%%02X"):format(byte:byte())
  end))
end

local function window(from, to)
  return "&start_time=" .. escaped(from) .. "&end_time=" .. escaped(to)
end

describe("the sandbox lists", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  describe("balances", function()
    it("as they are, digit for digit", function()
      local answer = page("balances", 1)
      assert.equal(200, answer.status)
      assert.equal("application/json", answer.headers["content-type"])
      assert.matches('^{"total_pages":1,"total_items":3,"data":%[{"balance_id":'
        .. '"0b1d6f5e%-2c43%-4f0a%-8d5b%-6a1e93c7d210","currency":"SGD",'
        .. '"available_balance":10000.00,"margin_balance":0,"frozen_balance":%-0.01,'
        .. '"create_time":"2024%-03%-21T17:17:32%+08:00",'
        .. '"last_trade_time":"2026%-11%-02T09:05:00%+08:00",'
        .. '"balance_status":"ACTIVE"},{.*}%]}$', answer.body)
      assert.same({ "SGD", "USD", "XUSD" }, column(answer.json.data, "currency"))
      sandbox.settings { amounts = "string" }
      assert.matches('"available_balance":"12345678901234567890.12"',
        page("balances", 1).body, 1, true)
      sandbox.balance { currency = "USD", available_balance = "1.50" }
      assert.matches('"available_balance":"1.50"', page("balances", 1).body, 1, true)
    end)

    it("with strings where one balance has numbers, if set so", function()
      sandbox.settings { amounts = "mixed" }
      assert.matches('"available_balance":"5000.25"', page("balances", 1).body, 1, true)
      assert.matches('"available_balance":5000.25,', curl.ask().body, 1, true)
      assert.matches('"amount":"', page("transactions", 1).body, 1, true)
    end)

    it("of a connected account, or of another merchant", function()
      assert.same({ "SGD", "USD" }, column(
        page("balances", 1, "", behalf(sandbox.sub_account)).json.data, "currency"))
      local other = { ["x-auth-token"] = "Bearer " .. sandbox.other_token }
      assert.matches("66666.60", page("balances", 1, "", other).body, 1, true)
    end)

    it("in pages, with the digits of their currencies", function()
      local items, totals = walk("balances", 10, "", behalf(sandbox.many_sub_account))
      assert.equal(25, totals.total_items)
      assert.equal(3, totals.total_pages)
      local expected = sandbox.balances(sandbox.many_sub_account)
      assert.same(column(expected, "balance_id"), column(items, "balance_id"))
      local digits = {}
      for _, item in ipairs(expected) do
        digits[item.currency] = #(item.available_balance:match "%.(%d+)$" or "")
      end
      assert.equal(0, digits.JPY)
      assert.equal(2, digits.EUR)
      assert.equal(3, digits.KWD)
      assert.equal(6, digits.XUSD)
    end)
  end)

  describe("connected accounts", function()
    it("in pages, of several businesses and statuses", function()
      local items, totals = walk("accounts", 10)
      assert.equal(45, totals.total_items)
      assert.equal(5, totals.total_pages)
      assert.same(sandbox.accounts(), items)
      local seen = {}
      for _, item in ipairs(items) do
        assert.is_nil(seen[item.account_id])
        seen[item.account_id] = true
        seen[item.status] = true
        for _, business in ipairs(item.business_code) do seen[business] = true end
      end
      for _, word in ipairs {
        "ISSUING", "BANKING", "ACQUIRING", "ACTIVE", "PROCESSING", "INACTIVE", "CLOSED",
        "PENDING", "SUSPENDED", "REVIEW", sandbox.sub_account,
      } do
        assert.is_true(seen[word], word)
      end
    end)

    it("with every field", function()
      local item = page("accounts", 1).json.data[2]
      assert.same({
        account_id = sandbox.other_sub_account,
        short_reference_id = sandbox.short_other_sub_account,
        business_code = { "BANKING", "ISSUING" }, email = "owner3@example.com",
        account_name = "other sub account", status = "ACTIVE",
        verification_status = "APPROVED", country = "HK", entity_type = "COMPANY",
        contact_details = { email = "owner3@example.com", phone = "+6580000003" },
        business_details = { country = "SG",
          legal_entity_name = "other sub account Pte. Ltd. 有限公司" },
      }, item)
    end)

    it("without their status if set so", function()
      sandbox.settings { accounts_status = "missing" }
      local items = walk("accounts", 100)
      local people = 0
      for _, item in ipairs(items) do
        assert.is_nil(item.status)
        assert.is_string(item.account_id)
        assert.equal(item.entity_type == "INDIVIDUAL", item.person_details ~= nil)
        assert.equal(item.person_details ~= nil, item.residential_address ~= nil)
        if item.person_details then people = people + 1 end
      end
      assert.is_true(people > 0 and people < #items)
    end)

    it("with short ids that are as good as the long ones", function()
      for _, account in ipairs(sandbox.accounts()) do
        assert.matches("^CB%d%d%d%d%d%d%d%d%d%d$", account.short_reference_id)
      end
      local function both(name)
        local long = page("balances", 1, "", behalf(sandbox[name]))
        local short = page("balances", 1, "", behalf(sandbox["short_" .. name]))
        assert.equal(long.status, short.status)
        assert.equal(long.body, short.body)
        return short.status
      end
      assert.equal(200, both "sub_account")
      assert.equal(200, both "many_sub_account")
      for _, name in ipairs { "closed", "banking", "foreign" } do
        assert.equal(400, both(name .. "_sub_account"))
      end
      for _, id in ipairs { "CB0000000000", sandbox.short_sub_account:lower() } do
        assert.equal(400, page("balances", 1, "", behalf(id)).status)
      end
    end)

    it("one key for an account, whichever of its ids is used", function()
      local key = curl.new_key()
      local function ask(id)
        return curl.ask { headers = { ["x-idempotency-key"] = key,
          ["x-on-behalf-of"] = id } }
      end
      local first = ask(sandbox.sub_account).body
      sandbox.balance { account = sandbox.short_sub_account, currency = "USD",
        available_balance = "1.23" }
      assert.equal(first, ask(sandbox.short_sub_account).body)
      assert.equal("1.23", sandbox.balances(sandbox.sub_account)[2].available_balance)
    end)

    it("that may be acted for if they are active and issue cards", function()
      local counts = { [200] = 0, [400] = 0 }
      for _, account in ipairs(sandbox.accounts()) do
        local usable = account.status == "ACTIVE"
          and table.concat(account.business_code, " "):find "ISSUING"
        local status = usable and 200 or 400
        counts[status] = counts[status] + 1
        -- every fourth is enough: each is a process
        if counts[status] % 4 == 1 then
          local answer = page("balances", 1, "", behalf(account.account_id))
          assert.equal(status, answer.status, account.account_id)
          if usable then assert.is_true(#answer.json.data > 1) end
        end
      end
      assert.is_true(counts[200] > 15)
      assert.is_true(counts[400] > 10)
    end)

    it("to the merchant only", function()
      for _, id in ipairs { sandbox.sub_account, "nonsense", "" } do
        local answer = page("accounts", 1, "", behalf(id))
        assert.equal(400, answer.status)
        assert.same({ code = 400, message = "x-on-behalf-of: must not be sent" },
          answer.json)
      end
    end)

    it("with another code for a rejected token, if set so", function()
      local expired = { ["x-auth-token"] = "Bearer " .. sandbox.expired_token }
      assert.equal(401, page("accounts", 1, "", expired).status)
      sandbox.settings { accounts_refusal = "403" }
      for _, headers in ipairs { expired, { ["x-auth-token"] = false } } do
        local answer = page("accounts", 1, "", headers)
        assert.equal(403, answer.status)
        assert.same({ code = 403, message = "Authorization error" }, answer.json)
      end
      assert.equal(200, page("accounts", 1).status)
      assert.equal(401, page("balances", 1, "", expired).status)
    end)

    it("wrong arguments in the flat shape", function()
      local answer = get("accounts", "page_size=10")
      assert.equal(400, answer.status)
      assert.same({ code = 400, message = "page_number: is required" }, answer.json)
    end)
  end)

  describe("transactions", function()
    local first, last, all
    setup(function()
      all = sandbox.transactions()
      first, last = sandbox.first_transaction, sandbox.last_transaction
    end)

    -- The ids of those between two times, both included, as the truth has them.
    local function ids_of(from, to, fits)
      local list = {}
      for _, item in ipairs(all) do
        if item.time >= from and item.time <= to and (not fits or fits(item)) then
          list[#list + 1] = item.transaction_id
        end
      end
      return list
    end

    it("by the hundred, over more than 200 days, newest first", function()
      assert.equal(428, #all)
      assert.equal(last, all[1].create_time)
      assert.equal(first, all[#all].create_time)
      assert.equal(230 * 86400, all[1].time - all[#all].time)
      local seen, alike = {}, 0
      for n, item in ipairs(all) do
        assert.is_nil(seen[item.transaction_id])
        seen[item.transaction_id] = true
        if n > 1 then
          assert.is_true(item.time <= all[n - 1].time)
          if item.time == all[n - 1].time then alike = alike + 1 end
        end
      end
      assert.is_true(alike > 40)
      local items, totals = walk("transactions", 100)
      assert.same(column(all, "transaction_id"), column(items, "transaction_id"))
      assert.equal(428, totals.total_items)
      assert.equal(5, totals.total_pages)
    end)

    it("three at once where windows of 90 days meet", function()
      local start, stop, window_length = all[#all].time, all[1].time, 90 * 86400
      for _, seam in ipairs {
        start, start + window_length, start + 2 * window_length,
        stop, stop - window_length, stop - 2 * window_length,
      } do
        assert.is_true(#ids_of(seam, seam) >= 3)
        assert.is_true(#ids_of(seam - 1, seam + 1) > #ids_of(seam, seam))
      end
    end)

    it("with every field, digit for digit", function()
      local body = page("transactions", 1).body
      local item = all[1]
      assert.matches(('"data":[{"transaction_id":"%s","short_transaction_id":"%s",'
        .. '"account_id":"%s","balance_id":"%s","transaction_type":"%s",'
        .. '"currency":"%s","amount":%s,"create_time":"%s","complete_time":"%s",'
        .. '"transaction_status":"%s","ending_balance":%s,"description":"%s"},'):format(
        item.transaction_id, item.short_transaction_id, item.account_id, item.balance_id,
        item.transaction_type, item.currency, item.amount, item.create_time,
        item.complete_time, item.transaction_status, item.ending_balance,
        item.description), body, 1, true)
      sandbox.settings { amounts = "string" }
      body = page("transactions", 1).body
      assert.matches('"amount":"' .. item.amount .. '"', body, 1, true)
      assert.matches('"ending_balance":"' .. item.ending_balance .. '"', body, 1, true)
    end)

    it("the same at every start", function()
      assert.same({ "83184cbd-b3ea-4901-81eb-e8451d676fd3", "1523.69", "ADJUSTMENT" },
        { all[7].transaction_id, all[7].amount, all[7].transaction_type })
    end)

    it("by type, status, currency and id", function()
      for _, name in ipairs { "transaction_type", "transaction_status", "currency" } do
        local values = {}
        for _, item in ipairs(all) do values[item[name]] = true end
        local value = next(values)
        local items = walk("transactions", 100, "&" .. name .. "=" .. value)
        assert.is_true(#items > 0)
        assert.same(ids_of(0, 1e12, function(item) return item[name] == value end),
          column(items, "transaction_id"))
      end
      local one = page("transactions", 1, "&transaction_id=" .. all[9].transaction_id)
      assert.same({ all[9].transaction_id }, column(one.json.data, "transaction_id"))
      local both = page("transactions", 1, "&transaction_id=" .. all[9].transaction_id
        .. "&currency=" .. (all[9].currency == "USD" and "SGD" or "USD"))
      assert.matches('{"total_pages":0,"total_items":0,"data":[]}', both.body, 1, true)
      for query, message in pairs {
        ["&transaction_type=GIFT"] = "transaction_type: unknown",
        ["&transaction_status=DONE"] = "transaction_status: unknown",
        ["&currency=usd"] = "currency: must be a currency code",
        ["&currency="] = "currency: must be a currency code",
        ["&transaction_id=%20"] = "transaction_id: must be a UUID",
      } do
        refused(page("transactions", 1, query), message)
      end
    end)

    it("of a window, whatever offset its times have", function()
      local from, to = "2026-03-01T00:00:00+08:00", "2026-05-29T23:59:59.5+08:00"
      local expected = ids_of(1772294400, 1780070399.5)
      assert.is_true(#expected > 100)
      for _, ends in ipairs {
        { from, to }, { "2026-02-28T16:00:00Z", "2026-05-29T15:59:59Z" },
        { "2026-02-28T10:30:00-05:30", "2026-05-29T23:59:59+08:00" },
      } do
        local items = walk("transactions", 100, window(ends[1], ends[2]))
        assert.same(expected, column(items, "transaction_id"))
      end
      local later = walk("transactions", 100, "&start_time=" .. escaped(from))
      assert.same(ids_of(1772294400, 1e12), column(later, "transaction_id"))
      local earlier = walk("transactions", 100, "&end_time=" .. escaped(from))
      assert.same(ids_of(0, 1772294400), column(earlier, "transaction_id"))
    end)

    it("of a window whose ends belong to it, or not", function()
      local seam = escaped "2026-05-02T00:00:00+08:00"
      local function total(query)
        return page("transactions", 1, query).json.total_items
      end
      local function both()
        return total("&end_time=" .. seam) + total("&start_time=" .. seam)
      end
      local there = total("&start_time=" .. seam .. "&end_time=" .. seam)
      assert.is_true(there >= 3)
      assert.equal(428 + there, both())
      for bounds, more in pairs { ["[)"] = 0, ["(]"] = 0, ["()"] = -there } do
        sandbox.settings { bounds = bounds }
        assert.equal(428 + more, both(), bounds)
      end
    end)

    it("of 90 days at most, times in ISO 8601 with an offset", function()
      local from, limit = "2026-03-01T00:00:00+08:00", "2026-05-30T00:00:00+08:00"
      assert.equal(200, page("transactions", 1, window(from, limit)).status)
      local wrong = "end_time: must be at most 90 days after start_time"
      for _, to in ipairs { "2026-05-30T00:00:01+08:00", "2026-05-30T00:00:00.1+08:00",
        "2026-05-30T00:00:00+07:59" } do
        refused(page("transactions", 1, window(from, to)), wrong)
      end
      refused(page("transactions", 1, window(limit, from)),
        "end_time: must not be before start_time")
      wrong = "start_time: must be an ISO 8601 time with an offset"
      for _, text in ipairs {
        "2026-03-01T00:00:00+08:00",                    -- the plus is a blank
        "2026-03-01T00:00:00", "2026-03-01", "1772294400", "",
        "2026-03-01T00:00:00%2B8", "2026-03-01T00:00:00%2B0800", "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z", "2026-03-01T24:00:00Z", "2026-03-01T00:00:60Z",
        "2026-03-01%2000:00:00Z", "2026-03-01T00:00:00.Z",
        "2026-03-01T00:00:00%252B08:00", "2026-03-01T00:00:00%2B08:00%0A",
      } do
        refused(page("transactions", 1, "&start_time=" .. text), wrong)
      end
      local leap_day = "&start_time=2024-02-29T00:00:00Z"
      assert.equal(200, page("transactions", 1, leap_day).status)
    end)

    it("of each account its own", function()
      local sub = sandbox.transactions(sandbox.sub_account)
      assert.equal(178, #sub)
      local items = walk("transactions", 100, "", behalf(sandbox.sub_account))
      assert.same(column(sub, "transaction_id"), column(items, "transaction_id"))
      assert.equal(sandbox.sub_account, items[1].account_id)
      assert.equal(400, page("transactions", 1, "", behalf "nonsense").status)
    end)

    it("that were added on order, in their places", function()
      local middle = sandbox.transaction { create_time = "2026-05-02T00:00:00+08:00",
        amount = "-12.30", transaction_type = "FEE" }
      local newest = sandbox.transaction { create_time = "2026-10-01T00:00:00Z" }
      local oldest = sandbox.transaction { create_time = "2020-01-01T00:00:00Z" }
      local items = walk("transactions", 100)
      assert.equal(431, #items)
      assert.equal(newest, items[1].transaction_id)
      assert.equal(oldest, items[431].transaction_id)
      local answer = page("transactions", 1, "&transaction_id=" .. middle)
      assert.matches('"amount":-12.30,', answer.body, 1, true)
      sandbox.transaction { times = 1000, account = sandbox.banking_sub_account }
      assert.equal(1000, #sandbox.transactions(sandbox.banking_sub_account))
      sandbox.reset()
      assert.equal(428, #sandbox.transactions())
      for text, order in pairs {
        ["unknown field: colour"] = { colour = "red" },
        ["amount must be text"] = { amount = 1 },
        ["create_time must be like"] = { create_time = "today" },
        ["unknown account"] = { account = "nobody" },
      } do
        local ok, err = pcall(sandbox.transaction, order)
        assert.is_false(ok)
        assert.matches(text, err, 1, true)
      end
    end)
  end)

  describe("all", function()
    local function each(check)
      for name in pairs(paths) do check(name) end
    end

    it("with a token, without a key", function()
      each(function(name)
        local key = curl.new_key()
        assert.equal(401, page(name, 1, "", { ["x-auth-token"] = false }).status)
        assert.equal(200, page(name, 1, "", { ["x-idempotency-key"] = key }).status)
        local entry = sandbox.requests(name)[2]
        assert.equal(key, entry.headers["x-idempotency-key"])
        assert.equal("page_size=10&page_number=1", entry.query)
      end)
    end)

    it("only where pages are asked for by size and number", function()
      local function message(answer)
        assert.equal(400, answer.status, answer.body)
        return answer.json.message
      end
      local number = "page_number: must be an integer of at least 1"
      each(function(name)
        local least = name == "accounts" and 1 or 10
        local size = ("page_size: must be an integer from %d to 100"):format(least)
        for query, expected in pairs {
          [""] = "page_size: is required",
          ["page_number=1"] = "page_size: is required",
          ["page_size=10"] = "page_number: is required",
          ["page_size=" .. least - 1 .. "&page_number=1"] = size,
          ["page_size=101&page_number=1"] = size,
          ["page_size=&page_number=1"] = size, ["page_size=1e1&page_number=1"] = size,
          ["page_size=10&page_number=0"] = number,
          ["page_size=10&page_number=-1"] = number,
          ["page_size=10&page_number=1.5"] = number,
          ["page_size=10&page_number=1&page_size=10"] = "page_size: must not be repeated",
          ["page_size=10&page_number=%zz"] = "query: malformed: page_number=%zz",
          ["page_size=10&page_number"] = "query: malformed: page_number",
        } do
          assert.equal(expected, message(get(name, query)), name .. " " .. query)
        end
      end)
      assert.equal(1, #get("accounts", "page_size=1&page_number=3").json.data)
      assert.equal(200, get("balances", "page_size=100&page_number=1&colour=red").status)
      assert.equal(200, get("balances", "page%5Fsize=%31%30&page_number=1").status)
    end)

    it("nothing after the last page", function()
      local answer = page("accounts", 6)
      assert.matches('{"total_pages":5,"total_items":45,"data":[]}', answer.body, 1, true)
    end)

    it("by GET only", function()
      each(function(name)
        local answer = curl.ask { method = "DELETE", path = paths[name] }
        assert.equal(405, answer.status)
        assert.equal(name == "balances" and "GET, POST" or "GET", answer.headers.allow)
      end)
      local no_list = { method = "GET", path = "/v1/issuing/balances/1" }
      assert.equal(404, curl.ask(no_list).status)
    end)

    it("within the merchant's limit", function()
      sandbox.settings { rate_limit = 3 }
      local statuses = {}
      each(function(name) statuses[#statuses + 1] = page(name, 1).status end)
      assert.same({ 200, 200, 200 }, statuses)
      each(function(name) statuses[#statuses + 1] = page(name, 1).status end)
      assert.same({ 200, 200, 200, 429, 429, 429 }, statuses)
      assert.equal(429, curl.ask().status)
      assert.equal(4, sandbox.counts().statuses["429"])
    end)

    it("with faults on order, at one endpoint or one page", function()
      each(function(name)
        sandbox.fault { kind = "html", endpoint = name,
          match = { ["?page_number"] = "2" } }
        assert.equal(200, page(name, 1).status)
        assert.equal(502, page(name, 2).status)
        assert.equal(200, page(name, 2).status)
        sandbox.fault { kind = "status", endpoint = name }
        assert.equal(500, page(name, 1).status)
        sandbox.fault { kind = "truncate", bytes = 4 }
        assert.equal('{"to', page(name, 1).body)
      end)
    end)
  end)

  describe("errors, if set so:", function()
    local function items_of(name, number)
      return column(page(name, number).json.data, ids[name])
    end

    it("a list that grows in front while it is read", function()
      for name in pairs(paths) do
        local before = page(name, 1).json.total_items
        sandbox.settings { pages = "shift" }
        local one = page(name, 1).json
        local again = page(name, 1).json
        assert.equal(before, one.total_items)
        assert.equal(before + 1, again.total_items)
        assert.not_equal(one.data[1][ids[name]], again.data[1][ids[name]])
        assert.equal(one.data[1][ids[name]], again.data[2][ids[name]])
        assert.equal(before + 2, page(name, 1).json.total_items)
        sandbox.settings { pages = "right" }
      end
      sandbox.settings { pages = "shift" }
      sandbox.reset()
      sandbox.settings { pages = "shift" }
      local one, two = items_of("accounts", 1), items_of("accounts", 2)
      assert.equal(one[10], two[1])
    end)

    it("a list that shrinks in front", function()
      local three = items_of("accounts", 2)
      sandbox.settings { pages = "shrink" }
      items_of("accounts", 1)
      assert.same({ three[2], three[3] }, { unpack(items_of("accounts", 2), 1, 2) })
      assert.equal(43, page("accounts", 1).json.total_items)
    end)

    it("the first page for ever", function()
      local first = items_of("transactions", 1)
      sandbox.settings { pages = "repeat" }
      for number = 1, 3 do
        assert.same(first, items_of("transactions", number))
        assert.equal(1000000, page("transactions", number).json.total_pages)
      end
    end)

    it("totals", function()
      local forms = {
        zero = { "0", "0" }, negative = { "-1", "-1" }, fraction = { "5.5", "45.5" },
        huge = { "1000000000", "1000000000" }, string = { '"5"', '"45"' },
        null = { "null", "null" }, right = { "5", "45" },
      }
      for form, texts in pairs(forms) do
        sandbox.settings { total_pages = form, total_items = form }
        assert.matches(('{"total_pages":%s,"total_items":%s,"data":[{'):format(
          texts[1], texts[2]), page("accounts", 1).body, 1, true)
      end
      sandbox.settings { total_pages = "missing", total_items = "right" }
      assert.matches('{"total_items":45,"data":[{', page("accounts", 1).body, 1, true)
    end)

    it("data", function()
      local forms = {
        object = "{}", string = '"%[%]"', null = "null", array = "%[{.*}%]",
        odd_item = "%[{.*},5%]",
      }
      for form, pattern in pairs(forms) do
        sandbox.settings { data = form }
        assert.matches('^{"total_pages":5,"total_items":45,"data":' .. pattern .. "}$",
          page("accounts", 1).body)
      end
      sandbox.settings { data = "missing" }
      assert.equal('{"total_pages":5,"total_items":45}', page("accounts", 1).body)
    end)

    it("an item without a field", function()
      sandbox.settings { item_without = "create_time" }
      local data = page("transactions", 1).json.data
      assert.is_string(data[9].create_time)
      assert.is_nil(data[10].create_time)
      assert.is_string(data[10].complete_time)
    end)
  end)
end)
