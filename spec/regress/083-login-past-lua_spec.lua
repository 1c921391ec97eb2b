-- The token of a login went through the JSON library and strings of Lua, which are not
-- wiped: though the client wiped its own copy, others were left in freed memory.

local engine = require "engine"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("the token of a login", function()
  -- Side by side, with a NUL behind, only as a string of C or Lua by itself.
  local first, second = "minted20f6", "b83ad5c917"
  local function found() return engine.heap_count(first, second .. "\0") end

  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("is nowhere in memory when the client is closed", function()
    sandbox.fault { kind = "answer", endpoint = "token",
      body = '{"auth_token":"' .. first .. second .. '","expired_at":"33000000000"}' }
    sandbox.fault { kind = "answer", endpoint = "balance", body = fixture.body(7) }
    local client = fixture.client { token = false, client_id = sandbox.client_id,
      api_key = sandbox.api_key }
    assert.equal(7, fixture.succeeded(client:balance "USD").available_balance)
    if found() == 0 then pending "the heap of this process cannot be read" end
    client:close()
    collectgarbage()
    assert.equal(0, found())
  end)
end)
