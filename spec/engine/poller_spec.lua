-- The poller, whichever it is: what its own waits say, and what others see who wait on
-- its descriptor. `make pollers` runs this with each.

local driver = require "spec.support.driver"
local engine = require "engine"
local socket = require "socket"
local uqpay = require "uqpay"

local variant = os.getenv "UQPAY_POLLER"    -- of the build, when it is one of them
local name = engine.poller_name()
local has_descriptor = name ~= "poll"
local NONE, IN, OUT, ERR, REST = 0, 1, 2, 4, 8
local tells_of_rest = name == "epoll"
local long = 10000        -- ms that no test lets pass
local poller, open

local function new_pipe()
  local r, w = engine.pipe()
  open[r], open[w] = true, true
  return r, w
end

local function close(fd)
  open[fd] = nil
  return engine.close(fd)
end

-- Runs f and returns how long it took, in seconds.
local function timed(f)
  local start = socket.gettime()
  f()
  return socket.gettime() - start
end

local function new_poller()
  collectgarbage()        -- closes files now, so that descriptors' numbers stay put
  poller, open = engine.poller(), {}
end

local function close_poller()
  poller:close()
  for fd in pairs(open) do engine.close(fd) end
end

-- What select(2) says of a descriptor.
local function selected(fd)
  local object = {
    getfd = function() return fd end,
    dirty = function() return false end,
  }
  return #socket.select({ object }, nil, 0) == 1
end

