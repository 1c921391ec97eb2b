-- The tests of alarm.lua: requests to its location, within nginx. `sandbox` is what its
-- client asks, see testing.conf.

local cjson = require "cjson"

local function check(status, expected)
  local answer = ngx.location.capture "/alarm"
  local body = cjson.decode(answer.body)
  assert(answer.status == status, "status " .. answer.status .. ": " .. answer.body)
  for name, value in pairs(expected) do
    assert(body[name] == value, name .. " is wrong: " .. answer.body)
  end
end

sandbox:reset()
check(200, { low = false, available = "5000.25" })

sandbox:spend(nil, "USD", "4990.00")
check(503, { low = true, available = "10.25" })

sandbox:deposit(nil, "USD", "990.00")
sandbox:fail { status = 503, times = 2, retry_after = "9" } -- takes no time here
check(200, { available = "1000.25" })

sandbox:fail { kind = "connect", times = 3 }
check(502, { kind = "connect" })

sandbox:expire_tokens()
check(200, { low = false })
sandbox:assert_requests(2, "token")

ngx.say "passed"
