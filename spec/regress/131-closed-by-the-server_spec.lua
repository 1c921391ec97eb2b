-- A connection that the server closed while it was idle stayed half open (CLOSE_WAIT)
-- until the client's next request, however often the client was stepped.

local driver = require "spec.support.driver"
local engine = require "engine"
local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.support.sandbox"
local socket = require "socket"
local uqpay = require "uqpay"

local function sockets()
  local listing = driver.output "ls -l /proc/$PPID/fd 2> /dev/null"
  local _, count = listing:gsub("socket:", "")
  return count
end

-- How many of our connections to the port are in CLOSE_WAIT.
local function half_open(port)
  local count, to = 0, (":%04X"):format(port)
  for line in io.lines "/proc/net/tcp" do
    local remote, state = line:match "^%s*%d+: %x+:%x+ %x+(:%x+) (%x%x)"
    if remote == to and state == "08" then count = count + 1 end
  end
  return count
end

describe("idle connections that the server closes", function()
  local client, server

  if uqpay.info().poller ~= "epoll" then
    it("are closed at once", function() pending "only where epoll tells of them" end)
    return
  end

  setup(function() sandbox.start() end)
  after_each(function()
    client:close()
    server:stop()
  end)

  local function certificate(name) return (sandbox.ca_file:gsub("ca%.pem$", name)) end

  -- Steps the client until it holds so many sockets. Returns the number of steps.
  local function step_until(count)
    local deadline, steps = socket.gettime() + 40, 0
    repeat
      assert.is_true(socket.gettime() < deadline, "the connections are not closed")
      client:step(0.2)
      steps = steps + 1
    until sockets() == count
    return steps
  end

  -- So many calls at once, on a connection each, which the server closes afterwards.
  local function try(calls, tls, closing)
    server = faulty.start({ { { read = true, send = fixture.http(fixture.body(1)) },
      { hold = true, [closing] = true } } }, tls)
    client = fixture.client { base_url = server.url, ca_file = tls and sandbox.ca_file,
      http_version = "1.1", max_retries = 0 }
    collectgarbage()
    collectgarbage()
    client:pollfd()             -- what else it needs is open
    local before, left, running = sockets(), calls, {}
    for n = 1, calls do running[n] = client:start_balance "USD" end
    while left > 0 do
      client:step(1)
      for _ in function() return client:ready() end do left = left - 1 end
    end
    for _, call in ipairs(running) do call:step() end
    assert.equal(before + calls, sockets())
    for _ = 1, calls do server:go() end
    local steps = step_until(before)
    assert.is_true(steps < 40, steps)           -- it is not woken for nothing
    assert.equal(0, half_open(server.port))
  end

  for name, tls in pairs { ["in clear"] = false, ["over TLS"] = true } do
    for _, closing in ipairs { "close", "cut" } do
      for _, calls in ipairs { 1, 12 } do
        it(("are closed: %d %s, by %s"):format(calls, name, closing), function()
          try(calls, tls and { certificate = certificate "server.pem",
            key = certificate "server.key", alpn = { "http/1.1" } }, closing)
        end)
      end
    end
  end

  for _, how in ipairs { "close", "cut" } do
    it("are closed: over HTTP/2, by " .. how, function()
      server = relays.start(sandbox.url)
      client = fixture.client { base_url = server.url, http_version = "2" }
      client:pollfd()
      local before = sockets()
      fixture.succeeded(client:balance "USD")
      assert.equal(before + 1, sockets())
      assert.equal(1, server:order "count")
      server:order(how)
      step_until(before)
      assert.equal(0, half_open(server.port))
      fixture.succeeded(client:balance "USD")
      assert.equal(0, client:stats().retries)
    end)
  end

  it("wake a program that waits on the descriptor, and no more than that", function()
    server = faulty.start { { { read = true, send = fixture.http(fixture.body(1)) },
      { hold = true, close = true } } }
    client = fixture.client { base_url = server.url, ca_file = false }
    local fd = client:pollfd()
    local before = sockets()
    fixture.succeeded(client:balance "USD")
    client:step(0)
    assert.is_false(engine.readable(fd, 0))
    server:go()
    local woken = 0
    while engine.readable(fd, 2000) do
      client:step(0)
      woken = woken + 1
      assert.is_true(woken < 10, "it is woken over and over")
    end
    assert.is_true(woken > 0)
    assert.equal(before, sockets())
  end)
end)