describe("the poller", function()
  before_each(new_poller)
  after_each(close_poller)

  -- Does poll(2) on the descriptor say so? Where there is none: would a wait end?
  local function readable(ms)
    local fd = poller:fd()
    if fd >= 0 then return engine.readable(fd, ms or 0) end
    return select(2, poller:wait(ms or 0)) > 0 or poller:due()
  end

  it("is the one that was built, and info names it", function()
    local expected = variant and variant:match "^%l+"
    if not expected and driver.output "uname" == "Linux\n" then expected = "epoll" end
    assert.equal(expected or name, name)
    assert.equal(name, uqpay.info().poller)
    assert.equal(has_descriptor, poller:fd() >= 0)
  end)

  it("is quiet when nothing is watched", function()
    assert.is_false(readable())
    assert.is_false(poller:due())
    assert.same({}, (poller:wait(0)))
  end)

  -- A signal ends a wait early.
  it("waits for its limit, and no longer", function()
    local longest = 0
    for _ = 1, 3 do
      local took = timed(function() assert.same({}, (poller:wait(30))) end)
      assert.is_true(took < 5, took)
      longest = math.max(longest, took)
    end
    assert.is_true(longest >= 0.028, longest)
  end)

  it("is ready while a watched pipe is", function()
    local r, w = new_pipe()
    assert.equal(0, poller:watch(r, IN))
    assert.is_false(readable())
    engine.write(w, "x")
    for _ = 1, 3 do         -- until it is read, not once
      assert.is_true(readable())
      assert.same({ [r] = IN }, (poller:wait(long)))
    end
    engine.read(r)
    assert.is_false(readable())
    assert.same({}, (poller:wait(0)))
  end)

  it("says which descriptors are ready, and for what", function()
    local r1, w1 = new_pipe()
    local r2, w2 = new_pipe()
    local r3 = new_pipe()
    for _, fd in ipairs { r1, r2, r3 } do poller:watch(fd, IN) end
    poller:watch(w1, OUT)
    engine.write(w2, "x")
    assert.same({ [w1] = OUT, [r2] = IN }, (poller:wait(long)))
    engine.write(w1, "x")
    assert.same({ [w1] = OUT, [r1] = IN, [r2] = IN }, (poller:wait(long)))
  end)

  it("takes a hang-up for an error, with what is left to read", function()
    local r, w = new_pipe()
    poller:watch(r, IN)
    engine.write(w, "x")
    close(w)
    assert.same({ [r] = IN + ERR }, (poller:wait(long)))
    engine.read(r)
    assert.same({ [r] = name == "kqueue" and IN + ERR or ERR }, (poller:wait(long)))
    poller:watch(r, NONE)
    local r2, w2 = new_pipe()
    poller:watch(w2, OUT)
    close(r2)
    assert.same({ [w2] = OUT + ERR }, (poller:wait(long)))
  end)

  it("tells reading and writing of a socket together, and its end", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local address, port = server:getsockname()
    local client = assert(socket.connect(address, port))
    local peer = assert(server:accept())
    local fd = client:getfd()
    poller:watch(fd, IN + OUT)
    assert.same({ { [fd] = OUT }, 1 }, { poller:wait(long) })
    peer:send "x"
    poller:watch(fd, IN)
    assert.same({ { [fd] = IN }, 1 }, { poller:wait(long) })
    poller:watch(fd, IN + OUT)
    assert.same({ { [fd] = IN + OUT }, 1 }, { poller:wait(long) })
    client:receive(1)
    peer:shutdown "send"
    poller:watch(fd, IN)
    local half = name == "kqueue" and IN + ERR or IN
    assert.same({ { [fd] = half }, 1 }, { poller:wait(long) })
    for _, object in ipairs { server, client, peer } do object:close() end
  end)

  it("takes a connection that was refused for an error", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local address, port = server:getsockname()
    server:close()
    local client = socket.tcp()
    client:settimeout(0)
    client:connect(address, port)
    poller:watch(client:getfd(), OUT)
    assert.same({ [client:getfd()] = OUT + ERR }, (poller:wait(long)))
    client:close()
  end)

  it("watches for the last request only", function()
    local r, w = new_pipe()
    engine.write(w, "x")
    assert.equal(0, poller:watch(r, IN))
    assert.equal(0, poller:watch(r, OUT))       -- a read end never is
    assert.is_false(readable())
    assert.equal(0, poller:watch(r, IN + OUT))
    assert.same({ [r] = IN }, (poller:wait(long)))
    assert.equal(0, poller:watch(r, IN))
    assert.same({ [r] = IN }, (poller:wait(long)))
  end)

  it("forgets what it is told to forget", function()
    local r, w = new_pipe()
    poller:watch(r, IN)
    engine.write(w, "x")
    assert.is_true(readable())
    assert.equal(0, poller:watch(r, NONE))
    assert.is_false(readable())
    assert.same({}, (poller:wait(0)))
    assert.equal(0, poller:watch(r, IN))
    assert.is_true(readable())
  end)

  it("forgets gladly what it never knew, and what is closed", function()
    local r, w = new_pipe()
    assert.equal(0, poller:watch(r, NONE))
    poller:watch(r, IN)
    engine.write(w, "x")
    close(r)
    assert.is_false(readable())
    assert.equal(0, poller:watch(r, NONE))
    assert.equal(0, poller:watch(999999, NONE))
  end)

  it("waits its time though what it watched was closed", function()
    local r = new_pipe()
    poller:watch(r, IN)
    close(r)
    poller:wait(0)
    local took = timed(function() assert.same({}, (poller:wait(30))) end)
    assert.is_true(took >= 0.028, took)
  end)

  it("says why it cannot watch", function()
    assert.equal(9, poller:watch(999999, IN))   -- EBADF
    assert.equal(9, poller:watch(-1, OUT))
  end)

  it("watches a number that is in use again", function()
    local r = new_pipe()
    poller:watch(r, IN)
    close(r)
    local r2, w2 = new_pipe()
    assert.equal(r, r2)
    assert.equal(0, poller:watch(r2, IN))
    engine.write(w2, "x")
    assert.same({ [r2] = IN }, (poller:wait(long)))
  end)

  it("says once that something came to what rests, until it is watched again", function()
    local r, w = new_pipe()
    poller:watch(r, IN)
    for _ = 1, 3 do
      assert.equal(0, poller:pause(r))
      assert.same({}, (poller:wait(0)))
      engine.write(w, "x")
      local expected = {}
      if tells_of_rest then
        expected[r] = REST + IN
        assert.is_true(readable(long))
      end
      assert.same(expected, (poller:wait(0)))
      assert.same({}, (poller:wait(0)))
      assert.is_false(readable())
      assert.equal(0, poller:watch(r, IN))
      assert.same({ [r] = IN }, (poller:wait(long)))
      assert.equal("x", engine.read(r))
    end
    assert.equal(0, poller:pause(r))
    assert.equal(0, poller:watch(r, NONE))
    assert.same({}, (poller:wait(0)))
    assert.equal(0, poller:watch(w, OUT))
    assert.equal(0, poller:pause(w))
    assert.equal(0, poller:watch(w, IN))      -- for something else than before
    assert.same({}, (poller:wait(0)))
    assert.equal(0, poller:pause(999999))      -- it never was watched
  end)

  it("says once that the other end of what rests is closed", function()
    for _, unread in ipairs { false, true } do
      local r, w = new_pipe()
      poller:watch(r, IN)
      assert.equal(0, poller:pause(r))
      if unread then
        engine.write(w, "x")
        poller:wait(0)
        assert.same({}, (poller:wait(0)))
      end
      close(w)
      assert.same(tells_of_rest and { [r] = REST + ERR } or {}, (poller:wait(0)))
      assert.same({}, (poller:wait(0)))
      assert.is_false(readable())
      assert.equal(0, poller:watch(r, IN))
      local event = poller:wait(long)[r]
      assert.is_true(event ~= nil and event < REST)
      assert.equal(0, poller:watch(r, NONE))
    end
  end)

  it("hands out no more events than asked for, and the rest later", function()
    local expected, seen = {}, {}
    for _ = 1, 40 do
      local r, w = new_pipe()
      poller:watch(r, IN)
      engine.write(w, "x")
      expected[r] = IN
    end
    for _, max in ipairs { 1, 3, 7 } do
      assert.equal(max, select(2, poller:wait(long, max)))
    end
    for _ = 1, 40 do
      local events, count = poller:wait(long)
      assert.is_true(count > 0)
      for fd, what in pairs(events) do
        assert.is_nil(seen[fd])
        seen[fd] = what
        engine.read(fd)
      end
      if not readable() then break end
    end
    assert.same(expected, seen)
  end)

  it("gives each its turn when more are ready than asked for", function()
    local expected, seen = {}, {}
    for _ = 1, 5 do
      local r, w = new_pipe()
      poller:watch(r, IN)
      engine.write(w, "x")
      expected[r] = IN
    end
    for _ = 1, 5 do
      for fd, what in pairs((poller:wait(long, 1))) do seen[fd] = what end
    end
    assert.same(expected, seen)
  end)

  it("is due at once for a timer of nothing", function()
    poller:timer(0)
    assert.is_true(poller:due())
    assert.is_true(readable(long))
    local took = timed(function() assert.same({}, (poller:wait(long))) end)
    assert.is_true(took < 5, took)
  end)

  it("becomes readable when the timer is due, and not before", function()
    for _, ms in ipairs { 1, 15, 40 } do
      local took = timed(function()
        poller:timer(ms)
        assert.is_true(readable(long))
      end)
      assert.is_true(poller:due())
      assert.is_true(took >= ms / 1000 - 0.001, took)
      assert.is_true(took < 5, took)
    end
  end)

  it("ends its own wait when the timer is due, without any descriptor", function()
    local took = timed(function()
      poller:timer(20)
      assert.same({}, (poller:wait(long)))
    end)
    assert.is_true(took >= 0.019 and took < 5, took)
    assert.is_true(poller:due())
  end)

  it("does not wait at all for a timer that is overdue", function()
    poller:timer(1)
    socket.sleep(0.01)
    local took = timed(function() assert.same({}, (poller:wait(long))) end)
    assert.is_true(took < 5, took)
    assert.is_true(poller:due())
  end)

  it("keeps to the limit when the timer is later", function()
    poller:timer(long)
    local took = timed(function() poller:wait(10) end)
    assert.is_true(took < 5, took)
    assert.is_false(poller:due())
  end)

  it("stays due until the timer is set again", function()
    poller:timer(0)
    for _ = 1, 3 do
      assert.is_true(readable(long))
      poller:wait(long)
      assert.is_true(poller:due())
    end
    poller:timer(-1)
    assert.is_false(poller:due())
    assert.is_false(readable())
    assert.same({}, (poller:wait(0)))
  end)

  it("is quiet when the timer is disarmed, gone off or not", function()
    poller:timer(10)
    assert.is_true(readable(long))
    poller:timer(-1)
    assert.is_false(readable())
    poller:timer(10)
    poller:fd()
    poller:timer(-1)
    assert.is_false(readable(40))
    assert.is_false(poller:due())
  end)

  it("is quiet when a timer that went off is set to later", function()
    poller:timer(0)
    assert.is_true(readable(long))
    poller:timer(long)
    assert.is_false(poller:due())
    assert.is_false(readable())
  end)

  it("uses the last timer only, sooner or later", function()
    poller:timer(10)
    poller:fd()
    poller:timer(long)
    assert.is_false(readable(40))
    poller:timer(10)
    assert.is_true(readable(long))
    assert.is_true(poller:due())
  end)

  it("is of use again after each timer", function()
    for _ = 1, 5 do
      poller:timer(2)
      assert.is_true(readable(long))
      poller:wait(long)
      assert.is_true(poller:due())
      poller:timer(-1)
      assert.is_false(readable())
    end
  end)

  it("wakes at an outdated timer once at most", function()
    poller:timer(5)
    poller:fd()
    poller:timer(-1)
    local wakes, start = 0, socket.gettime()
    repeat
      poller:wait(50)
      wakes = wakes + 1
    until socket.gettime() - start >= 0.045
    assert.is_true(wakes <= 3, wakes)
  end)

  it("tells the timer from the descriptors", function()
    local r, w = new_pipe()
    poller:watch(r, IN)
    poller:timer(0)
    assert.is_true(readable(long))
    local events, count = poller:wait(long)
    assert.same({}, events)
    assert.equal(0, count)
    engine.write(w, "x")
    poller:fd()
    assert.same({ [r] = IN }, (poller:wait(long)))
    assert.is_true(poller:due())
  end)

  it("lets no overdue timer stand before the descriptors", function()
    local r, w = new_pipe()
    poller:watch(r, IN)
    poller:timer(0)
    assert.is_true(readable(long))
    engine.write(w, "x")
    local seen = {}
    for _ = 1, 3 do
      for fd, what in pairs((poller:wait(long, 1))) do seen[fd] = what end
    end
    assert.same({ [r] = IN }, seen)
  end)

  it("sees descriptors while the timer runs", function()
    local r, w = new_pipe()
    poller:watch(r, IN)
    poller:timer(long)
    engine.write(w, "x")
    assert.is_true(readable())
    assert.same({ [r] = IN }, (poller:wait(long)))
    assert.is_false(poller:due())
  end)

  it("takes no notice of a notice while nobody has its descriptor", function()
    poller:notify()
    local took = timed(function() assert.same({}, (poller:wait(30))) end)
    assert.is_true(took >= 0.028, took)
    assert.is_false(readable())
  end)

  it("opens nothing for a timer that nobody else waits for", function()
    local r, w = new_pipe()
    close(r)
    close(w)
    poller:timer(long)
    poller:arm()
    poller:notify()
    poller:wait(0)
    assert.same({ r, w }, { new_pipe() })
  end)

  it("closes all that it opened", function()
    local r, w = new_pipe()
    close(r)
    close(w)
    for _ = 1, 10 do
      local other = engine.poller()
      other:timer(0)
      other:fd()
      other:close()
    end
    assert.same({ r, w }, { new_pipe() })
  end)

  it("closes nothing of others when it is closed again", function()
    poller:close()
    local r, w = new_pipe()
    poller:close()
    assert.is_true(engine.write(w, "x"))
    assert.equal("x", engine.read(r))
  end)

  it("is the parent's after a fork, and closed by a child without harm", function()
    local fork = require "fork"
    local r, w = new_pipe()
    poller:watch(r, IN)
    poller:timer(long)
    poller:fd()
    local pid = fork.fork()
    if pid == 0 then                    -- its files have the numbers that are free
      local files, unharmed = {}, true
      for i = 1, 20 do files[i] = { engine.pipe() } end
      poller:close()
      for _, ends in ipairs(files) do
        unharmed = unharmed and engine.write(ends[2], "x") and engine.readable(ends[1], 0)
      end
      fork.leave(unharmed and 0 or 1)
    end
    assert.same({ "exit", 0 }, { fork.wait(pid) })
    assert.is_false(readable())
    engine.write(w, "x")
    assert.is_true(readable())
    assert.same({ [r] = IN }, (poller:wait(long)))
    poller:timer(0)
    assert.is_true(readable(long))
  end)
end)

