-- A connection that the server closed while it was idle stayed half open (CLOSE_WAIT)
-- until the client's next request, however often the client was stepped.

local driver = require "spec.support.driver"
local engine = require "engine"
local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local uqpay = require "uqpay"

local unpack = table.unpack or unpack

-- The number of our sockets, without Unix ones: libcurl from 8.21 on has a pair of those
-- to wake it.
local function sockets()
  local listing = driver.output "ls -l /proc/$PPID/fd 2> /dev/null"
  local unix, count = {}, 0
  for line in io.lines "/proc/net/unix" do
    unix[line:match "^%S+ %S+ %S+ %S+ %S+ %S+ +(%d+)" or ""] = true
  end
  for inode in listing:gmatch "socket:%[(%d+)%]" do
    if not unix[inode] then count = count + 1 end
  end
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
  local closing = fixture.closing()

  -- Steps the clients until there are so many sockets. Returns the number of rounds.
  local function step_until(count, ...)
    local deadline, rounds = socket.gettime() + 40, 0
    repeat
      assert.is_true(socket.gettime() < deadline, "the connections are not closed")
      for _, one in ipairs { ... } do one:step(0.2 / select("#", ...)) end
      rounds = rounds + 1
    until sockets() == count
    return rounds
  end

  local function ask_at_once(one, calls)
    local left, running = calls, {}
    for n = 1, calls do running[n] = one:start_balance "USD" end
    while left > 0 do
      one:step(1)
      for _ in function() return one:ready() end do left = left - 1 end
    end
    for _, call in ipairs(running) do
      assert.is_true(call:step())
      fixture.succeeded(call:result())
    end
  end

  -- So many calls at once, on a connection each, which the server closes afterwards: in
  -- clear and over TLS, with its word for it and without, beside each other.
  local function try(calls)
    local servers, clients, answer = {}, {}, fixture.http(fixture.body(1))
    finally(function()
      for n, one in ipairs(clients) do
        one:close()
        servers[n]:stop()
      end
    end)
    for _, tls in ipairs { false, sandbox.tls "http/1.1" } do
      for _, how in ipairs { "close", "cut" } do
        local made = faulty.start({ { { read = true, send = answer },
          { hold = true, [how] = true } } }, tls)
        servers[#servers + 1] = made
        clients[#clients + 1] = fixture.client { base_url = made.url,
          ca_file = tls and sandbox.ca_file, http_version = "1.1", max_retries = 0 }
      end
    end
    collectgarbage()
    collectgarbage()
    for _, one in ipairs(clients) do one:pollfd() end   -- others are open
    local before = sockets()
    for _, one in ipairs(clients) do ask_at_once(one, calls) end
    assert.equal(before + #clients * calls, sockets())
    for _, made in ipairs(servers) do
      for _ = 1, calls do made:go() end
    end
    local rounds = step_until(before, unpack(clients))
    assert.is_true(rounds < 40, rounds)         -- they are not woken for nothing
    for _, made in ipairs(servers) do assert.equal(0, half_open(made.port)) end
  end

  for _, calls in ipairs { 1, 12 } do
    it("are closed, each after " .. calls .. " at once", function() try(calls) end)
  end

  for _, how in ipairs { "close", "cut" } do
    it("are closed: over HTTP/2, by " .. how, function()
      server = closing(relays.start(sandbox.url))
      client = closing(fixture.client { base_url = server.url, http_version = "2" })
      client:pollfd()
      local before = sockets()
      fixture.succeeded(client:balance "USD")
      assert.equal(before + 1, sockets())
      assert.equal(1, server:order "count")
      server:order(how)
      step_until(before, client)
      assert.equal(0, half_open(server.port))
      fixture.succeeded(client:balance "USD")
      assert.equal(0, client:stats().retries)
    end)
  end

  it("wake a program that waits on the descriptor, and no more than that", function()
    server = closing(faulty.start { { { read = true,
      send = fixture.http(fixture.body(1)) }, { hold = true, close = true } } })
    client = closing(fixture.client { base_url = server.url, ca_file = false })
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
