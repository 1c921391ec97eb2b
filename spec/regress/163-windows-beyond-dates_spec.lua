-- On systems with 32 bits for a time, os.date ends in 2038: a longer range of
-- transactions raised "time out-of-bounds" out of the iterator.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("a range of transactions", function()
  local client, date = nil, os.date

  fixture.with_client(function(made) client = made end)

  -- The same without what a system with 32 bits has no dates for.
  local function narrow_date(format, time) -- luacheck: ignore
    if time and (time < -2 ^ 31 or time >= 2 ^ 31) then
      error "bad argument #2 to 'date' (time out-of-bounds)"
    end
    return date(format, time)
  end

  before_each(function() os.date = narrow_date end) -- luacheck: ignore
  after_each(function() os.date = date end)         -- luacheck: ignore

  it("is split where the system has no dates", function()
    local windows = 0
    for _, ends in ipairs {
      { "2025-01-01T00:00:00Z", "2039-01-01T00:00:00Z" },
      { "1899-01-01T00:00:00Z", "1902-01-01T00:00:00Z" },
    } do
      sandbox.reset()
      local count = 0
      for _ in client:each_transaction { start_time = ends[1], end_time = ends[2],
        transaction_id = uqpay.uuid() } do count = count + 1 end
      assert.equal(0, count)
      windows = windows + #sandbox.requests()
    end
    assert.equal(math.ceil(5113 / 89) + math.ceil(1095 / 89), windows)
  end)
end)
