-- Without memory to read a long number, a count was called none, and a code of 500 in the
-- body of a 200 not seen: with amounts = "string" the call gave the balance beside it.

local child = require "spec.support.child"

describe("a long number that there is no memory to read", function()
  -- A call that meets the answer twice, without and with memory.
  local function check(body, call, judge)
    local output = child.run(([[
      if not scarce.refuse(3002, 3003) then print "skip" return end
      scarce.refuse()
      local c = uqpay.new(options { client_id = false, api_key = false,
        token = sandbox.token, amounts = "string", max_retries = 0 })
      local digits = "." .. ("0"):rep(2996)
      sandbox.fault { kind = "answer", times = 2, body = (%s):gsub("%%.", digits) }
      scarce.refuse(3002, 3003)
      local ok, message = pcall(function() return %s end)
      scarce.refuse()
      assert(not ok and message:find("not enough memory", 1, true), message)
      local value, message, err = %s
      assert(%s, message)
      assert(%s)
    ]]):format(body, call, call, judge, call), "scarce")
    if output == "skip\n" then pending "the sanitizer has its own malloc" end
  end

  it("is no reason to call a count bad", function()
    check([['{"total_pages":1.0e0,"total_items":0,"data":[]}']], "c:balances()",
      "value.total_pages == 1")
  end)

  it("does not make a balance beside an error valid", function()
    check([['{"code":500.e0,"balance_id":"x","currency":"USD","available_balance":1,'
      .. '"margin_balance":1,"frozen_balance":1,"create_time":"","last_trade_time":"",'
      .. '"balance_status":"ACTIVE"}']], "c:balance 'USD'", "err.kind == 'api'")
  end)
end)
