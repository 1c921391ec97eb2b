-- From libcurl 8.10 on, requests that wait to see if a handshake agrees on HTTP/2 are
-- woken only if it does. On an HTTPS server of HTTP/1.1 a crowd waited for the first
-- answer, or went one by one.

local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local CROWD, HANGING = 12, 3

describe("concurrent calls to an HTTPS server of HTTP/1.1", function()
  local client, relay
  local closing = fixture.closing()

  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  -- Starts so many calls with the client's method of that name.
  local function start(n, method, ...)
    local calls = {}
    for i = 1, n do calls[i] = client[method or "start_balance"](client, ... or "USD") end
    return calls
  end

  -- Steps the calls until so many of them have succeeded. The others hang.
  local function finish(calls, wanted)
    local deadline, good, by_id = socket.gettime() + 15, 0, {}
    for _, call in ipairs(calls) do by_id[call:id()] = call end
    while good < wanted do
      assert.is_true(socket.gettime() < deadline, good .. " calls are done")
      client:step(0.1)
      for call in function() return client:ready() end do
        if by_id[call:id()] and call:step() then
          fixture.succeeded(call:result())
          good = good + 1
        end
      end
    end
    assert.same({}, sandbox.faults())
  end

  local function hang(endpoint)
    sandbox.fault { kind = "hang", times = HANGING, endpoint = endpoint }
  end

  local methods = {
    { "start_balance", "USD" }, { "start_balances", {} },
    { "start_transactions", {} }, { "start_accounts", {} },
  }

  for _, version in ipairs { "auto", "2" } do
    for _, method in ipairs(methods) do
      it(("keeps no call waiting for another's answer: %s, http_version %s")
        :format(method[1], version), function()
        client = closing(fixture.client {
          base_url = sandbox.http1_url, http_version = version,
        })
        for _, warm in ipairs { false, true } do
          if warm then fixture.succeeded(client:balance "USD") end
          hang()
          local calls = start(CROWD, method[1], method[2])
          finish(calls, CROWD - HANGING)
          for _, call in ipairs(calls) do call:cancel() end
        end
      end)
    end

    it("delays no call that logs in, http_version " .. version, function()
      client = closing(fixture.client {
        base_url = sandbox.http1_url, http_version = version, token = false,
        client_id = sandbox.client_id, api_key = sandbox.api_key,
      })
      hang "balance"
      finish(start(CROWD), CROWD - HANGING)
    end)

    it("delays no call through a proxy, http_version " .. version, function()
      relay = closing(relays.start(sandbox.http1_url))
      client = closing(fixture.client {
        base_url = sandbox.http1_url, http_version = version,
        proxy = "http://127.0.0.1:" .. relay.port,
      })
      hang()
      finish(start(CROWD), CROWD - HANGING)
    end)

    it("is answered in parallel where each answer ends its connection, http_version "
      .. version, function()
      local answer = fixture.http(fixture.body(1), nil, "Connection: close\r\n")
      local server = closing(faulty.start({
        { { read = true }, { hold = true, send = answer, close = true } },
      }, sandbox.tls "http/1.1"))
      client = closing(fixture.client {
        base_url = server.url, http_version = version, max_retries = 0,
      })
      for crowd = 1, 2 do
        local calls, deadline = start(CROWD), socket.gettime() + 15
        repeat
          client:step(0.01)
          assert.is_true(socket.gettime() < deadline, "the requests do not arrive")
          local arrived = 0
          for _, bytes in ipairs(server:requests()) do
            arrived = arrived + (bytes:find("HTTP/1.1", 1, true) and 1 or 0)
          end
        until arrived == crowd * CROWD            -- not one of them is answered yet
        for _ = 1, CROWD do server:go() end
        finish(calls, CROWD)
      end
    end)
  end

  local function port(url) return url:match ":(%d+)" end

  -- From now on the relay leads to this server.
  local function switch(url)
    local deadline = socket.gettime() + 15
    relay:order(port(url))
    relay:order "cut"
    repeat
      client:step(0.02)
      assert.is_true(socket.gettime() < deadline, "the connections are not closed")
    until relay:order "count" == 0
  end

  for _, version in ipairs { "auto", "2" } do
    it("delays no call that used HTTP/2 before, http_version " .. version, function()
      relay = closing(relays.start(sandbox.url))
      client = closing(fixture.client { base_url = relay.url, http_version = version })
      finish(start(CROWD), CROWD)
      switch(sandbox.http1_url)
      hang()
      finish(start(CROWD), CROWD - HANGING)
    end)

    for _, crowd in ipairs { 20, 300 } do
      it(("shares connections when it speaks HTTP/2 later: %d, http_version %s")
        :format(crowd, version), function()
        relay = closing(relays.start(sandbox.http1_url))
        client = closing(fixture.client { base_url = relay.url, http_version = version })
        finish(start(CROWD), CROWD)
        switch(sandbox.url)
        local before = relay:order "total"
        finish(start(crowd), crowd)
        local opened = relay:order "total" - before
        assert.is_true(opened <= (crowd < 100 and 1 or 5), opened)
      end)
    end
  end
end)
