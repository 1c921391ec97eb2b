-- libcurl 7.88 with GnuTLS cannot tell that an idle connection of HTTP/1.1 over TLS is
-- dead: it sent requests on those that the server, or this client, had shut down, one
-- after another.

local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"

local KEPT = 8

describe("idle connections that died", function()
  local relay, client
  local closing = fixture.closing()

  setup(function() sandbox.start() end)
  after_each(sandbox.release)

  local function start(count, options) return fixture.start(client, count, options) end

  local function check(calls)
    for _, call in ipairs(calls) do
      fixture.succeeded(call:result())
      assert.equal(1, call:attempts())
    end
  end

  local function finish(calls)
    fixture.finish(client, calls)
    check(calls)
  end

  -- A client with KEPT idle connections, directly or through a proxy.
  local function connect(proxy, changes)
    sandbox.reset()
    relay = closing(relays.start(sandbox.url))
    local options = { base_url = not proxy and relay.url or nil, http_version = "1.1",
      proxy = proxy and "http://127.0.0.1:" .. relay.port or "", max_retries = 0,
      rate_limit = 0 }
    for name, value in pairs(changes or {}) do options[name] = value end
    client = closing(fixture.client(options))
    check(fixture.together(client, KEPT))
    assert.equal(KEPT, relay:order "total")
  end

  for _, how in ipairs { "cut", "close" } do
    for _, proxy in ipairs { false, true } do
      local title = (": %s, %s"):format(how, proxy and "through a proxy" or "directly")

      it("are used by no call, one after another" .. title, function()
        connect(proxy)
        relay:order(how)
        local began = client:stats().attempts
        for _ = 1, KEPT + 2 do fixture.succeeded(client:balance "USD") end
        assert.equal(KEPT + 2, client:stats().attempts - began)
        assert.equal(KEPT + 1, relay:order "total")
      end)

      it("are used by no call of many" .. title, function()
        connect(proxy)
        relay:order(how)
        finish(start(2 * KEPT))
        finish(start(KEPT))
        assert.equal(3 * KEPT, relay:order "total")
        assert.equal(3 * KEPT, client:stats().attempts - KEPT)
      end)
    end

    it("are used by no list, iterator or login: " .. how, function()
      connect(false, { token = false, client_id = sandbox.client_id,
        api_key = sandbox.api_key })
      relay:order(how)
      assert.is_true(#fixture.succeeded(client:balances()).data > 0)
      relay:order(how)
      for item, message in client:each_account() do assert.truthy(item, message) end
      relay:order(how)
      client:invalidate_token()
      fixture.succeeded(client:balance "USD")
      assert.equal(2, client:stats().logins)
      assert.equal(0, client:stats().retries)
    end)
  end

  -- Every second one of them dies.
  it("are used by no call if there are live ones", function()
    local answer = fixture.http(fixture.body(1))
    local dying = { { read = true, send = answer }, { hold = true, cut = true } }
    local living, behaviours = {}, {}
    for n = 1, 40 do living[n] = { read = true, send = answer } end
    for n = 1, KEPT do behaviours[n] = n % 2 == 0 and dying or living end
    behaviours[KEPT + 1] = living
    local server = closing(faulty.start(behaviours, sandbox.tls "http/1.1"))
    client = closing(fixture.client { base_url = server.url, ca_file = sandbox.ca_file,
      http_version = "1.1", max_retries = 0, rate_limit = 0 })
    finish(start(KEPT))
    for _ = 1, KEPT / 2 do server:go() end
    server:requests() -- it has closed them when it answers this
    finish(start(3))
    finish(start(KEPT))
    for _ = 1, 3 do finish(start(1)) end
    assert.is_true(#server:requests() <= 3 * KEPT, #server:requests())
  end)
end)
