-- A request on a kept connection that stays silent for its share of the time goes out
-- once more. A server that is merely slow must not be asked twice for nothing by that,
-- nor fail a call.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.support.sandbox"

local TIMEOUT, SLOW = 1.5, 0.9

local function arrived() return #sandbox.requests() end

-- So many requests, at once, of which each is answered after SLOW.
local function at_once(client, count)
  local calls = {}
  for n = 1, count do calls[n] = client:start_balance("USD", { timeout = TIMEOUT }) end
  for n = 1, count do
    while not calls[n]:step() do client:step(1) end
    fixture.succeeded(calls[n]:result())
  end
end

describe("a server that answers after 60 % of the timeout", function()
  local client

  before_each(function() sandbox.reset() end)
  after_each(function() client:close() end)

  for _, version in ipairs { "1.1", "2" } do
    local function slow_from_now_on()
      sandbox.fault { kind = "delay", seconds = SLOW, times = 1000 }
    end

    local function connect()
      client = fixture.client { http_version = version, rate_limit = 0 }
    end

    it("is asked once a call, one after another, HTTP/" .. version, function()
      connect()
      slow_from_now_on()
      for _ = 1, 4 do fixture.succeeded(client:balance("USD", { timeout = TIMEOUT })) end
      assert.equal(4, arrived())
    end)

    it("is asked once a call, many at once, HTTP/" .. version, function()
      connect()
      slow_from_now_on()
      for _ = 1, 3 do at_once(client, 32) end
      assert.equal(96, arrived())
    end)

    it("after it was fast, is asked twice by one call, HTTP/" .. version, function()
      connect()
      at_once(client, 32)
      slow_from_now_on()
      local before = arrived()
      at_once(client, 32)
      assert.is_true(arrived() - before <= 32 + 3, arrived() - before)
      before = arrived()
      at_once(client, 32)
      assert.equal(32, arrived() - before)
    end)
  end
end)
