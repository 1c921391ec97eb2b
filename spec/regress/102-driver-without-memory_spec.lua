-- Under an event loop, a lack of memory could leave calls waiting for ever: when the
-- coroutine that drives them could not begin, when it died, and when it had got the id of
-- a call but had not woken its waiter.

local child = require "spec.support.child"

local prelude = [[
  local socket = require "socket"
  local function no() return false end
  local loop = require "spec.support.plain_loop"(function(fd)
    local readable = socket.select({ { getfd = function() return fd end, dirty = no } },
      nil, 20)
    assert(#readable == 1, "nothing happens")
  end)
  local face = require "uqpay.loop"(loop)
  local function new()
    return face.new(options { client_id = false, api_key = false, token = sandbox.token })
  end
  local function ask(c, results)
    loop.spawn(function()
      local n, iterate = 0, c:batch { "USD", "SGD" }
      local query, balance, message = iterate() -- by hand, for Lua 5.1
      while query do
        assert(balance, message)
        n = n + 1
        query, balance, message = iterate()
      end
      results[#results + 1] = n
    end)
  end
]]

describe("under an event loop an error of its own", function()
  for name, raise in pairs {
    ["where its coroutine begins"] = [[
      local spawn = loop.spawn
      function loop.spawn(f)
        function loop.spawn()
          loop.spawn = spawn
          error("not enough memory", 0)
        end
        spawn(f)              -- the program's; the one within it is the hub's
      end]],
    ["where it waits"] = [[
      local watch = loop.watch
      function loop.watch(fd)
        loop.watch = watch
        local watched = watch(fd)
        local wait = watched.wait
        function watched.wait()
          wait()
          error("not enough memory", 0)
        end
        return watched
      end]],
  } do
    it("is raised, and leaves no call waiting: " .. name, function()
      child.run(prelude .. raise .. [[

        local c, results = new(), {}
        local told = 0
        for n = 1, 2 do
          if not pcall(ask, c, results) then told = told + 1 end
        end
        told = told + (pcall(loop.run) and 0 or 1)
        assert(told > 0)
        ask(c, results)
        loop.run_all()
        assert(#results > 0 and results[#results] == 2)
        c:close()
      ]])
    end)
  end

  it("leaves no call waiting, on whatever line it comes", function()
    child.run(prelude .. [[
      if jit then jit.off() end
      local wake_due = 0
      for line in io.lines "src/uqpay/hub.lua" do
        wake_due = wake_due + 1
        if line:find "^local function wake_due" then break end
      end
      local spawn, at, n, driver = loop.spawn, 0, 0, nil
      local function strike()
        if coroutine.running() ~= driver
          or debug.getinfo(2, "S").linedefined ~= wake_due then return end
        n = n + 1
        if n == at then error("not enough memory", 0) end
      end
      local function spawn_driver(f)
        spawn(function()
          driver = coroutine.running()
          debug.sethook(driver, strike, "l")
          f()
        end)
      end
      repeat
        at, n = at + 1, 0
        local c, results = new(), {}
        for _ = 1, 2 do
          loop.spawn = spawn
          local began = loop.spawn
          function loop.spawn(f)
            loop.spawn = spawn_driver
            began(f)
          end
          pcall(ask, c, results)
        end
        loop.spawn = spawn
        pcall(loop.run)
        debug.sethook()
        driver = nil
        ask(c, results)
        loop.run_all()
        assert(results[#results] == 2)
        c:close()
      until n < at
      assert(at > 20, at)
    ]])
  end)
end)
