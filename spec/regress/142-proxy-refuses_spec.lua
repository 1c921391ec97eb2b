-- A proxy that refused CONNECT (407 to wrong credentials, 403) counted as a lost
-- connection: it was asked three times, which locks accounts, and `retryable` was true.
-- And NO_PROXY of the environment overruled the option `proxy`.

local driver = require "spec.support.driver"
local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local relays = require "spec.support.relay_driver"

local function reply(line, headers)
  return { read = true, send = ("HTTP/1.1 %s\r\n%sContent-Length: 0\r\n\r\n")
    :format(line, headers or "") }
end

describe("a proxy that refuses", function()
  local server

  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)
  after_each(function() if server then server:stop() end end)

  local function client(changes, scheme)
    changes = changes or {}
    changes.proxy = server.url:gsub("^http://", (scheme or "http") .. "://user:secretpw@")
    return fixture.client(changes)
  end

  -- Checks that it got so many requests, and is named.
  local function named(err, times, retryable, word)
    assert.equal(times, #server:requests())
    assert.equal(retryable, err.retryable, err.message)
    assert.matches("proxy", err.message, 1, true)
    assert.matches(word, err.message, 1, true)
    assert.is_nil(err.message:find("secret", 1, true))
    assert.is_nil(err.status) -- the proxy's is not the API's
    assert.equal(0, #sandbox.requests())
  end

  for _, line in ipairs {
    "300 Choose", "302 Found", "400 Bad", "401 Unauthorized", "403 Forbidden", "404 No",
    "407 Who?", "451 No",
  } do
    it("with " .. line .. " is asked once, and named", function()
      for _, version in ipairs { "auto", "1.1", "2" } do
        server = faulty.start { reply(line, "Proxy-Authenticate: Basic realm=x\r\n") }
        local err = fixture.failed("connect",
          client { http_version = version }:balance "USD")
        named(err, 1, false, line:sub(1, 3))
        assert.equal(1, err.attempts)
        assert.equal("not_retryable", err.retry_stopped)
        server:stop()
      end
      server = nil
    end)
  end

  it("whose answer does not end is one", function()
    server = faulty.start { { read = true, keep = true,
      send = "HTTP/1.1 407 Who?\r\nContent-Length: 100\r\n\r\n" } }
    local err = fixture.failed("connect", client { timeout = 0.3 }:balance "USD")
    named(err, 1, false, "407")
  end)

  it("is asked once by a login, too", function()
    server = faulty.start { reply "407 Who?" }
    local c = client { token = false, client_id = sandbox.client_id,
      api_key = sandbox.api_key }
    local _, message, err = c:balance "USD"
    assert.matches("^login failed: ", message)
    named(err, 1, false, "407")
  end)

  it("is asked once by calls side by side each, and by a list", function()
    server = faulty.start { reply "403 Forbidden" }
    local c = client()
    local refused = 0
    for _, balance, _, err in c:batch { "USD", "SGD", "USD" } do
      assert.is_nil(balance)
      assert.is_false(err.retryable)
      refused = refused + 1
    end
    assert.equal(3, refused)
    assert.is_false(select(3, c:transactions()).retryable)
    assert.equal(4, #server:requests())
  end)

  it("for a while, with 5xx, is tried again", function()
    for _, line in ipairs { "500 Oh", "502 Bad Gateway", "503 Later", "504 Late" } do
      server = faulty.start { reply(line) }
      local err = fixture.failed("connect", client():balance "USD")
      named(err, 3, true, line:sub(1, 3))
      server:stop()
    end
    server = nil
  end)

  it("and one that hangs up are two things", function()
    server = faulty.start { { read = true, close = true } }
    local err = fixture.failed("connect", client():balance "USD")
    assert.equal(3, #server:requests())
    assert.is_true(err.retryable)
  end)

  -- SOCKS 5: the greeting has the methods without and with a password; then name and
  -- password; then the address.
  local function socks(...)
    local steps, reads = {}, { 4, 2 + #"user" + 1 + #"secretpw", 10 }
    for n, text in ipairs { ... } do
      steps[n] = { read = reads[n], send = text, keep = true }
    end
    steps[#steps].keep = nil
    return steps
  end
  local welcome = "\5\2"

  it("over SOCKS is not retried if the refusal is permanent", function()
    for _, behaviour in ipairs {
      socks "\5\255",                                  -- no method
      socks(welcome, "\1\1"),                          -- not this password
      socks(welcome, "\1\0", "\5\2\0\1\0\0\0\0\0\0"),  -- not allowed
      socks(welcome, "\1\0", "\5\8\0\1\0\0\0\0\0\0"),  -- no such type of address
    } do
      server = faulty.start { behaviour }
      local err = fixture.failed("connect", client(nil, "socks5"):balance "USD")
      assert.equal(1, err.attempts, err.message)
      assert.is_false(err.retryable)
      assert.matches("proxy", err.message, 1, true)
      assert.is_nil(err.message:find("secret", 1, true))
      server:stop()
    end
    server = nil
  end)

  it("over SOCKS is retried if the refusal is temporary", function()
    for _, code in ipairs { "\1", "\3", "\4", "\5", "\6" } do
      server = faulty.start {
        socks(welcome, "\1\0", "\5" .. code .. "\0\1\0\0\0\0\0\0") }
      local err = fixture.failed("connect", client(nil, "socks5"):balance "USD")
      assert.equal(3, err.attempts, err.message)
      assert.is_true(err.retryable)
      assert.matches("proxy", err.message, 1, true)
      server:stop()
    end
    server = nil
  end)
end)

describe("NO_PROXY", function()
  local relay

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    relay = relays.start(sandbox.url)
  end)
  after_each(function() relay:stop() end)

  -- How many connections the proxy has had for one balance.
  local function connections(proxy, ...)
    local code = ([[
      package.cpath = %q
      local client = require "uqpay".new { base_url = %q, ca_file = %q, token = %q,
        proxy = %s }
      assert(client:balance "USD")]]):format(package.cpath, sandbox.url, sandbox.ca_file,
        sandbox.token, proxy)
    local before = tonumber(relay:order "total")
    local said = driver.output(driver.command("env", "-u", "no_proxy", "-u", "NO_PROXY",
      "https_proxy=" .. "http://127.0.0.1:" .. relay.port, ...)
      .. " " .. driver.command(os.getenv "UQPAY_LUA", "-e", code) .. " 2>&1")
    assert.equal("", said)
    return tonumber(relay:order "total") - before
  end

  it("is about the environment's proxy, not about the option", function()
    local option = ("%q"):format("http://127.0.0.1:" .. relay.port)
    assert.equal(1, connections("nil"))
    for _, name in ipairs { "NO_PROXY", "no_proxy" } do
      for _, value in ipairs { "127.0.0.1", "*", "localhost,127.0.0.0/8,127.0.0.1" } do
        assert.equal(1, connections(option, name .. "=" .. value), value)
        assert.equal(0, connections("nil", name .. "=" .. value), value)
      end
    end
    assert.equal(0, connections '""')
  end)
end)
