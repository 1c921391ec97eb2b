-- Totals over accounts and transactions: examples/accounts.lua, compared with the data of
-- the sandbox, which are added up here without the client's own arithmetic.

local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

local fields = { "available_balance", "margin_balance", "frozen_balance" }

-- The millionths in a decimal number with at most six decimals: a whole number that a
-- double can hold.
local function millionths(digits)
  local sign, whole, fraction = digits:match "^(-?)(%d+)%.?(%d*)$"
  assert(whole and #fraction <= 6 and #whole < 10, digits)
  local units = tonumber(whole) * 1000000 + tonumber((fraction .. "000000"):sub(1, 6))
  return sign == "-" and -units or units
end

local function issues_cards(account)
  return table.concat(account.business_code, " "):find "ISSUING" ~= nil
end

-- Runs the example; returns the lines that it prints, and its exit status.
local function run()
  local command = driver.command("env", "UQPAY_BASE_URL=" .. sandbox.url,
    "UQPAY_CA_FILE=" .. sandbox.ca_file, "UQPAY_TOKEN=" .. sandbox.token,
    "UQPAY_RATE_LIMIT=100000", "LUA_CPATH=" .. package.cpath, os.getenv "UQPAY_LUA",
    "examples/accounts.lua")
  local text = driver.output(command .. " 2>&1; echo exit $?")
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines, table.remove(lines)
end

describe("across accounts", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("the example shows every balance and totals to the last digit", function()
    local lines, status = run()
    assert.equal("exit 0", status)
    assert.matches("^account +status", table.remove(lines, 1))
    local expected, totals, inactive = {}, {}, 0
    for _, account in ipairs(sandbox.accounts()) do
      if issues_cards(account) and account.status == "ACTIVE" then
        for _, balance in ipairs(sandbox.balances(account.account_id)) do
          local total = totals[balance.currency] or { 0, 0, 0 }
          totals[balance.currency] = total
          local words = { account.account_id, "ACTIVE", balance.currency }
          for n, field in ipairs(fields) do
            words[#words + 1] = balance[field]
            total[n] = total[n] + millionths(balance[field])
          end
          expected[#expected + 1] = table.concat(words, " ")
        end
      elseif issues_cards(account) then
        inactive = inactive + 1
        expected[#expected + 1] = ("%s %s skipped"):format(account.account_id,
          account.status)
      end
    end
    for n, text in ipairs(expected) do
      assert.equal(text, (lines[n]:gsub(" +", " ")))
    end
    assert.equal(inactive .. " accounts are not active", table.remove(lines))
    for n = #expected + 1, #lines do
      local currency, a, b, c = lines[n]:match "^total +(%u+) +(%S+) +(%S+) +(%S+)$"
      local total = totals[currency]
      assert.same(total, { millionths(a), millionths(b), millionths(c) })
      totals[currency] = nil
    end
    assert.is_nil(next(totals))
    assert.is_true(#expected > 60 and inactive > 5)
  end)

  it("the example asks only for accounts that issue cards and are active", function()
    run()
    local asked = {}
    for _, request in ipairs(sandbox.requests "balances") do
      asked[request.headers["x-on-behalf-of"]] = true
    end
    for _, account in ipairs(sandbox.accounts()) do
      assert.equal(issues_cards(account) and account.status == "ACTIVE",
        asked[account.account_id] or false)
    end
  end)

  -- Makes the list of accounts these two: one that can be used and one that is closed.
  local function list_two(status)
    local items = {}
    for n, id in ipairs { sandbox.sub_account, sandbox.closed_sub_account } do
      items[n] = ('{"account_id":"%s","business_code":["ISSUING"]%s}'):format(id, status)
    end
    sandbox.fault { kind = "answer", endpoint = "accounts", body = '{"total_pages":1,'
      .. '"total_items":2,"data":[' .. table.concat(items, ",") .. "]}" }
  end

  it("the example includes accounts without a status", function()
    for _, status in ipairs {
      "", ',"status":null', ',"status":""', ',"status":"ACTIVE"',
    } do
      list_two(status)
      local lines, exit = run()
      assert.equal("exit 0", exit)
      local text = table.concat(lines, "\n")
      assert.matches("total +USD +111%.11 ", text)
      assert.matches("\n" .. sandbox.closed_sub_account:gsub("-", "%%-")
        .. "[ %u-]+HTTP 400 account_error: ", text)
      assert.matches("1 accounts are not active", text, 1, true)
    end
  end)

  it("the example fails when the list of accounts is incomplete", function()
    sandbox.fault { kind = "status", status = 404, endpoint = "accounts" }
    local lines, status = run()
    assert.equal("exit 1", status)
    local text = table.concat(lines)
    assert.matches("HTTP 404", text, 1, true)
    assert.is_nil(text:find("total", 1, true))
  end)

  it("a failure at one account leaves it out of the totals, and says so", function()
    sandbox.fault { kind = "html", status = 404, endpoint = "balances",
      match = { ["x-on-behalf-of"] = sandbox.other_sub_account } }
    local lines, status = run()
    local text = table.concat(lines, "\n")
    assert.equal("exit 1", status)
    assert.matches(sandbox.other_sub_account .. "  ACTIVE      HTTP 404", text, 1, true)
    assert.matches("the totals lack accounts that failed: 1", text, 1, true)
    local dollars = text:match "total +XUSD +(%S+)"
    assert.equal(millionths "117183.665968" - millionths "44444.4", millionths(dollars))
  end)

  it("the example slows down where the API asks for it", function()
    sandbox.settings { rate_limit = 10, rate_window = 0.5 }
    local lines, status = run()
    assert.equal("exit 0", status)
    assert.equal("8 accounts are not active", lines[#lines])
    assert.is_true(sandbox.counts().statuses["429"] > 0)
  end)
end)

describe("a sum of transactions", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("of 0.1 a thousand times is 100", function()
    sandbox.transaction { account = "empty", amount = "0.1", times = 1000 }
    local client = fixture.client { amounts = "exact",
      token = sandbox.new_token { merchant = "empty" } }
    local total, drifted, count = uqpay.amount(0), 0, 0
    for transaction in client:each_transaction() do
      total = total + transaction.amount
      drifted = drifted + transaction.amount:tonumber()
      count = count + 1
    end
    assert.equal(1000, count)
    assert.equal(uqpay.amount "100", total)
    assert.equal("100.00", total:format "USD")
    assert.equal(10000, total:minor "USD")
    assert.not_equal(100, drifted) -- doubles have drifted
  end)

  it("by currency is that of the sandbox's data, in windows and in pages", function()
    local expected, client = {}, fixture.client { amounts = "exact" }
    for _, item in ipairs(sandbox.transactions()) do
      local currency = item.currency
      expected[currency] = (expected[currency] or 0) + millionths(item.amount)
    end
    for _, options in ipairs {
      { page_size = 10 },
      { start_time = sandbox.first_transaction, end_time = sandbox.last_transaction },
    } do
      local totals = {}
      for item in client:each_transaction(options) do
        local currency = item.currency
        totals[currency] = item.amount + (totals[currency] or 0)
      end
      for currency, total in pairs(totals) do
        assert.equal(expected[currency], millionths(tostring(total)))
      end
    end
  end)
end)
