-- The spec's hand on the sandbox.
--
--   local sandbox = require "spec.support.sandbox"
--   sandbox.start()                         -- once per process, or joins a running one
--   sandbox.url, sandbox.token, ...         -- every line that sandbox.sh prints
--   sandbox.reset()                         -- before each test
--   sandbox.fault { kind = "delay", seconds = 1 }
--   sandbox.requests()                      -- what arrived
--
-- The sandbox ends with this process, however it ends: a guard waits for the end of a
-- pipe that we hold. With UQPAY_SANDBOX_ENV (the env file of a running sandbox) that one
-- is used, and left running. Runs on Lua 5.1 to 5.4 and LuaJIT.

local cjson = require "cjson"
local driver = require "spec.support.driver"
local socket = require "socket"

local kept = driver.kept "sandbox"
local launcher = driver.here .. "/sandbox.sh"

local sandbox = {}

local function fail(text, ...)
  error("sandbox: " .. text:format(...), 0)
end

local function facts_in(text)
  local facts = {}
  for name, value in text:gmatch "([%w_]+)=([^\n]*)" do facts[name] = value end
  return facts
end

-- The tests send secrets and order faults: to this machine only.
local function check_control(address)
  if not address then fail "not started, or no control address in its env file" end
  local host = address:match "^http://([^/:@]+):%d+$"
  if host ~= "localhost" and not (host or ""):find "^127%.%d+%.%d+%.%d+$" then
    fail("the control address is not on this machine: %s", address)
  end
end

-- The connection for all orders of this run: they are many.
local function connection()
  if not kept.connection then
    local control = kept.facts and kept.facts.control
    check_control(control)
    local host, port = control:match "^http://(.*):(%d+)$"
    local peer, err = socket.connect(host, tonumber(port))
    if not peer then fail("no answer from %s: %s", control, err) end
    peer:settimeout(60)
    peer:setoption("tcp-nodelay", true)
    kept.connection = peer
  end
  return kept.connection
end

local function hang_up()
  if kept.connection then kept.connection:close() end
  kept.connection = nil
end

-- An answer's status and body, or nil and what went wrong.
local function receive(peer)
  local status, length
  repeat
    local line, err = peer:receive "*l"
    if not line then return nil, err end
    status = status or tonumber(line:match "^HTTP/1.1 (%d+)")
    length = length or line:lower():match "^content%-length: (%d+)"
  until line == ""
  local body, err = peer:receive(tonumber(length))
  return body and status, body or err
end

local function call(method, path, order)
  local peer = connection()
  local body = order and cjson.encode(order) or ""
  local ok, err = peer:send(("%s %s HTTP/1.1\r\nHost: sandbox\r\nContent-Length: %d"
    .. "\r\n\r\n"):format(method, path, #body) .. body)
  local status, text
  if ok then status, text = receive(peer) else text = err end
  if not status then
    hang_up()
    fail("no answer from %s: %s", kept.facts.control, text)
  end
  if status ~= 200 then fail("%s %s: %s", method, path, text) end
  return cjson.decode(text)
end

local function show(facts)
  kept.facts = facts
  for name, value in pairs(facts) do sandbox[name] = value end
end

local function join(file)
  local handle, err = io.open(file, "r")
  if not handle then fail("UQPAY_SANDBOX_ENV: %s", err) end
  local text = handle:read "*a"
  handle:close()
  return facts_in(text)
end

local function launch()
  local dir = driver.directory "sandbox"
  local text = driver.output(driver.command("sh", launcher, "start", dir) .. " 2>&1")
  local facts = facts_in(text)
  if not facts.url then fail("did not start:\n%s", text) end
  kept.dir = dir
  kept.guard = assert(io.popen(driver.command("sh", launcher, "guard", dir), "w"))
  return facts
end

function sandbox.start()
  if not kept.facts then
    local file = os.getenv "UQPAY_SANDBOX_ENV"
    local facts = file and file ~= "" and join(file) or launch()
    check_control(facts.control)
    kept.facts = facts
  end
  show(kept.facts)
  return sandbox
end

-- Ends the sandbox if this process started it, and forgets it. Returns when it is gone.
function sandbox.stop()
  hang_up()
  for name in pairs(kept.facts or {}) do sandbox[name] = nil end
  local guard = kept.guard
  kept.facts, kept.guard, kept.dir = nil, nil, nil
  if guard then guard:close() end
end

-- All as after the start: no faults, no log, no keys, first balances, default settings.
-- Starts a sandbox if there is none: any spec may come first.
function sandbox.reset()
  sandbox.start()
  call("POST", "/reset")
end

-- { bearer = "optional", amounts = "string", rate_limit = 3, retry_after = "2" }
-- Returns all settings.
function sandbox.settings(changes)
  return call(changes and "POST" or "GET", "/settings", changes)
end

-- { kind = "status", status = 503, times = 2, match = { ["x-on-behalf-of"] = id } }
-- A delay or a hang with hold = true lasts until release or reset, or for its seconds.
function sandbox.fault(order)
  call("POST", "/faults", order)
end

-- Lets all held requests go on.
function sandbox.release()
  call("POST", "/release")
end

-- The faults that are not used up.
function sandbox.faults()
  return call("GET", "/faults")
end

-- { life = 2, merchant = "other", forbidden = true, token = "..." }, all optional.
-- Returns the token and its end (Unix time).
function sandbox.new_token(order)
  local answer = call("POST", "/tokens", order or {})
  return answer.token, answer.expires_at
end

function sandbox.expire(token)
  call("POST", "/tokens", { expire = token })
end

-- { currency = "USD", available_balance = "1.00", account = id }; an account is "master",
-- "other" or a sub-account, an amount its JSON text. cjson.null leaves a field out.
function sandbox.balance(change)
  call("POST", "/balances", change)
end

-- A list, oldest first, of tables: n, server, method, path, query, http, headers,
-- raw_headers, body, body_bytes, status, fault, connection, connection_requests, tls,
-- tls_cipher, tls_resumed, time.
function sandbox.requests()
  return call("GET", "/requests")
end

-- Returns when so many requests have arrived.
function sandbox.until_arrived(count)
  local give_up = socket.gettime() + 60
  while #sandbox.requests() < count do
    if socket.gettime() > give_up then fail("%d requests did not arrive", count) end
    socket.sleep(0.002)
  end
end

-- A list: the values of a header in these requests, "none" where it was not sent.
function sandbox.headers(name)
  local list = {}
  for n, request in ipairs(sandbox.requests()) do
    list[n] = request.headers[name] or "none"
  end
  return list
end

-- What arrived at the other host: { connections = n, requests = { ... } }.
function sandbox.other()
  return call("GET", "/other")
end

if kept.facts then show(kept.facts) end

return sandbox
