-- The wire: TLS that is verified or refused, redirects that lead nowhere, connections
-- kept and lost, sizes and times that are bounded, and every way a server can misbehave
-- below HTTP. After each fault the same client works, and gets its own answer.

local behaviours = require "spec.support.behaviours"
local driver = require "spec.support.driver"
local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local uqpay = require "uqpay"

local body, http = fixture.body, fixture.http
local failed, succeeded = fixture.failed, fixture.succeeded
local serve = faulty.serve

local chunk, chunked = behaviours.chunk, behaviours.chunked

local certificate = sandbox.certificate

local function sh(...)
  return (driver.output(table.concat({ ... }, " ")):gsub("%s+$", ""))
end

-- The pin of a certificate, as openssl computes it.
local function pin_of(name)
  return "sha256//" .. sh("openssl x509 -noout -pubkey -in",
    driver.quote(certificate(name)), "| openssl pkey -pubin -outform der",
    "| openssl dgst -sha256 -binary | openssl enc -base64")
end

local function arrived() return #sandbox.requests() end

-- Runs a call that must take about so long, and fail.
local function timed(kind, seconds, client)
  local start = socket.gettime()
  local err = failed(kind, client:balance "USD")
  local took = socket.gettime() - start
  assert.is_true(took >= seconds and took < seconds + 20, took)
  return err
end

-- A client of the faulty server, for one attempt if not told otherwise.
local function raw_client(changes)
  local options = { base_url = faulty.server.url, ca_file = false, max_retries = 0 }
  for name, value in pairs(changes or {}) do options[name] = value end
  return fixture.client(options)
end

local function tls_url() return (faulty.server.url:gsub("^http:", "https:")) end

describe("TLS", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)
  after_each(faulty.stop)

  -- Refused for good, before a byte of the request is sent.
  local function refused(changes, ...)
    local err = failed("tls", fixture.client(changes):balance "USD")
    assert.equal(1, err.attempts)
    assert.equal("not_retryable", err.retry_stopped)
    assert.is_false(err.retryable)
    assert.is_nil(err.status)
    assert.is_string(err.curl_name)
    assert.is_number(err.curl_code)
    for _, text in ipairs { ... } do assert.matches(text, err.message, 1, true) end
    assert.equal(0, arrived())
    return err
  end

  it("is 1.2 or newer, and the request comes through", function()
    succeeded(fixture.client():balance "USD")
    assert.matches("^TLSv1%.[23]$", sandbox.requests()[1].tls)
  end)

  for _, name in ipairs { "expired", "wrong_host", "self_signed", "old_tls" } do
    it("is refused, and the CA file named: " .. name, function()
      refused({ base_url = sandbox[name .. "_url"] }, sandbox.ca_file, "ca_file")
    end)
  end

  it("is refused when another authority signed", function()
    local other = certificate "self-signed.pem"
    refused({ ca_file = other }, other)
  end)

  it("is rejected when the system does not know its CA", function()
    refused({ ca_file = false }, "the system's")
  end)

  it("is refused for the other name of a good host", function()
    -- the certificate has both names; elsewhere.invalid's has neither
    local by_name = { base_url = sandbox.url:gsub("127%.0%.0%.1", "localhost") }
    succeeded(fixture.client(by_name):balance "USD")
    sandbox.reset()
    refused { base_url = sandbox.wrong_host_url:gsub("127%.0%.0%.1", "localhost") }
  end)

  it("takes a directory of hashed certificates", function()
    local dir = driver.directory "ca"
    finally(function() os.execute(driver.command("rm", "-rf", dir)) end)
    local hash = sh("openssl x509 -noout -hash -in", driver.quote(sandbox.ca_file))
    os.execute(driver.command("cp", sandbox.ca_file, dir .. "/" .. hash .. ".0"))
    succeeded(fixture.client { ca_file = false, ca_path = dir }:balance "USD")
  end)

  it("is rejected when the directory lacks its CA, and the directory is named", function()
    local dir = driver.directory "ca"
    finally(function() os.execute(driver.command("rm", "-rf", dir)) end)
    refused({ ca_file = false, ca_path = dir }, dir)
  end)

  it("trusts only the file's CAs when there is a file", function()
    -- and a failure is the client's own, not left behind for others
    refused { base_url = sandbox.self_signed_url }
    succeeded(fixture.client { base_url = sandbox.self_signed_url,
      ca_file = certificate "self-signed.pem" }:balance "USD")
  end)

  describe("with a pinned key", function()
    local wrong = "sha256//" .. ("A"):rep(43) .. "="

    it("is accepted when it is the server's, single or among others", function()
      local pin = pin_of "server.pem"
      for _, pins in ipairs { pin, wrong .. ";" .. pin, pin .. ";" .. wrong } do
        succeeded(fixture.client { pinned_public_key = pins }:balance "USD")
      end
    end)

    it("is refused when it is not", function()
      for _, pins in ipairs { wrong, wrong .. ";" .. pin_of "ca.pem" } do
        local err = refused { pinned_public_key = pins }
        assert.equal("CURLE_SSL_PINNEDPUBKEYNOTMATCH", err.curl_name)
      end
    end)

    it("is refused all the same when the certificate is bad", function()
      refused { base_url = sandbox.self_signed_url,
        pinned_public_key = pin_of "self-signed.pem" }
      refused { base_url = sandbox.expired_url, pinned_public_key = pin_of "expired.pem" }
    end)

    it("holds for each new connection", function()
      local client = fixture.client { pinned_public_key = pin_of "server.pem" }
      for _ = 1, 3 do
        succeeded(client:balance "USD")
        sandbox.fault { kind = "drop_before" }
      end
      succeeded(client:balance "USD")
      assert.is_true(client:stats().connections > 1)
    end)
  end)

  it("that a server does not speak is refused for good", function()
    serve { send = "220 mail.example ESMTP\r\n", half_close = true }
    refused { base_url = tls_url() }
  end)

  for name, behaviour in pairs {
    closed = { read = 50, close = true }, reset = { read = 50, reset = true },
    ["closed at once"] = { close = true }, ["reset at once"] = { reset = true },
  } do
    it("that is cut short in the handshake is tried again: " .. name, function()
      serve(behaviour)
      local err = failed("connect", fixture.client { base_url = tls_url(),
        max_retries = 1 }:balance "USD")
      assert.equal(2, err.attempts)
      assert.equal("max_retries", err.retry_stopped)
      assert.is_true(err.retryable)
    end)
  end

  it("that is refused after one that was cut is refused for good", function()
    serve({ read = 50, reset = true },
      { send = "220 mail.example ESMTP\r\n", half_close = true })
    local err = failed("tls", fixture.client { base_url = tls_url(),
      max_retries = 9 }:balance "USD")
    assert.equal(2, err.attempts)
    assert.equal("not_retryable", err.retry_stopped)
    assert.is_nil(err.os_errno)     -- that was the first one's
  end)
