-- libcurl's errno of an earlier failure was taken for the last one's: after a refused
-- connection the same client called a refused TLS handshake `connect`, and retried it.

local fixture = require "spec.support.fixture"
local fork = require "fork"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local failed = fixture.failed
local handshake_failure = "\21\3\3\0\2\2\40"

describe("after a refused connection", function()
  local listener, port, client, child
  setup(function() sandbox.start() end)
  before_each(function()
    listener = assert(socket.tcp())
    assert(listener:bind("127.0.0.1", 0))     -- and no server listens there
    local _
    _, port = listener:getsockname()
    client = fixture.client { base_url = "https://127.0.0.1:" .. port,
      token = "token", ca_file = false, max_retries = 3 }
    local err = failed("connect", client:balance("USD", { max_retries = 0 }))
    assert.is_number(err.os_errno)
    assert.not_equal(0, err.os_errno)
    assert(listener:listen(8))
  end)
  after_each(function()
    client:close()
    if child then
      assert(socket.connect("127.0.0.1", port)):close()
      fork.wait(child)
    end
    child = nil
    listener:close()
  end)

  -- Reads a ClientHello whole, so that the end of the connection is no reset.
  local function refuse_handshake()
    listener:settimeout(60)
    while true do
      local peer = listener:accept()
      if not peer then return end
      peer:settimeout(60)
      local head = peer:receive(5)
      if not head then return end       -- see after_each
      peer:receive(head:byte(4) * 256 + head:byte(5))
      peer:send(handshake_failure)
      peer:shutdown "send"
      peer:receive "*a"
      peer:close()
    end
  end

  it("a refused handshake is tls, and is not tried again", function()
    child = fork.fork()
    if child == 0 then
      pcall(refuse_handshake)
      fork.leave(0)
    end
    local err = failed("tls", client:balance "USD")
    assert.equal(1, err.attempts)
    assert.equal("not_retryable", err.retry_stopped)
    assert.is_false(err.retryable)
    assert.is_nil(err.os_errno)
  end)

  it("a timeout has no errno", function()
    local err = failed("timeout", client:balance("USD", { timeout = 0.05 }))
    assert.is_nil(err.os_errno)
    err = failed("timeout", client:balance("USD", { connect_timeout = 0.05,
      max_retries = 0 }))
    assert.is_nil(err.os_errno)
  end)
end)
