-- With registers wider than a double (i386) the fraction of a time was rounded twice: it
-- was not the nearest double to the digits.

local driver = require "spec.support.driver"
local random = require "spec.support.random"
local uqpay = require "uqpay"

describe("a fraction of a second", function()
  local function is_nearest(digits)
    local _, fraction = uqpay.parse_time("2024-03-21T17:17:39." .. digits .. "Z")
    return fraction == driver.number("0." .. digits),
      ("%s became %.17g"):format(digits, fraction)
  end

  it("is the nearest double", function()
    for _, digits in ipairs { "137253", "4675483", "1", "000000001", "999999999", "0" } do
      assert.is_true(is_nearest(digits))
    end
    local draw = random.generator()
    for _ = 1, 20000 do
      local nearest, shown = is_nearest(random.digits(draw, draw(9)))
      if not nearest then random.fail("%s", shown) end
    end
  end)
end)
