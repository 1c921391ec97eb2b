-- What the engine knows of its open connections.

local engine = require "engine"
local socket = require "socket"

describe("what is known of a connection", function()
  local connections

  before_each(function() connections = engine.connections() end)

  local function waited(fd, now) return (select(3, connections:of(fd, now))) end
  local function heard(fd) return (select(2, connections:of(fd, 0))) end

  it("is nothing before it is used, and after it is closed", function()
    for _, fd in ipairs { 0, 7, 1000 } do
      assert.is_nil(connections:of(fd, 1))
      connections:touch(fd, 1)
      connections:rest(fd, 1)
      connections:shut(fd)
      connections:close(fd)
      assert.is_nil(connections:of(fd, 1))
    end
    connections:use(7, 1)
    assert.equal(1, (connections:of(7, 1)))
    connections:close(7)
    assert.is_nil(connections:of(7, 2))
    connections:use(7, 5)
    assert.equal(5, (connections:of(7, 5)))
  end)

  it("is how long requests have waited since something came", function()
    connections:use(9, 10)
    assert.equal(10, heard(9))
    assert.equal(2, waited(9, 12))
    connections:touch(9, 13)
    assert.equal(13, heard(9))
    assert.equal(1, waited(9, 14))
    connections:use(9, 14) -- it is already
    assert.equal(2, waited(9, 15))
    connections:rest(9, 15)
    assert.equal(2, waited(9, 100)) -- nobody waits while it is idle
    connections:use(9, 100)
    assert.equal(3, waited(9, 101))
    connections:rest(9, 101)
    connections:touch(9, 102)
    assert.equal(0, waited(9, 200))
    assert.equal(102, heard(9))
  end)

  it("is how many are in use", function()
    assert.equal(0, connections:count())
    for fd = 3, 200 do connections:use(fd, 1) end
    assert.equal(198, connections:count())
    for fd = 3, 100 do connections:rest(fd, 2) end
    for fd = 101, 110 do connections:close(fd) end
    assert.equal(90, connections:count())
  end)

  it("is its local port, if no other has that", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local port = tonumber((select(2, server:getsockname())))
    local client = assert(socket.connect("127.0.0.1", port))
    local other = assert(socket.connect("127.0.0.1", port))
    local mine = tonumber((select(2, client:getsockname())))
    local function find(n, address) return connections:find(n, address or "127.0.0.1") end
    connections:use(client:getfd(), 1)
    connections:use(other:getfd(), 1)
    assert.equal(client:getfd(), find(mine))
    assert.equal(client:getfd(), find(mine, "::1")) -- there is no other
    assert.equal(-1, find(port))
    local there = server:accept()
    connections:use(server:getfd(), 1)
    connections:use(there:getfd(), 1) -- from the server's port, both of them
    assert.equal(-1, find(port))
    connections:close(server:getfd())
    assert.equal(there:getfd(), find(port))
    local second = assert(socket.bind("127.0.0.2", port))
    connections:use(second:getfd(), 1) -- the port is the same, the address is not
    assert.equal(there:getfd(), find(port))
    assert.equal(second:getfd(), find(port, "127.0.0.2"))
    assert.equal(-1, find(port, "127.0.0.3"))
    second:close()
    for _, one in ipairs { server, client, other, there } do one:close() end
  end)

  it("is whether it was given up: then its other end sees the end", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local client = assert(socket.connect("127.0.0.1", (select(2, server:getsockname()))))
    local there = server:accept()
    there:settimeout(20)
    connections:use(client:getfd(), 1)
    assert.is_false((select(5, connections:of(client:getfd(), 1))))
    connections:shut(client:getfd())
    assert.is_true((select(5, connections:of(client:getfd(), 1))))
    assert.equal("closed", select(2, there:receive(1)))
    for _, one in ipairs { server, client, there } do one:close() end
  end)

  it("is whether an idle one received bytes, any number: then it is given up", function()
    local server = assert(socket.bind("127.0.0.1", 0, 200))
    local port = select(2, server:getsockname())
    local clients, peers = {}, {}
    for n = 1, 150 do
      clients[n] = assert(socket.connect("127.0.0.1", port))
      peers[n] = assert(server:accept())
      connections:use(clients[n]:getfd(), 1)
      connections:rest(clients[n]:getfd(), 2, n ~= 3) -- one is not of HTTP/1.1
    end
    connections:use(clients[2]:getfd(), 3)
    assert.is_false(connections:shut_spoiled(10))
    for n = 1, 4 do peers[n]:send "x" end
    peers[150]:close()
    socket.sleep(0.05)
    assert.is_false(connections:shut_spoiled(10.0005)) -- it has just looked
    assert.is_false(connections:have_dead())
    assert.is_true(connections:shut_spoiled(11))
    assert.is_true(connections:have_dead())
    for n = 1, 150 do
      local shut = select(5, connections:of(clients[n]:getfd(), 11))
      assert.equal(n == 1 or n == 4 or n == 150, shut, n)
    end
    assert.is_false(connections:shut_spoiled(12))
    for _, n in ipairs { 1, 4, 150 } do connections:close(clients[n]:getfd()) end
    assert.is_false(connections:have_dead())
    for n = 1, 150 do clients[n]:close() peers[n]:close() end
    server:close()
  end)
end)
