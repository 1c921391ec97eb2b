-- Faulty servers (spec/support/faulty.lua), all in one process that serves a whole run.
--
--   local faulty = require "spec.support.faulty_driver"
--   local server = faulty.start { { read = true, send = "HTTP/1.1 200 OK\r\n" },
--                                 { reset = true } }
--   server.url, server.port
--   server:requests()        -- the bytes of each connection, in order of arrival
--   server:go()              -- releases a step with `hold`
--   server:stop()
--
-- For a spec with one server at a time:
--
--   faulty.serve(behaviour, ...)     -- the server, also as faulty.server
--   after_each(faulty.stop)
--
-- The servers' process ends when the test process does, even if that is killed.

local cjson = require "cjson"
local driver = require "spec.support.driver"

local kept = driver.kept "faulty"

local faulty = {}
local methods = {}

local function content(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

-- The shell opens the pipe of answers first, so that reading it ends even if Lua does not
-- start. If Lua ends early, the shell waits until we close its input; then it removes the
-- folder. It ignores SIGINT and SIGHUP: they are meant for the test process, and the
-- servers end when that does. SIGTERM ends the servers, not the shell. If a server spins,
-- it ends after ten minutes of processor time, which is more than any run needs.
local function launch()
  local dir = driver.directory "faulty"
  os.execute(driver.command("mkfifo", dir .. "/answers"))
  kept.orders = assert(io.popen(([[
    trap '' INT HUP
    trap : TERM
    ulimit -t 600
    dir=%s; exec > "$dir/answers" 2> "$dir/log"; echo $$
    "$(command -v "${UQPAY_FAULTY_LUA:-lua5.4}" || command -v lua)" %s ||
      { exec > /dev/null; cat > /dev/null; }
    rm -rf "$dir"]])
    :format(driver.quote(dir), driver.quote(driver.here .. "/faulty.lua")), "w"))
  kept.answers = assert(io.open(dir .. "/answers"))
  kept.dir, kept.pid = dir, tonumber(kept.answers:read "*l")
end

local function quit()
  local log = content(kept.dir .. "/log")
  kept.orders:close()
  kept.answers:close()
  kept.orders, kept.answers = nil, nil
  error("the process of the faulty servers ended: " .. tostring(log), 0)
end

-- Sends an order and returns its answer.
local function ask(name, argument)
  if not kept.orders then launch() end
  kept.orders:write(cjson.encode { [name] = argument }, "\n")
  kept.orders:flush()
  local answer = kept.answers:read "*l"
  return answer and cjson.decode(answer) or quit()
end

-- behaviours and tls: see faulty.lua; tls is nil for plain TCP.
function faulty.start(behaviours, tls)
  assert(type(behaviours) == "table" and behaviours[1], "a list of behaviours is needed")
  local made = ask("open", { behaviours = behaviours, tls = tls })
  return setmetatable({
    number = made.server, port = tonumber(("%d"):format(made.port)),
    url = ("http%s://127.0.0.1:%d"):format(tls and "s" or "", made.port),
    pid = kept.pid, dir = kept.dir,
  }, { __index = methods })
end

-- The bytes that each accepted connection has sent so far.
function methods:requests()
  return ask("requests", self.number).requests or {}
end

function methods:go()
  ask("go", self.number)
end

-- Ends the server and returns when it is gone.
function methods:stop()
  if not self.number then return end
  ask("close", self.number)
  self.number = nil
end

function faulty.serve(...)
  faulty.stop()
  faulty.server = faulty.start { ... }
  return faulty.server
end

function faulty.stop()
  if faulty.server then faulty.server:stop() end
  faulty.server = nil
end

return faulty
