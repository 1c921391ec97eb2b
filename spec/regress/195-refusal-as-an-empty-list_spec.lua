-- An error in the body of a 200 that has the fields of a list without items, as
-- gateways send that fill in zeros, was taken for the empty list: no transactions.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("a refusal with the fields of an empty list", function()
  local client

  fixture.with_client(function(made) client = made end, { max_retries = 0 })

  local function order(body)
    sandbox.fault { kind = "answer", body = body }
  end

  local empty = '"total_pages":0,"total_items":0,"data":null'
  local refusal = '"type":"account_error","code":"account_not_active","message":"no"'

  it("is an error for every list", function()
    for _, method in ipairs { "balances", "transactions", "accounts" } do
      order("{" .. refusal .. "," .. empty .. "}")
      local err = fixture.failed("api", client[method](client))
      assert.equal("account_error", err.type)
      assert.equal("account_not_active", err.code)
      assert.matches("HTTP 200 account_error: no", err.message, 1, true)
    end
    order('{"code":"x","message":"no",' .. empty:gsub("null", "[]") .. "}")
    fixture.failed("api", client:accounts())
    for _, more in ipairs {
      '"message":"no"', '"error":"no"', '"error":{"message":"no"}',
      '"code":"40001","message":"no"', '"code":"E1","message":"Unsuccessful"',
    } do
      order("{" .. more .. "," .. empty .. "}")
      assert.matches("HTTP 200.*[:u].*", fixture.failed("api", client:accounts()).message)
    end
  end)

  it("ends an iterator", function()
    order("{" .. refusal .. "," .. empty .. "}")
    local ok, message = pcall(client:each_transaction())
    assert.is_false(ok)
    assert.matches("account_error: no .*%(api%)$", message)
  end)

  it("is an error beside a balance", function()
    order((fixture.body(1, "USD"):gsub("}$", ',"code":"x","message":"no"}')))
    fixture.failed("api", client:balance "USD")
  end)

  it("is not an error if it reports no failure", function()
    for _, more in ipairs {
      '"code":"","message":""', '"code":"SUCCESS","message":"ok"', '"code":"x"',
      '"code":"0000","message":"success"', '"code":"x","message":"Success"',
      '"code":"x","message":null', '"code":"","message":"ok"', '"error":null',
      '"error":"","message":""', '"code":"399","message":"Success"',
    } do
      order("{" .. more .. "," .. empty .. "}")
      assert.equal(0, #assert(client:transactions()).data, more)
    end
  end)
end)
