-- The deadline was not looked at after on_request: a request went out when its time was
-- over, and with it the caller's own key was used up.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local uqpay = require "uqpay"

describe("an on_request that outlasts the timeout", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("ends the call; nothing is sent, and no key is used up", function()
    local delay = 0.03
    local client = fixture.client { on_request = function() socket.sleep(delay) end }
    local own = { idempotency_key = uqpay.uuid(), timeout = 0.02 }
    local err = fixture.failed("timeout", client:balance("USD", own))
    assert.equal(0, err.attempts)
    assert.equal("deadline", err.retry_stopped)
    assert.equal(0, client:stats().attempts)
    assert.equal(0, #sandbox.requests())
    delay, own.timeout = 0, 30
    fixture.succeeded(client:balance("USD", own))
    assert.equal(own.idempotency_key, sandbox.requests()[1].headers["x-idempotency-key"])
  end)

  it("ends the call before a retry as well", function()
    local timeout, began, late
    local client = fixture.client { on_request = function(info)
      if info.attempt == 1 then
        began = socket.gettime()
      else
        late = true
        socket.sleep(math.max(0, began + timeout - socket.gettime()) + 0.01)
      end
    end }
    fixture.given_time(function(seconds)
      sandbox.reset()
      sandbox.fault { kind = "html" }
      timeout = seconds
      local _, message, err = client:balance("USD", { timeout = seconds })
      if not late then return false end
      fixture.failed("timeout", nil, message, err)
      assert.equal(1, err.attempts)
      assert.equal(1, #sandbox.requests())
      return true
    end)
  end)
end)
