-- Under the program's clock a call that blocked waited for ever, and no time passed,
-- while another call of the client was due that the program had not stepped yet.

local fixture = require "spec.support.fixture"
local uqpay = require "uqpay"

local now, answers
local clock = {
  now = function() return now end,
  sleep = function(seconds) now = now + seconds end,
}

local function client()
  return uqpay.new {
    token = "token-of-the-program", clock = clock,
    transport = function() return table.remove(answers, 1) end,
  }
end

local function unavailable(seconds)
  return { status = 503, body = "", headers = { ["retry-after"] = seconds } }
end

-- Runs f; what waits for ever raises after some seconds, by a debug hook.
local function in_time(f)
  local ends = os.time() + 5
  debug.sethook(function()
    if os.time() <= ends then return end
    debug.sethook()
    error("it waits for ever", 0)
  end, "", 1)
  local ok, err = pcall(f)
  debug.sethook()
  assert.is_true(ok, err)
end

describe("beside a call that is due, time passes", function()
  local ok = { status = 200, body = fixture.body "1.50" }

  before_each(function()
    now, answers = 1700000000, { ok, unavailable(5), ok }
  end)

  it("for a call that blocks", function()
    local c = client()
    local call = c:start_balance "USD"
    in_time(function() fixture.succeeded(c:balance "USD") end)
    assert.equal(1700000005, now)
    assert.is_true(call:step())
    fixture.succeeded(call:result())
  end)

  it("for a batch", function()
    local c = client()
    local call = c:start_balance "USD"
    in_time(function()
      for _, balance, message in c:batch { "USD" } do
        assert.is_table(balance, message)
      end
    end)
    assert.equal(1700000005, now)
    fixture.finish(c, { call })
  end)

  it("for an iterator over a list", function()
    local c = client()
    local call = c:start_balance "USD"
    answers[2] = { status = 200, body = '{"total_pages":1,"total_items":0,"data":[]}' }
    in_time(function()
      for item in c:each_balance() do assert.is_nil(item) end
    end)
    assert.equal(1700000005, now)
    fixture.finish(c, { call })
  end)
end)
