-- Starts relays (spec/support/relay.lua), each a process of its own.
--
--   local relay = require("spec.support.relay_driver").start(sandbox.url)
--   relay.url                -- the sandbox's, through the relay
--   relay:order "cut"        -- see relay.lua; returns the number of connections
--   relay:stop()

local driver = require "spec.support.driver"
local socket = require "socket"

local relay = {}
local methods = {}

function relay.start(url)
  local port = url:match ":(%d+)"
  local dir = driver.directory "relay"
  -- Its standard input is our pipe, so that it ends with us.
  local pipe = assert(io.popen(([[
    lua=$(command -v "${UQPAY_FAULTY_LUA:-lua5.4}" || command -v lua) || exit 127
    exec "$lua" %s %s > %s/ports]]):format(driver.quote(driver.here .. "/relay.lua"),
    driver.quote(port), driver.quote(dir)), "w"))
  local made = setmetatable({ pipe = pipe }, { __index = methods })
  local deadline = socket.gettime() + 5
  local listening, control
  repeat
    local file = io.open(dir .. "/ports")
    if file then
      listening, control = file:read "*a":match "^(%d+) (%d+)\n"
      file:close()
    end
    if not control then socket.sleep(0.005) end
  until control or socket.gettime() > deadline
  os.execute(driver.command("rm", "-rf", dir))
  if not control then
    made:stop()
    error("relay did not start", 2)
  end
  made.port, made.control = listening, tonumber(control)
  made.url = url:gsub(":%d+", ":" .. listening, 1)
  return made
end

function methods:order(order)
  local client = assert(socket.connect("127.0.0.1", self.control))
  client:settimeout(5)
  client:send(order .. "\n")
  local answer = assert(client:receive "*l", order)
  client:close()
  return tonumber(answer)
end

-- Ends the relay and returns when it is gone.
function methods:stop()
  if self.pipe then self.pipe:close() end
  self.pipe = nil
end

return relay
