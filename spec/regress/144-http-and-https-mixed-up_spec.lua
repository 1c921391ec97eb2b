-- http to a port of TLS, and https to one without: the messages were riddles of libcurl
-- and the TLS library ("Received HTTP/0.9 when not allowed", "wrong version number").

local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

local expected = "does the server expect TLS (https) at this port?"
local none = "the server does not speak TLS at this port: plain http?"

describe("a port", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)
  after_each(faulty.stop)

  local function fails(kind, changes)
    changes.max_retries = 0
    return fixture.failed(kind, fixture.client(changes):balance "USD")
  end

  local function has(text, err) assert.matches(text, err.message, 1, true) end

  it("of TLS that is spoken to in clear is called that", function()
    has(expected, fails("invalid_request", { -- nginx answers 400
      base_url = sandbox.url:gsub("^https", "http"), ca_file = false }))
    for _, case in ipairs {
      { "protocol", { read = true, send = "\21\3\1\0\2\2\70" } }, -- an alert
      { "protocol", { send = "SSH-2.0-x\r\n", read = true } },
      { "connect", { read = true, close = true } },
      { "connect", { read = true, reset = true } },
    } do
      local server = faulty.start { case[2] }
      has(expected, fails(case[1], { base_url = server.url }))
      server:stop()
    end
  end)

  it("without TLS that is spoken to in it is called that", function()
    local err = fails("tls", { base_url = sandbox.http_url:gsub("^http", "https") })
    has(none, err)
    assert.is_false(err.retryable)
    local server = faulty.start { { send = "SSH-2.0-x\r\n", read = 5 } }
    has(none, fails("tls", { base_url = server.url:gsub("^http", "https") }))
    server:stop()
  end)

  it("is not, where there is an answer, or a part of one", function()
    sandbox.fault { kind = "status", status = 400 }
    local err = fails("invalid_request", { base_url = sandbox.http_url })
    assert.is_nil(err.message:find("TLS", 1, true))
    local server = faulty.start {
      { read = true, send = "HTTP/1.1 400 No\r\nContent-Length: 3\r\n\r\nno!" },
      { read = true, send = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{" },
    }
    err = fails("invalid_request", { base_url = server.url })
    assert.is_nil(err.message:find("TLS", 1, true))
    err = fails("connect", { base_url = server.url })
    assert.is_nil(err.message:find("TLS", 1, true))
    server:stop()
    err = fails("tls", { base_url = sandbox.expired_url })
    assert.is_nil(err.message:find("plain", 1, true))
  end)
end)