-- For those who asked for it once, as event loops do.
if has_descriptor then describe("the poller's descriptor", function()
  local fd
  local function readable(ms) return engine.readable(fd, ms or 0) end

  -- A wait that ends at once and reports nothing.
  local function quiet_wait()
    local took = timed(function()
      assert.same({ {}, 0 }, { poller:wait(long) })
    end)
    assert.is_true(took < 5, took)
  end

  before_each(function()
    new_poller()
    fd = poller:fd()
  end)
  after_each(close_poller)

  it("is left to no child process", function()
    local info = io.open("/proc/self/fdinfo/" .. fd)
    if not info then
      pending "no /proc here to see the flags of a descriptor"
      return
    end
    local flags = info:read("*a"):match "flags:%s*(%d+)"
    info:close()
    assert.equal(1, math.floor(tonumber(flags, 8) / tonumber("2000000", 8)) % 2)
  end)

  it("is readable for poll and select while a watched pipe is", function()
    local r, w = new_pipe()
    poller:watch(r, IN)
    assert.is_false(readable())
    assert.is_false(selected(fd))
    engine.write(w, "x")
    assert.is_true(readable(long))
    assert.is_true(selected(fd))
    engine.read(r)
    assert.is_false(readable())
    assert.is_false(selected(fd))
  end)

  it("becomes readable for a timer that is armed, and not before it is due", function()
    for _, ms in ipairs { 1, 15, 40 } do
      local took = timed(function()
        poller:timer(ms)
        poller:arm()
        assert.is_true(readable(long))
      end)
      assert.is_true(took >= ms / 1000 - 0.001, took)
      assert.is_true(poller:due())
      assert.is_true(selected(fd))
    end
  end)

  it("is quiet when the timer is disarmed or set to later, gone off or not", function()
    for _, later in ipairs { -1, long } do
      poller:timer(0)
      poller:arm()
      assert.is_true(readable(long))
      poller:timer(later)
      poller:arm()
      assert.is_false(readable())
      poller:timer(10)
      poller:arm()
      poller:timer(later)
      poller:arm()
      assert.is_false(readable(40))
    end
  end)

  it("stays readable while the timer is due, whatever else is done", function()
    poller:timer(1)
    poller:arm()
    for _ = 1, 3 do
      assert.is_true(readable(long))
      poller:arm()
      assert.is_true(readable(long))
      quiet_wait()
      assert.is_true(poller:due())
      poller:arm()
    end
    assert.is_true(readable(long))
    poller:timer(-1)
    poller:arm()
    assert.is_false(readable())
  end)

  it("keeps a timer through waits that end before it", function()
    poller:timer(30)
    poller:arm()
    poller:wait(0)
    poller:arm()
    assert.is_true(readable(long))
    assert.is_true(poller:due())
  end)

  it("is quiet after the wait that an outdated timer has woken", function()
    poller:timer(5)
    poller:arm()
    poller:timer(long)                  -- and is not armed
    assert.is_true(readable(long))
    quiet_wait()
    assert.is_false(poller:due())
    assert.is_false(readable())
    poller:arm()
    assert.is_false(readable())
  end)

  it("is readable when notified, until a wait that says nothing of it", function()
    for _ = 1, 3 do
      assert.is_false(readable())
      poller:notify()
      if variant == "kqueue" then assert.is_true(readable()) end    -- before any timer
      for _ = 1, 3 do assert.is_true(readable(long)) end
      assert.is_true(selected(fd))
      quiet_wait()
    end
    assert.is_false(readable())
  end)

  it("takes several notices for one", function()
    for _ = 1, 3 do poller:notify() end
    assert.is_true(readable(long))
    poller:notify()
    quiet_wait()
    assert.is_false(readable())
  end)

  it("keeps a notice, whatever happens to the timer", function()
    poller:timer(long)
    poller:arm()
    poller:notify()
    poller:timer(-1)
    poller:arm()
    assert.is_true(readable(long))
    poller:timer(long)
    assert.equal(fd, poller:fd())
    assert.is_true(readable(long))
    quiet_wait()
    poller:arm()
    assert.is_false(readable())
  end)

  it("keeps the timer, whatever is noticed", function()
    poller:timer(60)
    poller:arm()
    poller:notify()
    assert.is_true(readable(long))
    quiet_wait()
    poller:arm()
    assert.is_true(readable(long))
    assert.is_true(poller:due())
    poller:notify()
    quiet_wait()
    assert.is_true(poller:due())
    poller:arm()
    assert.is_true(readable(long))
    poller:timer(-1)
    poller:arm()
    assert.is_false(readable())
  end)

  if name == "epoll" then     -- the others open nothing for it
    it("is had later when the system has none to give at first", function()
      local code = [[
        local engine = require "engine"
        local poller, files = engine.poller(), {}
        local function fill(open)
          repeat
            local file = open()
            files[#files + 1] = file
          until not file
        end
        fill(function() return io.open "/dev/null" end)
        assert(poller:fd() == -1)
        poller:timer(0)
        poller:arm()
        poller:notify()
        for _, file in ipairs(files) do file:close() end
        assert(engine.readable(poller:fd(), 10000))
        poller:wait(0)
        poller:timer(-1)
        assert(not engine.readable(poller:fd(), 0))
        print "had"
      ]]
      local words = driver.command("env", "LUA_CPATH=" .. package.cpath,
        assert(os.getenv "UQPAY_LUA", "run by make spec"), "-e", code)
      assert.equal("had\n", driver.output("ulimit -n 64; " .. words .. " 2>&1"))
    end)
  end

  it("gives a notice up to a wait that has no room left", function()
    local r, w = new_pipe()
    poller:watch(r, IN)
    engine.write(w, "x")
    assert.is_true(readable(long))
    poller:notify()
    assert.same({ { [r] = IN }, 1 }, { poller:wait(long, 1) })
    engine.read(r)
    assert.is_false(readable())
  end)
end) end
