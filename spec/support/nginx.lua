-- A real nginx with Lua, for the specs of resty.uqpay: with a prefix and a port of its
-- own, stopped by its pid, also if the specs die.
--
--   local server = nginx.start {
--     workers = 2, main = "...", http = "...", server = "...",  -- more configuration
--                                         -- (@dir@ stands for the prefix)
--     facts = { ... },                      -- of another server than the sandbox
--     wrap = "...",                         -- words before the command
--     preload = "shift",                    -- a library of the specs
--     init = "...",                         -- Lua, in init_by_lua, behind the prelude
--     ["/path"] = "..." or { phase = "...", ... },  -- content_by_lua, or by directive
--   }
--   server:get(path)              -- status, body
--   server:begin(path), server:finish(peer), server:many(n, path)
--   server:signal(name, pid), server:log(), server:lines(level), server:stop()
--   server:noted(name)                    -- what note(name) has counted, all workers
--   nginx.hold(endpoint), nginx.go(), nginx.wait_until(condition, what)
--   nginx.describe(name, function(start) ... end)   -- start(setup) gives such a server
--
-- Lua there has `uqpay` (resty.uqpay), `sandbox` (its facts), `options(changes)`,
-- `answer(balance, message, err)`, note(name), and ask(client) for a balance by the
-- arguments of the request: currency, account, key, timeout, retries, cache. It says its
-- currency, amount, the amount's type, and cached, stale or asked; or a failure's kind
-- and message. What calls of it began is noted as "begun".

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local nginx = {}
local Server = {}
Server.__index = Server

-- Lua for init_worker_by_lua, by the directive whose limit of 4 it uses up: other code
-- that has taken all timers, until note "end".
nginx.timer_hogs = {
  lua_max_running_timers = [[
    for n = 1, 10 do
      ngx.timer.at(0, function()
        while ngx.shared.spec:get "end" ~= 1 do ngx.sleep(0.01) end
      end)
    end
  ]],
  lua_max_pending_timers = [[
    for n = 1, 10 do ngx.timer.at(600, function() end) end
  ]],
}

local modules = { "ndk_http_module", "ngx_http_lua_module" }

local prelude = [[
  sandbox = { %s }
  function options(changes)
    local all = {
      base_url = sandbox.url, ca_file = sandbox.ca_file, token = sandbox.token,
      retry_delay = 0.002, retry_delay_max = 0.004, timeout = 30,
    }
    for name, value in pairs(changes or {}) do all[name] = value or nil end
    return all
  end
  uqpay = require "resty.uqpay"
  function answer(balance, message, err)
    if balance then return ngx.say(balance.currency, " ", balance.available_balance) end
    ngx.status = 500
    ngx.say(err.kind, ": ", message)
  end
  function note(name) ngx.shared.spec:incr(name, 1, 0) end
  local truth = { ["true"] = true, ["false"] = false }
  function question()
    local arg = ngx.req.get_uri_args()
    return arg.currency or "USD", {
      on_behalf_of = arg.account, idempotency_key = arg.key,
      timeout = tonumber(arg.timeout), max_retries = tonumber(arg.retries),
      cache = truth[arg.cache],
    }
  end
  function show(balance, message, err)
    if not balance then
      return ngx.say(err and err.kind .. ": " .. message or "nothing")
    end
    local amount = balance.available_balance
    ngx.say(balance.currency, " ", tostring(amount), " ", type(amount), " ",
      balance.stale and "stale" or balance.cached_at and "cached" or "asked")
  end
  function ask(client)
    note "begun"
    show(client:balance(question()))
  end
]]

