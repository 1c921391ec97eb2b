-- Starts faulty servers (spec/support/faulty.lua), each a process of its own.
--
--   local faulty = require "spec.support.faulty_driver"
--   local server = faulty.start { { read = true, send = "HTTP/1.1 200 OK\r\n" },
--                                 { reset = true } }
--   server.url, server.port
--   server:requests()        -- the bytes of each connection, in order of arrival
--   server:stop()
--
-- A server ends with this process, or after options.life seconds (60 by default).

local cjson = require "cjson"
local driver = require "spec.support.driver"
local socket = require "socket"

local faulty = {}
local methods = {}

local function content(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

-- The server is mute until it listens; so is this, for five seconds at most.
local function wait_for(path)
  local deadline = socket.gettime() + 5
  repeat
    local text = content(path)
    if text then return text end
    socket.sleep(0.005)
  until socket.gettime() > deadline
end

-- behaviours: see faulty.lua. options: life (seconds).
function faulty.start(behaviours, options)
  assert(type(behaviours) == "table" and behaviours[1], "a list of behaviours is needed")
  local dir = driver.directory "faulty"
  -- The shell writes its own pid and then becomes the server.
  local pipe = assert(io.popen(([[
    dir=%s; echo $$ > "$dir/pid"
    lua=$(command -v "${UQPAY_FAULTY_LUA:-lua5.4}" || command -v lua) || exit 127
    exec "$lua" %s "$dir" 2> "$dir/log"]])
    :format(driver.quote(dir), driver.quote(driver.here .. "/faulty.lua")), "w"))
  pipe:write(cjson.encode {
    life = options and options.life or 60, behaviours = behaviours,
  }, "\n")
  pipe:flush()
  local server = setmetatable({ dir = dir, pipe = pipe }, { __index = methods })
  server.port = tonumber(wait_for(dir .. "/port") or "")
  if not server.port then
    local log = content(dir .. "/log")
    server:stop()
    error("faulty server did not start: " .. tostring(log), 2)
  end
  server.pid = tonumber(content(dir .. "/pid"))
  server.url = "http://127.0.0.1:" .. server.port
  return server
end

-- The bytes that each accepted connection has sent so far.
function methods:requests()
  local list = {}
  repeat
    local bytes = content(self.dir .. "/" .. #list + 1)
    list[#list + 1] = bytes
  until not bytes
  return list
end

-- Ends the server and returns when it is gone.
function methods:stop()
  if not self.pipe then return end
  if self.pid then os.execute("kill " .. self.pid .. " 2> /dev/null") end
  self.pipe:close()
  self.pipe = nil
  os.execute(driver.command("rm", "-rf", self.dir))
end

return faulty
