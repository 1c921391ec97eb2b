-- A request on a reused connection that stays silent for its share of the time is sent
-- once more. A server that is only slow must not get a second request without need, nor
-- fail a call.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

local title = "a server that answers after 60 % of the timeout"
local CROWD, TIMEOUT, SLOW = 12, 4, 2.4

local function arrived() return #sandbox.requests() end

local function crowd(client, timeout)
  fixture.crowd(client, CROWD, { timeout = timeout or TIMEOUT })
end

describe(title, function()
  local client

  before_each(function() sandbox.reset() end)
  after_each(function() client:close() end)

  for _, version in ipairs { "1.1", "2" } do
    local function slow_from_now_on(seconds)
      sandbox.fault { kind = "delay", seconds = seconds or SLOW, times = 1000 }
    end

    local function connect()
      client = fixture.client { http_version = version, rate_limit = 0 }
    end

    it("is asked once a call, one after another, HTTP/" .. version, function()
      connect()
      slow_from_now_on()
      for _ = 1, 2 do fixture.succeeded(client:balance("USD", { timeout = TIMEOUT })) end
      assert.equal(2, arrived())
    end)

    it("is asked once a call, many at once, HTTP/" .. version, function()
      connect()
      slow_from_now_on()
      for _ = 1, 2 do crowd(client) end
      assert.equal(2 * CROWD, arrived())
    end)

    it("after it was fast, is asked twice by one call, HTTP/" .. version, function()
      connect()
      crowd(client)
      slow_from_now_on(5) -- between one and two thirds of the time, far from either
      local before = arrived()
      crowd(client, 3 * TIMEOUT)
      assert.is_true(arrived() - before <= CROWD + 3, arrived() - before)
      before = arrived()
      crowd(client, 3 * TIMEOUT)
      assert.equal(CROWD, arrived() - before)
    end)
  end
end)
