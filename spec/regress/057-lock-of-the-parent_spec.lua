-- A child that was forked within a function of the token store, or closed the client
-- there, gave the parent's lock back, or a lock twice.

local child = require "spec.support.child"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("a lock", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("is given back by the process that has taken it", function()
    child.run [[
      local fork = require "fork"
      local pid, unlocked
      local c = uqpay.new(options { token_store = {
        get = function() end, set = function() end,
        lock = function()
          pid = fork.fork()
          return true
        end,
        unlock = function() unlocked = true end,
      } })
      local balance, message = c:balance "USD"
      if pid == 0 then
        c:close()
        fork.leave(unlocked and 1 or 7)
      end
      local how, code = fork.wait(pid)
      same("exit 7", how .. " " .. code)
      assert(balance and unlocked, message)
    ]]
  end)

  it("is given back once, though that closes the client", function()
    local client
    local unlocked = 0
    client = uqpay.new(fixture.options { token = false, client_id = sandbox.client_id,
      api_key = sandbox.api_key, token_store = {
        get = function() end, set = function() end, lock = function() return true end,
        unlock = function()
          unlocked = unlocked + 1
          client:close()
        end,
      } })
    fixture.failed("canceled", client:balance "USD")
    assert.equal(1, unlocked)
  end)
end)
