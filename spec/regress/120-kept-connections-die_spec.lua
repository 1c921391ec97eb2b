-- Keep-alive connections that die silently, as when a load balancer or a NAT drops them,
-- cost a call each its whole timeout: 8 calls in a row over HTTP/1.1. Silence on a reused
-- connection ends an attempt after its share of the time; the request is sent once more,
-- on a new connection, and the idle connections that are as old are dropped.

local fixture = require "spec.support.fixture"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local KEPT = 8

describe("connections that die without a word", function()
  local relay, client
  local closing = fixture.closing()

  setup(function() sandbox.start() end)
  after_each(sandbox.release)

  local function start(count, options) return fixture.start(client, count, options) end

  -- A client with KEPT connections over HTTP/1.1, or one over HTTP/2.
  local function connect(version, changes)
    sandbox.reset()
    relay = closing(relays.start(sandbox.url))
    local options = { base_url = relay.url, http_version = version, rate_limit = 0,
      timeout = 3, max_retries = 1 }
    for name, value in pairs(changes or {}) do options[name] = value end
    client = closing(fixture.client(options))
    for _, call in ipairs(fixture.together(client, KEPT, { timeout = 20 })) do
      fixture.succeeded(call:result())
    end
    assert.equal(version == "2" and 1 or KEPT, relay:order "total")
  end

  for _, version in ipairs { "1.1", "2" } do
    local title = ", HTTP/" .. version

    it("cost no call, one after another" .. title, function()
      connect(version)
      local kept = relay:order "strand"
      local began = client:stats().attempts
      for _ = 1, KEPT + 2 do fixture.succeeded(client:balance "USD") end
      assert.equal(KEPT + 3, client:stats().attempts - began)
      assert.equal(kept + 1, relay:order "total")
    end)

    it("cost no call, many at once" .. title, function()
      connect(version)
      local kept = relay:order "strand"
      local calls = start(32)
      fixture.finish(client, calls)
      for _, call in ipairs(calls) do
        fixture.succeeded(call:result())
        assert.is_true(call:attempts() <= 2)
      end
      for _ = 1, 3 do fixture.succeeded(client:balance "USD") end
      assert.is_true(relay:order "total" <= kept + (version == "2" and 2 or 32))
    end)

    it("cost no list, no iterator and no batch" .. title, function()
      connect(version)
      relay:order "strand"
      assert.is_true(#fixture.succeeded(client:balances()).data > 0)
      relay:order "strand"
      local count = 0
      for item, message in client:each_account() do
        assert.truthy(item, message)
        count = count + 1
      end
      assert.is_true(count > 0)
      relay:order "strand"
      for _, balance, message in client:batch { "USD", "SGD" } do
        assert.truthy(balance, message)
      end
    end)

    it("cost no login" .. title, function()
      connect(version, { token = false, client_id = sandbox.client_id,
        api_key = sandbox.api_key })
      relay:order "strand"
      client:invalidate_token()
      fixture.succeeded(client:balance "USD")
      assert.equal(2, client:stats().logins)
    end)

    it("cost nothing when they were cancelled on" .. title, function()
      connect(version)
      relay:order "strand"
      local cancelled = 0
      repeat -- each after less time than shows anything by itself
        local call = client:start_balance("USD", { timeout = 60 })
        local waits = 0
        while not call:step() and waits < 6 do
          client:step(0.05)
          waits = waits + 1
        end
        local done = call:done()
        call:cancel()
        cancelled = cancelled + (done and 0 or 1)
      until done or cancelled > 12
      assert.is_true(cancelled <= 7, cancelled)
      fixture.succeeded(client:balance "USD")
    end)

    it("are found by a call that runs out of time" .. title, function()
      connect(version)
      relay:order "freeze" -- new ones, too
      fixture.failed("timeout", client:balance("USD", { timeout = 0.3 }))
      relay:order "strand"
      relay:order "thaw"
      relay:order "strand"
      local began = client:stats().connections
      fixture.succeeded(client:balance "USD")
      assert.is_true(client:stats().connections > began)
    end)
  end

  -- Each waits for less time than shows anything, but there is always one.
  it("are found by calls that overlap and are cancelled, HTTP/2", function()
    connect "2"
    relay:order "strand"
    local calls, answered, rounds = {}, 0, 0
    while answered < 3 do
      rounds = rounds + 1
      assert.is_true(rounds < 150, "no call is answered")
      calls[#calls + 1] = client:start_balance("USD", { timeout = 60 })
      local pause = socket.gettime() + 0.1
      repeat client:step(0.02) until socket.gettime() >= pause
      for n = #calls, 1, -1 do
        if calls[n]:step() then
          fixture.succeeded(table.remove(calls, n):result())
          answered = answered + 1
        end
      end
      if #calls >= 4 then table.remove(calls, 1):cancel() end
    end
  end)

  it("are two attempts for hooks, with one key, and no retry that is counted", function()
    local seen, waits, keys = {}, {}, {}
    connect("1.1", {
      on_request = function(info) keys[#keys + 1] = info.idempotency_key end,
      on_response = function(info) seen[#seen + 1] = info.kind or "good" end,
      on_retry = function(info) waits[#waits + 1] = info.wait end,
    })
    relay:order "strand"
    seen, keys = {}, {}
    sandbox.fault { kind = "status", status = 503, endpoint = "balance" }
    fixture.succeeded(client:balance "USD")
    assert.same({ "connect", "api", "good" }, seen)
    assert.equal(0, waits[1])
    assert.equal(3, #keys)
    assert.equal(keys[1], keys[2])
    assert.equal(2, client:stats().retries)
  end)

  it("have nothing sent again for a call without retries", function()
    connect "1.1"
    relay:order "strand"
    local err = fixture.failed("timeout", client:balance("USD", { timeout = 0.6,
      max_retries = 0 }))
    assert.equal(1, err.attempts)
    fixture.succeeded(client:balance("USD", { max_retries = 0 }))
  end)

  it("are given up once a call: after that only its timeout applies", function()
    connect "1.1"
    relay:order "freeze"
    local _, _, err = client:balance("USD", { timeout = 1.8 })
    assert.equal("timeout", err.kind)
    assert.equal(2, err.attempts)
    assert.is_true(err.retryable)
  end)
end)