local conf = [[
%s
daemon on;
pid nginx.pid;
error_log error.log info;
worker_processes %d;
%s
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path tmp_body; proxy_temp_path tmp_proxy; fastcgi_temp_path tmp_fcgi;
  uwsgi_temp_path tmp_uwsgi; scgi_temp_path tmp_scgi;
  %s
  lua_shared_dict uqpay 2m;
  lua_shared_dict spec 128k;
  %s
  init_by_lua_block { %s %s }
  server {
    listen 127.0.0.1:%d backlog=4096;
    keepalive_timeout 0;
    %s
    location = /ping { content_by_lua_block { ngx.say "pong" } }
    location = /noted {
      content_by_lua_block { ngx.say(ngx.shared.spec:get(ngx.var.arg_name) or 0) }
    }
    %s
  }
}
]]

-- Ends the nginx of a prefix when its standard input ends, however that comes.
local guard = [[
  trap '' INT HUP TERM
  cat > /dev/null
  cd "$1" || exit 0
  pid=$(cat nginx.pid 2> /dev/null) || pid=
  for signal in QUIT TERM KILL; do
    [ -n "$pid" ] && kill -s $signal "$pid" 2> /dev/null || break
    n=0
    while [ $n -lt 60 ] && [ -e nginx.pid ] && kill -0 "$pid" 2> /dev/null; do
      sleep 0.05; n=$((n + 1))
    done
  done
  cd / && rm -rf "$1"
]]

local function absolute(path)
  local here = driver.output "pwd":match "[^\n]+"
  return here .. "/" .. path
end

local function free_port()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return port
end

