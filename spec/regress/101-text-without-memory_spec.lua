-- Without memory to take secrets out of an answer's words, they were taken for empty: an
-- error's message and fields were missing, and its kind was another one.

local child = require "spec.support.child"

describe("an error with no memory for its text", function()
  it("is not made one of no words", function()
    local output = child.run([[
      if not scarce.refuse(100000, 1000000) then print "skip" return end
      scarce.refuse()
      local c = uqpay.new(options { client_id = false, api_key = false,
        token = sandbox.token, max_retries = 0 })
      sandbox.fault { kind = "answer", times = 2, status = 400,
        body = '{"type":"idempotency_error","code":"E-1","message":"seen"}' }
      scarce.refuse(100000, 1000000)
      local ok, message = pcall(c.balance, c, "USD")
      scarce.refuse()
      assert(not ok and message:find("not enough memory", 1, true), message)
      local value, message, err = c:balance "USD"
      assert(err.kind == "idempotency" and err.body:find "seen", message)
      assert(c:balance "USD")
    ]], "scarce")
    if output == "skip\n" then pending "the sanitizer has its own malloc" end
  end)
end)
