-- The tests of a small program, an alarm for low balances: no server, no waiting.
--
--   busted examples/testing_spec.lua

local testing = require "uqpay.testing"
local uqpay = require "uqpay"

-- The program. Lines about the balances, of the master account and of all active
-- connected accounts, that are below `least`, and about those that could not be fetched:
-- an alarm must not be silent because of an error.
local function alarm(client, currency, least)
  local lines, queries = {}, { currency }
  local function add(account, text)
    lines[#lines + 1] = account .. ": " .. text
  end
  least = uqpay.amount(least)
  for account, message in client:each_account { on_error = "return" } do
    if not account then
      add("accounts", message)
    elseif account.status == "ACTIVE" then
      queries[#queries + 1] = { currency = currency, on_behalf_of = account.account_id }
    end
  end
  for query, balance, message in client:batch(queries, { amounts = "exact" }) do
    local account = type(query) == "table" and query.on_behalf_of or "master"
    if not balance then
      add(account, message)
    elseif balance.available_balance < least then
      add(account, ("%s %s"):format(currency, tostring(balance.available_balance)))
    end
  end
  table.sort(lines)
  return lines
end

describe("the alarm", function()
  local berlin, paris = "11111111-1111-4111-8111-111111111111", "CB4488338944"
  local sandbox, client

  before_each(function()
    sandbox = testing.sandbox {
      balances = { USD = "5000.25" },
      accounts = {
        { id = berlin, name = "berlin", balances = { USD = "700.00" } },
        { short_id = paris, name = "paris", balances = { USD = "800.00" } },
        { name = "closed", status = "CLOSED" },
      },
    }
    client = sandbox:client()
  end)

  it("is silent while all balances are high enough", function()
    assert.same({}, alarm(client, "USD", "700.00"))
    sandbox:assert_requests(3, "balance") -- none for the closed account
    sandbox:assert_requests(1, "token")
  end)

  it("names an account as long as its balance is low, to the cent", function()
    sandbox:spend("berlin", "USD", "0.01")
    assert.same({ berlin .. ": USD 699.99" }, alarm(client, "USD", "700.00"))
    sandbox:deposit("berlin", "USD", "0.01")
    assert.same({}, alarm(client, "USD", "700.00"))
  end)

  it("gets over a gateway that fails twice", function()
    sandbox:fail { status = 503, times = 2, endpoint = "balance" }
    assert.same({}, alarm(client, "USD", "700.00"))
    sandbox:assert_requests(5, "balance")
    sandbox:assert_no_faults_left()
  end)

  it("gets over an answer that is lost on its way", function()
    sandbox:fail { lost = "after", endpoint = "balance" }
    assert.same({}, alarm(client, "USD", "700.00"))
  end)

  it("tells of an account that fails, and of the others all the same", function()
    sandbox:fail { status = 500, times = 3, account = "berlin" }
    sandbox:spend("paris", "USD", "800.00")
    local lines = alarm(client, "USD", "700.00")
    assert.equal(2, #lines)
    assert.matches("^" .. berlin:gsub("%-", "%%-") .. ": HTTP 500", lines[1])
    assert.matches(": USD 0%.00$", lines[2])
  end)

  it("tells that the accounts are not known", function()
    sandbox:fail { kind = "connect", times = 3, endpoint = "accounts" }
    local lines = alarm(client, "USD", "700.00")
    assert.equal(1, #lines)
    assert.matches("^accounts: ", lines[1])
  end)

  it("logs in again when its token has ended", function()
    alarm(client, "USD", "700.00")
    sandbox:advance(24 * 3600)
    assert.same({}, alarm(client, "USD", "700.00"))
    sandbox:assert_requests(2, "token")
  end)
end)
