-- A call that began while a login was being finished, in the store's unlock or a
-- finalizer that ran there, began a login that was removed from the client's table with
-- the one before: it was collected while it was in use.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"

local code = [[
  local mode, client, second = %q
  local function begin()
    if not second then second = { pcall(client.start_balance, client, "USD") } end
  end
  local api_key = sandbox.api_key
  client = uqpay.new(options {
    api_key = %s, max_retries = 0,
    token_store = {
      get = function() return nil end, set = function() return true end,
      lock = function() return true end,
      unlock = function()
        if mode == "unlock" then begin() else collectgarbage() end
        return true
      end,
    },
  })
  if mode == "finalizer" then
    local garbage = newproxy and newproxy(true)
    if garbage then
      getmetatable(garbage).__gc = begin
    else
      setmetatable({}, { __gc = begin })
    end
    garbage = nil
  end
  local function finish(call)
    wait_until(function() return call:step() end, function() client:step(0.1) end)
    return call:result()
  end
  for _ = 1, 2 do
    local balance, _, err = finish(client:start_balance "USD")
    assert(balance or err.kind == "auth", err)
    client:invalidate_token()
    collectgarbage()
    collectgarbage()
  end
  assert(second and second[1], second and second[2])
  local balance, _, err = finish(second[2])
  assert(balance or err.kind == "auth", err)
]]

describe("a call that begins while a login is being finished", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, mode in ipairs { "unlock", "finalizer" } do
    for name, key in pairs { refused = '"wrong"', good = "api_key" } do
      it("is served or refused, out of a store's " .. mode .. ", " .. name, function()
        child.run(code:format(mode, key))
      end)
    end
  end
end)
