-- What the engine knows of its connections, and how long it has the patience to wait for
-- answers.

local engine = require "engine"
local socket = require "socket"

local unpack = rawget(table, "unpack") or unpack

describe("what is known of a connection", function()
  local activity

  before_each(function() activity = engine.activity() end)

  local function waited(fd, now) return (select(3, activity:of(fd, now))) end
  local function heard(fd) return (select(2, activity:of(fd, 0))) end

  it("is nothing before it is used, and after it is closed", function()
    for _, fd in ipairs { 0, 7, 1000 } do
      assert.is_nil(activity:of(fd, 1))
      activity:touch(fd, 1)
      activity:rest(fd, 1)
      activity:shut(fd)
      activity:close(fd)
      assert.is_nil(activity:of(fd, 1))
    end
    activity:use(7, 1)
    assert.equal(1, (activity:of(7, 1)))
    activity:close(7)
    assert.is_nil(activity:of(7, 2))
    activity:use(7, 5)
    assert.equal(5, (activity:of(7, 5)))
  end)

  it("is how long requests have waited since something came", function()
    activity:use(9, 10)
    assert.equal(10, heard(9))
    assert.equal(2, waited(9, 12))
    activity:touch(9, 13)
    assert.equal(13, heard(9))
    assert.equal(1, waited(9, 14))
    activity:use(9, 14) -- it is already
    assert.equal(2, waited(9, 15))
    activity:rest(9, 15)
    assert.equal(2, waited(9, 100)) -- nobody waits while it is idle
    activity:use(9, 100)
    assert.equal(3, waited(9, 101))
    activity:rest(9, 101)
    activity:touch(9, 102)
    assert.equal(0, waited(9, 200))
    assert.equal(102, heard(9))
  end)

  it("is how many are in use", function()
    assert.equal(0, activity:count())
    for fd = 3, 200 do activity:use(fd, 1) end
    assert.equal(198, activity:count())
    for fd = 3, 100 do activity:rest(fd, 2) end
    for fd = 101, 110 do activity:close(fd) end
    assert.equal(90, activity:count())
  end)

  it("is its local port, if no other has that", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local port = tonumber((select(2, server:getsockname())))
    local client = assert(socket.connect("127.0.0.1", port))
    local other = assert(socket.connect("127.0.0.1", port))
    local mine = tonumber((select(2, client:getsockname())))
    local function find(n, address) return activity:find(n, address or "127.0.0.1") end
    activity:use(client:getfd(), 1)
    activity:use(other:getfd(), 1)
    assert.equal(client:getfd(), find(mine))
    assert.equal(client:getfd(), find(mine, "::1")) -- there is no other
    assert.equal(-1, find(port))
    local there = server:accept()
    activity:use(server:getfd(), 1)
    activity:use(there:getfd(), 1) -- from the server's port, both of them
    assert.equal(-1, find(port))
    activity:close(server:getfd())
    assert.equal(there:getfd(), find(port))
    local second = assert(socket.bind("127.0.0.2", port))
    activity:use(second:getfd(), 1) -- the port is the same, the address is not
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
    activity:use(client:getfd(), 1)
    assert.is_false((select(5, activity:of(client:getfd(), 1))))
    activity:shut(client:getfd())
    assert.is_true((select(5, activity:of(client:getfd(), 1))))
    assert.equal("closed", select(2, there:receive(1)))
    for _, one in ipairs { server, client, there } do one:close() end
  end)
end)

describe("the slowest recent answer", function()
  it("is nothing before any, and at once what is slower", function()
    local latency = engine.latency()
    assert.equal(0, latency:slowest(100))
    latency:note(0.2, 100)
    assert.equal(0.2, latency:slowest(100))
    latency:note(0.1, 101)
    assert.equal(0.2, latency:slowest(101))
    latency:note(3, 102)
    assert.equal(3, latency:slowest(102))
  end)

  it("is remembered for a minute, and forgotten after some", function()
    local latency = engine.latency()
    latency:note(2, 1000)
    for now = 1001, 1060 do
      latency:note(0.1, now)
      assert.equal(2, latency:slowest(now))
    end
    for now = 1061, 1140 do latency:note(0.1, now) end
    assert.equal(0.1, latency:slowest(1140))
  end)

  it("is forgotten without any other answer, too", function()
    local latency = engine.latency()
    latency:note(2, 1000)
    assert.equal(2, latency:slowest(1120))
    assert.equal(0, latency:slowest(1130))
  end)

  it("is remembered for longer if it took longer", function()
    local latency = engine.latency()
    latency:note(600, 10000)
    assert.equal(600, latency:slowest(11200))
    latency:note(1, 11300)
    assert.equal(600, latency:slowest(11300))
  end)
end)

describe("the least that an answer takes", function()
  local function learned(...)
    local latency = engine.latency()
    for _, took in ipairs { ... } do latency:learn(took) end
    return latency:least()
  end

  it("is not known before some", function()
    assert.equal(0, learned())
    assert.equal(0, learned(0.06))
    assert.equal(0, learned(0.0004, 0.0004, 0.0004, 0.0004, 0.0004))
  end)

  it("is below the mean, the more so the more they differ", function()
    local same, alike, different = {}, {}, {}
    for n = 1, 40 do
      same[n], alike[n], different[n] = 0.06, 0.06 + n % 2 * 0.006, n % 2 * 0.06
    end
    same, alike = learned(unpack(same)), learned(unpack(alike))
    assert.is_true(same > 0.05 and same < 0.059, same)
    assert.is_true(alike > 0.045 and alike < 0.06, alike)
    assert.equal(0, learned(unpack(different)))
  end)

  it("follows answers that come earlier than somebody looks", function()
    local latency, looks = engine.latency(), 0
    for _ = 1, 40 do latency:learn(0.3) end
    repeat
      looks = looks + 1
      latency:learn(math.max(latency:least(), 0.05))
    until latency:least() < 0.05
    assert.is_true(looks < 20, looks)
    for _ = 1, 40 do latency:learn(math.max(latency:least(), 0.05)) end
    assert.is_true(latency:least() < 0.05)
  end)
end)