end)

describe("a redirect", function()
  before_each(function() sandbox.reset() end)

  for _, status in ipairs { 300, 301, 302, 303, 304, 305, 307, 308 } do
    it("of status " .. status .. " is refused, the other host never called", function()
      for _, version in ipairs { "1.1", "2" } do
        local client = fixture.client { http_version = version }
        sandbox.fault { kind = "redirect", status = status }
        local err = failed("protocol", client:balance "USD")
        assert.equal(status, err.status)
        assert.equal(1, err.attempts)
        assert.equal("not_retryable", err.retry_stopped)
        succeeded(client:balance "USD")
      end
      assert.equal(4, arrived())
      local other = sandbox.other()
      assert.equal(0, other.connections)
      assert.equal(0, #other.requests)
    end)
  end

  it("is rejected for any target, and the target is named", function()
    for _, place in ipairs {
      "file:///etc/passwd", sandbox.http_url .. "/v1/issuing/balances", "/elsewhere",
      "//127.0.0.1/", "javascript:alert(1)", sandbox.url .. "/v1/issuing/balances",
    } do
      sandbox.reset()
      sandbox.fault { kind = "redirect", location = place }
      local err = failed("protocol", fixture.client():balance "USD")
      assert.matches(place, err.message, 1, true)
      assert.equal(1, arrived())
    end
  end)

  it("is named without what may be secret in it", function()
    sandbox.fault { kind = "redirect", location = "https://h.invalid/a?id=hush#hush" }
    local err = failed("protocol", fixture.client():balance "USD")
    assert.matches("https://h.invalid/a", err.message, 1, true)
    assert.is_nil(err.message:find("hush", 1, true))
  end)
end)

describe("http:// without TLS", function()
  before_each(function() sandbox.reset() end)

  it("goes to this machine", function()
    local by_name = sandbox.http_url:gsub("127%.0%.0%.1", "localhost")
    for n, url in ipairs { sandbox.http_url, by_name } do
      succeeded(fixture.client { base_url = url, ca_file = false }:balance "USD")
      assert.equal("http", sandbox.requests()[n].server)
    end
  end)

  it("goes nowhere else", function()
    for _, host in ipairs {
      "192.0.2.1", "example.invalid", "127.0.0.1.example.invalid", "localhost.invalid",
      "localhost@192.0.2.1", "127.0.0.1:80@192.0.2.1", "128.0.0.1", "0.0.0.0", "[::]",
      "[::ffff:192.0.2.1]", "192.0.2.1#127.0.0.1", "192.0.2.1?127.0.0.1",
    } do
      local ok, err = pcall(fixture.client, { base_url = "http://" .. host .. "/api" })
      assert.is_false(ok, host)
      assert.matches("base_url", err, 1, true)
    end
  end)

  it("never goes through a proxy", function()
    local ok, err = pcall(fixture.client, { base_url = sandbox.http_url,
      proxy = "http://127.0.0.1:1" })
    assert.is_false(ok)
    assert.matches("proxy", err, 1, true)
  end)
end)

describe("a proxy", function()
  before_each(function() sandbox.reset() end)
  after_each(faulty.stop)

  it("is used as a tunnel, and learns no secret", function()
    serve { read = true, send = http("", "407 Who?", "Retry-After: 9\r\n") }
    local client = fixture.client { proxy = faulty.server.url, max_retries = 0,
      on_behalf_of = sandbox.sub_account }
    local err = failed("connect", client:balance "USD")
    assert.is_nil(err.retry_after)      -- no server that we asked has said so
    assert.equal(0, arrived())
    local asked = faulty.server:requests()
    assert.equal(1, #asked)
    local host = sandbox.url:match "//([^/]+)"
    assert.equal("CONNECT " .. host .. " HTTP/1.1\r\n", asked[1]:match "^[^\n]*\n")
    for _, secret in ipairs { "token", "Bearer", "idempotency", "behalf",
      sandbox.token:sub(1, 20), sandbox.sub_account } do
      assert.is_nil(asked[1]:find(secret, 1, true), secret)
    end
  end)

  it("cannot put itself in the server's place", function()
    serve { read = true, half_close = true,
      send = "HTTP/1.1 200 Fine\r\n\r\n" .. http(body(99)) }
    local err = failed("tls", fixture.client { proxy = faulty.server.url }:balance "USD")
    assert.equal(1, err.attempts)
    assert.is_nil(faulty.server:requests()[1]:find("Bearer", 1, true))
  end)

  it("that is not there is a failure to connect", function()
    local client = fixture.client { proxy = "http://127.0.0.1:1", max_retries = 1 }
    assert.equal(2, failed("connect", client:balance "USD").attempts)
    assert.equal(0, arrived())
  end)

  it("of an empty name is no proxy", function()
    succeeded(fixture.client { proxy = "" }:balance "USD")
  end)
end)

describe("a connection", function()
  before_each(function() sandbox.reset() end)
  after_each(faulty.stop)

  local connections = sandbox.connections

  for _, version in ipairs { "1.1", "2" } do
    it("is kept for the next calls, over HTTP/" .. version, function()
      local client = fixture.client { http_version = version }
      for _ = 1, 5 do succeeded(client:balance "USD") end
      succeeded(client:balance("SGD", { on_behalf_of = sandbox.sub_account }))
      assert.equal(1, connections())
      assert.equal(version, sandbox.requests()[6].http)
      assert.equal(6, sandbox.requests()[6].connection_requests)
      local stats = client:stats()
      assert.equal(1, stats.connections)
      assert.equal(6, stats.attempts)
    end)

    it("is kept after answers that are errors, over HTTP/" .. version, function()
      local client = fixture.client { http_version = version, max_retries = 0 }
      for _, order in ipairs {
        { kind = "status", status = 400 }, { kind = "status", status = 401 },
        { kind = "status", status = 500 }, { kind = "html" }, { kind = "empty" },
        { kind = "answer", body = "no JSON" }, { kind = "redirect" },
        { kind = "answer", body = "{}" }, { kind = "rate_limit" },
      } do
        sandbox.fault(order)
        assert.is_nil((client:balance "USD"))
      end
      succeeded(client:balance "USD")
      assert.equal(10, arrived())
      assert.equal(1, connections())
      assert.equal(1, client:stats().connections)
    end)

    for _, order in ipairs {
      { kind = "drop_before" }, { kind = "drop_after" }, { kind = "truncate" },
      { kind = "garbage" }, { kind = "hang", seconds = 0.02 },
      { kind = "huge", bytes = 1100000 }, { kind = "huge_headers" },
    } do
      local name = order.kind .. ", over HTTP/" .. version

      it("serves the next call after a fault, or a new one does: " .. name, function()
        local client = fixture.client { http_version = version, max_retries = 0,
          amounts = "string" }
        for _, currency in ipairs { "USD", "SGD" } do
          sandbox.fault { order, order }      -- libcurl itself may use up one
          assert.is_nil((client:balance "XUSD"))
          sandbox.reset()
          assert.equal(currency == "USD" and "5000.25" or "10000.00",
            succeeded(client:balance(currency)).available_balance)
        end
        -- HTTP/2 ends a stream and keeps the connection
        if version == "1.1" then assert.is_true(client:stats().connections > 1) end
      end)
    end
  end

  it("is HTTP/1.1 by default, and 1.1 where the server has no 2", function()
    succeeded(fixture.client():balance "USD")
    succeeded(fixture.client { http_version = "auto" }:balance "USD")
    succeeded(fixture.client { http_version = "2", ca_file = false,
      base_url = sandbox.http_url }:balance "USD")
    for _, request in ipairs(sandbox.requests()) do assert.equal("1.1", request.http) end
  end)

  it("that the server has closed does no harm", function()
    serve { read = true, send = http(body(1)), close = true }
    local client = raw_client()
    for _ = 1, 5 do succeeded(client:balance "USD") end
    assert.equal(0, client:stats().retries)
    assert.is_true(client:stats().attempts <= 9) -- libcurl may resend all but one
    -- the same within TLS
    client = fixture.client { max_retries = 0 }
    for _ = 1, 5 do
      sandbox.fault { kind = "garbage", body = http(body(1)) }
      succeeded(client:balance "USD")
    end
    assert.equal(5, arrived())
  end)

  it("that is reset at the next request is replaced, the key is not", function()
    serve({ { read = true, send = http(body(1)) }, { read = true, reset = true } },
      { read = true, send = http(body(2)), keep = true })
    local client = raw_client()
    assert.equal(1, succeeded(client:balance "USD").available_balance)
    assert.equal(2, succeeded(client:balance "USD").available_balance)
    local requests = faulty.server:requests()
    local own = requests[1]:match ".*x%-idempotency%-key: ([%x-]+)"
    assert.equal(own, requests[2]:match "x%-idempotency%-key: ([%x-]+)")
  end)

  it("is closed when the server says so", function()
    local close = "Connection: close\r\n"
    serve({ read = true, send = http(body(1), nil, close), keep = true },
      { read = true, send = http(body(2)), keep = true })
    local client = raw_client()
    assert.equal(1, succeeded(client:balance "USD").available_balance)
    assert.equal(2, succeeded(client:balance "USD").available_balance)
    assert.equal(2, client:stats().connections)
  end)

  it("of another client is never used", function()
    for _ = 1, 3 do succeeded(fixture.client():balance "USD") end
    assert.equal(3, connections())
  end)
end)

describe("a request", function()
  before_each(function() sandbox.reset() end)

  it("asks for no more than it needs: no Expect, no cookies, no encodings", function()
    local client = fixture.client()
    sandbox.fault { kind = "html", headers = { ["set-cookie"] = "a=b" } }
    succeeded(client:balance "USD")
    assert.equal(2, arrived())
    for _, request in ipairs(sandbox.requests()) do
      for _, name in ipairs { "expect", "cookie", "accept-encoding", "authorization",
        "accept", "referer", "x-client-id", "x-api-key", "x-on-behalf-of" } do
        assert.is_nil(request.headers[name], name)
      end
    end
  end)
end)

describe("an answer too large", function()
  before_each(function() sandbox.reset() end)
  after_each(faulty.stop)

  local function refused(client)
    local err = failed("too_large", client:balance "USD")
    assert.equal(1, err.attempts)
    assert.equal("not_retryable", err.retry_stopped)
    assert.is_true(#(err.body or "") <= 4096)
  end

  for name, told in pairs { ["its length told"] = true, ["not told"] = false } do
    it("is refused beyond max_response_bytes, " .. name, function()
      for _, version in ipairs { "1.1", "2" } do
        local client = fixture.client { http_version = version }
        sandbox.fault { kind = "huge", bytes = 1048577, content_length = told }
        refused(client)
        sandbox.fault { kind = "huge", bytes = 1048576, content_length = told }
        succeeded(client:balance "USD")
        sandbox.fault { kind = "huge", bytes = 1025, content_length = told }
        failed("too_large", client:balance("USD", { max_response_bytes = 1024 }))
        sandbox.fault { kind = "huge", bytes = 1024, content_length = told }
        succeeded(client:balance("USD", { max_response_bytes = 1024 }))
      end
    end)
  end

  it("is refused before it has come: a giant costs no time", function()
    for _, told in ipairs { true, false } do
      sandbox.fault { kind = "huge", bytes = 2 ^ 40, content_length = told }
      refused(fixture.client { timeout = 20 })
    end
  end)

  it("whose length is no number that a machine has is refused", function()
    serve { read = true, keep = true,
      send = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}" }
    refused(raw_client())
  end)

  it("is one whose headers are", function()
    sandbox.fault { kind = "huge_headers", bytes = 80000 }
    refused(fixture.client())
    sandbox.fault { kind = "huge_headers", bytes = 48000 }
    succeeded(fixture.client():balance "USD")
  end)

  local endless = {
    ["header lines"] = "HTTP/1.1 200 OK\r\n" .. ("x: y\r\n"):rep(500000),
    ["informational answers"] = ("HTTP/1.1 103 Hints\r\nx: y\r\n\r\n"):rep(100000),
    ["a header line"] = "HTTP/1.1 200 OK\r\nx: " .. ("y"):rep(3000000),
    trailers = chunked .. chunk(body(1)) .. "0\r\n" .. ("x: y\r\n"):rep(500000),
    ["a chunk's extension"] = chunked .. "1;" .. ("y"):rep(3000000),
  }

  for _, name in ipairs { "header lines", "informational answers", "a header line" } do
    it("is one without an end: " .. name, function()
      serve { read = true, send = endless[name], keep = true }
      refused(raw_client())
    end)
  end

  for _, name in ipairs { "trailers", "a chunk's extension" } do
    it("never is a balance, and ends in time: " .. name, function()
      serve { read = true, send = endless[name], keep = true }
      assert.is_nil((raw_client { timeout = 0.15 }:balance "USD"))
    end)
  end
end)

describe("the timeout is kept", function()
  after_each(faulty.stop)

  local whole = http(body(1))
  local drops = { whole:sub(1, -200) }
  for at = 199, 1, -1 do drops[#drops + 1] = whole:sub(-at, -at) end

  for name, behaviour in pairs {
    ["silence after the connection"] = { keep = true },
    ["silence after the request"] = { read = true, keep = true },
    ["dripping headers"] = { read = true, send = whole, chunk = 1, pause = 0.02 },
    ["a dripping body"] = { read = true, send = drops, pause = 0.02 },
    ["endless informational answers"] = { read = true, pause = 0.02, chunk = 30,
      send = ("HTTP/1.1 100 Continue\r\nx: y\r\n\r\n"):rep(10000) },
    ["a chunk that does not end"] = { read = true, keep = true,
      send = chunked .. "fff\r\n{" },
  } do
    it("with " .. name, function()
      serve(behaviour)
      local err = timed("timeout", 0.06, raw_client { timeout = 0.06, max_retries = 2 })
      assert.equal(1, err.attempts)
      assert.equal("deadline", err.retry_stopped)
      assert.is_true(err.elapsed >= 0.06)
    end)
  end

  it("with a handshake that stalls", function()
    serve { keep = true }
    timed("timeout", 0.06, raw_client { base_url = tls_url(), timeout = 0.06 })
  end)

  it("and connect_timeout, too: no handshake, then another try", function()
    serve { keep = true }
    local err = timed("timeout", 0.1, raw_client { base_url = tls_url(), max_retries = 1,
      connect_timeout = 0.05 })
    assert.equal(2, err.attempts)
    assert.equal("max_retries", err.retry_stopped)
    assert.is_true(err.retryable)
  end)

  it("and connect_timeout, too: no server accepts", function()
    -- a queue of one is full, and what comes next is dropped
    local listener = assert(socket.tcp())
    assert(listener:bind("127.0.0.1", 0))
    assert(listener:listen(0))
    local _, port = listener:getsockname()
    local waiting = {}
    for n = 1, 4 do
      waiting[n] = assert(socket.tcp())
      waiting[n]:settimeout(0)
      waiting[n]:connect("127.0.0.1", port)
    end
    timed("timeout", 0.05, fixture.client { base_url = "http://127.0.0.1:" .. port,
      ca_file = false, connect_timeout = 0.05, max_retries = 0 })
    for _, other in ipairs(waiting) do other:close() end
    listener:close()
  end)

  -- On a slow machine the connection may take longer, but then there is another attempt,
  -- and each waits for its answer.
  it("and connect_timeout does not cut an answer short", function()
    serve { { read = true }, { wait = 0.12, send = http(body(1)) } }
    local client = raw_client { connect_timeout = 0.1, max_retries = 20 }
    assert.equal(1, succeeded(client:balance "USD").available_balance)
  end)
end)

describe("a server that misbehaves", function()
  after_each(faulty.stop)

  local function failed_as(kinds, ...)
    local _, message, err = ...
    local kind = type(err) == "table" and err.kind or "none"
    assert.truthy(("|" .. kinds .. "|"):find("|" .. kind .. "|", 1, true), message)
    return failed(kind, ...)
  end

  for _, case in ipairs(behaviours.list) do
    local name, kinds, behaviour = case[1], case[2], case[3]

    it("does no harm to the next call: " .. name, function()
      serve(behaviour, { read = true, send = http(body(2)), keep = true })
      local client = raw_client()
      if kinds == "ok" then
        assert.equal(1, succeeded(client:balance "USD").available_balance)
      else
        local err = failed_as(kinds, client:balance "USD")
        assert.equal(1, err.attempts)
      end
      assert.equal(2, succeeded(client:balance "USD").available_balance)
    end)
  end

  -- Unread bytes on a kept connection are not the answer to a request of ours. libcurl
  -- reads 16 KiB at a time; the first answer is as long, so that the second stays unseen.
  it("does no harm to the next call: a second answer after the first", function()
    local head = #http("") + 4
    local first = http(body(1) .. (" "):rep(16384 - head - #body(1)))
    assert.equal(16384, #first)
    serve({ { read = true, send = first .. http(body(99)) },
      { read = true, send = http(body(98)), keep = true } },
      { { read = true, send = http(body(2)) }, { read = true, send = http(body(3)) },
        { read = true, send = http(body(4)) } })
    local client = raw_client()
    assert.equal(1, succeeded(client:balance "USD").available_balance)
    -- the server has written all of it before it serves another connection
    succeeded(raw_client():balance "USD")
    for n = 2, 4 do
      assert.equal(n, succeeded(client:balance "USD").available_balance)
    end
    assert.equal(2, client:stats().connections)
  end)

  it("is outlived with retries where another try may help", function()
    serve({ reset = true }, { read = true },
      { read = true, send = http(body(99)):sub(1, -20) },
      { read = true, send = http(body(3)), keep = true })
    local client = raw_client { max_retries = 3 }
    assert.equal(3, succeeded(client:balance "USD").available_balance)
    assert.equal(4, client:stats().attempts)
  end)

  it("cannot make one client's trouble another's", function()
    serve({ read = true, keep = true },
      { read = true, send = http(body(5)), keep = true })
    failed("timeout", raw_client { timeout = 0.1 }:balance "USD")
    assert.equal(5, succeeded(raw_client():balance "USD").available_balance)
  end)
end)

describe("a late answer", function()
  before_each(function() sandbox.reset() end)

  for _, version in ipairs { "1.1", "2" } do
    it("to a call that timed out is never the next one's, HTTP/" .. version, function()
      local client = fixture.client { http_version = version, amounts = "string" }
      succeeded(client:balance "USD")
      for _ = 1, 3 do
        -- sent again, it may hear that the first one is being processed
        local late, _, err = client:balance("USD", fixture.with_fault(
          { kind = "delay", seconds = 0.06, times = 2 }, { timeout = 0.02 }))
        assert.is_nil(late)
        assert.truthy(err.kind == "timeout" or err.kind == "conflict", err)
        assert.equal("10000.00", succeeded(client:balance "SGD").available_balance)
        assert.equal("111.11", succeeded(client:balance("USD",
          { on_behalf_of = sandbox.sub_account })).available_balance)
      end
    end)
  end
end)

describe("uqpay.info", function()
  it("describes the connection", function()
    local info = uqpay.info()
    assert.matches("^%d+%.%d+%.%d+", info.libcurl)
    assert.is_true(#info.tls > 0)
    assert.is_true(info.http2)
    assert.is_boolean(info.async_dns)
  end)
end)
