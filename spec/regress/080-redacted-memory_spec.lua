-- The function that removes secrets from a text has a normalized copy of both. It freed
-- that memory unwiped, for each error with a text from outside.

local engine = require "engine"

describe("redaction", function()
  -- Escaped, so that they are side by side nowhere but in that copy.
  local first, second = "redact9b", "41f77acd"
  local function escaped(text)
    return (text:gsub(".", function(c) return ("%%%02x"):format(c:byte()) end))
  end
  local secret = escaped(first) .. escaped(second)

  it("leaves no secret in memory", function()
    for _ = 1, 10 do
      assert.equal("a [redacted]", engine.redact("a " .. secret, secret, secret, true))
      assert.equal("nothing", engine.redact("nothing", nil, secret, true))
    end
    assert.equal(0, engine.heap_count(first, second))
  end)
end)
