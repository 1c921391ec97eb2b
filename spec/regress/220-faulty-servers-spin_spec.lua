-- The process of the faulty servers hung a run of specs: LuaSec's send spins for a peer
-- that is gone, and the process ignored SIGTERM.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

local prelude = [[
  package.path, package.cpath = "@path@", "@cpath@"
  local faulty = require "spec.support.faulty_driver"
  local socket = require "socket"
  local ssl = require "ssl"
  local sandbox = require "spec.sandbox.sandbox"
  sandbox.ca_file = "@ca@"
  local function serve(...) return faulty.start({ ... }, sandbox.tls "http/1.1") end
  local function handshake(server)
    local peer = assert(socket.connect("127.0.0.1", server.port))
    local wrapped = assert(ssl.wrap(peer, { mode = "client", protocol = "any" }))
    assert(wrapped:dohandshake())
    return wrapped
  end
  local function abandon(peer)    -- closes TCP without TLS's close_notify
    local bare = socket.tcp()
    bare:setfd(peer:getfd())
    bare:close()
  end
  local function pids(server)
    local pipe = io.popen("pgrep -P " .. server.pid)
    local pid = pipe:read "*l"
    pipe:close()
    return pid
  end
  local function say(...) print(...) io.stdout:flush() end
]]

-- Runs code in a separate process, for half a minute at most, and returns its output. Its
-- paths are not in the environment: the servers may run on another Lua.
local function run(code)
  local facts = { path = package.path, cpath = package.cpath, ca = sandbox.ca_file }
  local words = driver.command("timeout", "-s", "KILL", 30, "env",
    "ASAN_OPTIONS=detect_leaks=0", os.getenv "UQPAY_LUA", "-e",
    prelude:gsub("@(%a+)@", facts) .. code)
  return driver.output(words .. " 2>&1 || echo killed")
end

describe("the process of the faulty servers", function()
  setup(function() sandbox.start() end)

  local pid

  -- it would spin on
  after_each(function()
    if pid then driver.output("kill -s KILL " .. pid .. " 2> /dev/null") end
    pid = nil
  end)

  local function check(text)
    pid = text:match "^(%d+)\n"
    assert.matches("^%d+\nanswered\n$", text)
  end

  it("does not send to a peer that is gone", function()
    check(run [[
      local server = serve { hold = true, read = true, send = "x" }
      say(pids(server))
      local peer = handshake(server)
      peer:settimeout(0.2)
      peer:receive()    -- the tickets: unread, they would make a reset of the end
      peer:send "GET / HTTP/1.1\r\n\r\n"
      abandon(peer)
      server:go()
      repeat until (server:requests()[1] or ""):find "GET"
      server:requests()
      say "answered"
    ]])
  end)

  it("ends by SIGTERM", function()
    check(run [[
      local server = serve { keep = true }
      local pid = pids(server)
      say(pid)
      os.execute("kill -s TERM " .. pid)
      assert(not pcall(server.requests, server))
      say "answered"
    ]])
  end)

  it("ends with the process of its driver, however that ends", function()
    local text = run [[
      local server = serve { keep = true }
      say(pids(server) .. " " .. server.dir)
      os.execute "kill -s KILL $PPID"
    ]]
    local dir
    pid, dir = text:match "^(%d+) (%S+)\n"
    assert.truthy(pid, text)
    for _ = 1, 500 do
      if driver.output("ls -d " .. dir .. " 2> /dev/null") == "" then break end
      driver.output "sleep 0.02"
    end
    assert.equal("", driver.output("ls -d " .. dir .. " /proc/" .. pid
      .. " 2> /dev/null"))
  end)
end)
