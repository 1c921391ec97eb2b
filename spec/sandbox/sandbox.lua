-- Controls the sandbox server: starts and joins it, and the functions of orders.lua.
--
--   local sandbox = require "spec.sandbox.sandbox"
--   sandbox.start()                         -- once per process, or joins a running one
--   sandbox.url, sandbox.token, ...         -- every line of its file env, below
--   sandbox.reset()                         -- before each test
--   sandbox.fault { kind = "delay", seconds = 1 }
--   sandbox.settings { single_token = true }
--   sandbox.requests()                      -- what arrived
--
-- The file env of uqpay-sandbox:
--
--   url http_url                    the API over TLS, and over plain HTTP
--   goaway_url                      ends a connection after five requests
--   expired_url wrong_host_url      with certificates that a client must refuse, or with
--   self_signed_url old_tls_url     TLS 1.1 at most
--   other_url                       where redirects lead
--   ca_file control pid
--   exports                         a file for a shell: the variables of the examples
--   token other_token               of the merchants "master" and "other", for 30 years
--   expired_token forbidden_token   401 and 403
--   client_id api_key               log in for master; so do second_client_id and
--   other_client_id other_api_key   second_api_key
--   empty_client_id empty_api_key   a merchant without anything
--   production_client_id            403 by environment (its key: production_api_key)
--   blocked_client_id               403 by IP (its key: blocked_api_key)
--   sub_account other_sub_account   connected accounts of master that issue cards;
--   many_sub_account                this one has 25 balances
--   closed_sub_account banking_sub_account foreign_sub_account      refused
--   short_sub_account ...           the short id of each: "CB" and ten digits
--   first_transaction last_transaction      the span of the transactions, as times
--
-- The sandbox ends with this process, however it ends: a guard waits for the end of a
-- pipe that we hold. With UQPAY_SANDBOX_ENV (the env file of a running sandbox) that one
-- is used, and left running. Runs on Lua 5.1 to 5.5 and LuaJIT.

local cjson = require "cjson"
local driver = require "spec.support.driver"
local orders = require "spec.sandbox.orders"
local socket = require "socket"

local kept = driver.kept "sandbox"
local launcher = driver.here .. "/../../src/bin/uqpay-sandbox"

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
  if not driver.exists(dir .. "/env") then fail("did not start:\n%s", text) end
  local facts = facts_in(driver.content(dir .. "/env"))
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

-- The path of a certificate or key of the running sandbox: "server.pem".
function sandbox.certificate(name)
  return (sandbox.ca_file:gsub("ca%.pem$", name))
end

-- TLS for a faulty server that clients of the sandbox accept, with these protocols.
function sandbox.tls(...)
  return { certificate = sandbox.certificate "server.pem",
    key = sandbox.certificate "server.key", alpn = { ... } }
end

-- Ends the sandbox if this process started it, and forgets it. Returns when it is gone.
function sandbox.stop()
  hang_up()
  for name in pairs(kept.facts or {}) do sandbox[name] = nil end
  local guard = kept.guard
  kept.facts, kept.guard, kept.dir = nil, nil, nil
  if guard then guard:close() end
end

-- All as after the start: no faults, no log, no keys, first balances, default settings,
-- no minted tokens. A request that was on its way is dropped or forgotten. Starts a
-- sandbox if there is none: any spec may come first.
function sandbox.reset()
  sandbox.start()
  call("POST", "/reset")
end

orders(sandbox, call)

-- busted loads this file for each spec file: no one depends on what others left behind.
if kept.facts then
  show(kept.facts)
  sandbox.reset()
end

return sandbox
