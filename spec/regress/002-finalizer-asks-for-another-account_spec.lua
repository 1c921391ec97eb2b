-- A finalizer that ran while an answer was judged, and asked with the same client for
-- another account, left its own answer in the buffers that both shared: the outer call
-- returned a balance of the wrong account.

local cjson = require "cjson"
local finalizers = require "spec.support.finalizers"
local sandbox = require "spec.sandbox.sandbox"

-- In the child: the outer call, within which finalizers make calls of their own.
local code = [[
  local cjson, uqpay = require "cjson", require "uqpay"
  local inner = {}
  local client = uqpay.new { base_url = %q, token = %q, amounts = "string",
    retry_delay = 0, timeout = 60, on_response = function() end }
  assert(client:balance "USD")
  arm(200, function(n)
    local ok, balance, message = pcall(client.balance, client, "USD", %s)
    inner[n] = ok and balance and balance.available_balance or message or balance
  end)
  local balance, _, err = client:balance("USD", %s)
  disarm()
  err = err and setmetatable(err, nil)
  print(cjson.encode { outer = balance or err, inner = inner })
  client:close()
]]

local function run(own, other)
  return cjson.decode(finalizers.run(
    code:format(sandbox.http_url, sandbox.token, other, own)))
end

describe("a finalizer that asks for another account", function()
  local sub, master = nil, "{}"
  setup(function()
    sandbox.start()
    sub = ("{ on_behalf_of = %q }"):format(sandbox.sub_account)
  end)
  before_each(function() sandbox.reset() end)

  -- Enough inner calls, and each has its own answer.
  local function check_inner(inner, amount)
    assert.is_true(#inner > 10 and #inner < 190, #inner)
    for _, value in ipairs(inner) do assert.equal(amount, value) end
  end

  it("leaves a balance as it is, either way round", function()
    local result = run(master, sub)
    assert.equal("5000.25", result.outer.available_balance)
    check_inner(result.inner, "111.11")
    result = run(sub, master)
    assert.equal("111.11", result.outer.available_balance)
    check_inner(result.inner, "5000.25")
  end)

  it("leaves an error as it is", function()
    local body = '{"type":"outer_type","code":"outer_code","message":"outer words",'
      .. '"missing_fields":["outer_a","outer_b"]}'
    sandbox.fault { kind = "answer", status = 400, body = body,
      headers = { ["x-request-id"] = "outer-id" },
      match = { ["x-on-behalf-of"] = sandbox.sub_account } }
    local result = run(sub, master)
    local err = result.outer
    assert.same({ "outer_type", "outer_code", "outer-id", body },
      { err.type, err.code, err.request_id, err.body })
    assert.same({ "outer_a", "outer_b" }, err.missing_fields)
    assert.matches("outer words", err.message, 1, true)
    assert.equal(sandbox.sub_account, err.on_behalf_of)
    check_inner(result.inner, "5000.25")
  end)

  it("leaves a balance after a retry as it is", function()
    sandbox.fault { kind = "status", status = 503, store = false,
      match = { ["x-on-behalf-of"] = sandbox.sub_account } }
    local result = run(sub, master)
    assert.equal("111.11", result.outer.available_balance)
    check_inner(result.inner, "5000.25")
  end)
end)
