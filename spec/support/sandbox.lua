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
local http = require "socket.http"
local ltn12 = require "ltn12"

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

local function call(method, path, order)
  local control = kept.facts and kept.facts.control
  check_control(control)
  local body = order and cjson.encode(order) or ""
  local parts = {}
  http.TIMEOUT = 10
  local ok, status = http.request {
    method = method, url = control .. path, sink = ltn12.sink.table(parts),
    source = ltn12.source.string(body),
    headers = { ["content-length"] = #body, ["content-type"] = "application/json" },
  }
  if not ok then fail("no answer from %s: %s", control, status) end
  local text = table.concat(parts)
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
  for name in pairs(kept.facts or {}) do sandbox[name] = nil end
  local guard = kept.guard
  kept.facts, kept.guard, kept.dir = nil, nil, nil
  if guard then guard:close() end
end

-- All as after the start: no faults, no log, no keys, first balances, default settings.
function sandbox.reset()
  call("POST", "/reset")
end

-- { bearer = "optional", amounts = "string", rate_limit = 3, retry_after = "2" }
-- Returns all settings.
function sandbox.settings(changes)
  return call(changes and "POST" or "GET", "/settings", changes)
end

-- { kind = "status", status = 503, times = 2, match = { ["x-on-behalf-of"] = id } }
function sandbox.fault(order)
  call("POST", "/faults", order)
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

-- What arrived at the other host: { connections = n, requests = { ... } }.
function sandbox.other()
  return call("GET", "/other")
end

if kept.facts then show(kept.facts) end

return sandbox