-- Debian's modules are loaded; a worker of root is root, for the sake of private folders.
local function load_modules()
  local path = driver.output "nginx -V 2>&1":match "%-%-modules%-path=(%S+)"
  local lines = {}
  for _, name in ipairs(modules) do
    local file = path .. "/" .. name .. ".so"
    if driver.exists(file) then lines[#lines + 1] = "load_module " .. file .. ";" end
  end
  if driver.output "id -u":match "^0\n" then lines[#lines + 1] = "user root;" end
  return table.concat(lines, "\n")
end

-- Lines of a configuration: where Lua modules are; a folder of other Lua files may come
-- first. nginx itself does not see the variables.
function nginx.package_paths(path)
  local out = absolute(os.getenv "UQPAY_OUT" .. "/?.so")
  return driver.output(driver.command("sh", "-c", '. "$1"; nginx_paths "$2" "$3"', "sh",
    driver.here .. "/../../src/uqpay/testing/launcher/nginx.sh",
    (path and path .. ";" or "") .. absolute "src/?.lua", out))
end

local function locations(setup)
  local list = {}
  for path, code in pairs(setup) do
    if path:sub(1, 1) == "/" then
      if type(code) == "string" then code = { content = code } end
      local lines = {}
      for phase, text in pairs(code) do
        lines[#lines + 1] = phase == "conf" and text
          or ("%s_by_lua_block { %s }"):format(phase, text)
      end
      list[#list + 1] = ("location = %s { %s }"):format(path, table.concat(lines, "\n"))
    end
  end
  return table.concat(list, "\n")
end

local function facts(known)
  local list = {}
  for name, value in pairs(known) do
    if type(value) == "string" then list[#list + 1] = ("%s = %q"):format(name, value) end
  end
  return table.concat(list, ", ")
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- The configuration; facts are the server's that calls go to.
local function configuration(setup, port)
  local known = setup.facts or sandbox.start()
  return conf:format(load_modules(), setup.workers or 1, setup.main or "",
    nginx.package_paths(), setup.http or "", prelude:format(facts(known)),
    setup.init or "", port,
    setup.server or "", locations(setup))
end

-- setup.conf(port): a configuration as a whole.
function nginx.start(setup)
  local dir = driver.directory "nginx"
  local self = setmetatable({ dir = dir }, Server)
  for try = 1, 5 do
    self.port = free_port()
    local text = setup.conf and setup.conf(self.port) or configuration(setup, self.port)
    write(dir .. "/nginx.conf", (text:gsub("@dir@", dir)))
    local output = driver.output((setup.wrap or "")
      .. "timeout 30 env -u LUA_PATH -u LUA_CPATH ASAN_OPTIONS=detect_leaks=0 "
      .. (setup.preload and driver.preload(setup.preload) or os.getenv "UQPAY_WRAP" or "")
      .. " "
      .. driver.command("nginx", "-p", dir, "-e", "error.log", "-c", "nginx.conf")
      .. " 2>&1 < /dev/null; echo \"exit $?\"")
    if output:find "exit 0\n$" then break end
    if try == 5 or not output:find "bind%(%) to .* failed" then
      driver.output(driver.command("rm", "-rf", dir))
      error("nginx did not start:\n" .. output, 2)
    end
  end
  self.guard = assert(io.popen(driver.command("sh", "-c", guard, "guard", dir), "w"))
  -- the command has returned, but its master may not have begun all of them yet
  nginx.wait_until(function()
    return self:pid() and #self:workers() >= (setup.workers or 1)
  end, "nginx has its workers")
  return self
end

function Server:stop()
  local handle = self.guard
  self.guard = nil
  if handle then handle:close() end
end

local function content(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read "*a"
  file:close()
  return text
end

function Server:log()
  return content(self.dir .. "/error.log")
end

-- The lines of these levels in its log.
function Server:lines(...)
  local list = {}
  for _, line in ipairs(driver.lines(self:log())) do
    for _, level in ipairs { ... } do
      if line:find("[" .. level .. "]", 1, true) then list[#list + 1] = line end
    end
  end
  return list
end

function Server:noted(name)
  return tonumber((select(2, self:get("/noted?name=" .. name))))
end

function Server:pid()
  return content(self.dir .. "/nginx.pid"):match "%d+"
end

-- The ids of the workers.
function Server:workers()
  return driver.lines(driver.output("pgrep -P " .. self:pid()))
end

function Server:signal(name, pid)
  driver.output(driver.command("kill", "-s", name, pid or self:pid()))
end

function Server:begin(path)
  local peer = assert(socket.connect("127.0.0.1", self.port))
  peer:settimeout(30)
  assert(peer:send("GET " .. path .. " HTTP/1.0\r\nHost: spec\r\n\r\n"))
  return peer
end

-- The status, nil if none came, and the body.
function Server.finish(_, peer)
  local text, _, part = peer:receive "*a"
  peer:close()
  text = text or part or ""
  return tonumber(text:match "^HTTP/1%.%d (%d+)"), text:match "\r\n\r\n(.*)$"
end

function Server:get(path)
  return self:finish(self:begin(path))
end

-- So many requests at once; the path is a text or a function of the number. Lists of the
-- statuses and the bodies.
function Server:many(n, path)
  local peers, statuses, bodies = {}, {}, {}
  for i = 1, n do peers[i] = self:begin(type(path) == "string" and path or path(i)) end
  for i = 1, n do statuses[i], bodies[i] = self:finish(peers[i]) end
  return statuses, bodies
end

nginx.load_modules, nginx.free_port = load_modules, free_port

-- The sandbox keeps its answers to balances back, or to another endpoint, until it may go
-- on.
function nginx.hold(endpoint)
  sandbox.settings { hold = endpoint or "balance" }
end

function nginx.go()
  sandbox.settings { hold = "" }
end

-- Waits, half a minute at most, until condition() holds.
function nginx.wait_until(condition, what)
  for _ = 1, 3000 do
    if condition() then return end
    driver.output "sleep 0.01"
  end
  error("timed out: " .. what, 2)
end

-- describe() for what nginx runs, whose Lua is LuaJIT; on other Luas it is pending. The
-- sandbox is as new before each spec, and servers end behind theirs.
function nginx.describe(name, specs)
  -- here: the bench has no busted
  local busted, fixture = require "busted", require "spec.support.fixture"
  busted.describe(name, function()
    if not rawget(_G, "jit") then
      busted.pending "nginx's Lua is LuaJIT"
      return
    end
    local closing = fixture.closing()
    busted.setup(sandbox.start)
    busted.before_each(sandbox.reset)
    specs(function(setup) return closing(nginx.start(setup)) end)
  end)
end

return nginx
