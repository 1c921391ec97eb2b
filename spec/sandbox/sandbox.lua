-- The spec's hand on the sandbox.
--
--   local sandbox = require "spec.sandbox.sandbox"
--   sandbox.start()                         -- once per process, or joins a running one
--   sandbox.url, sandbox.token, ...         -- every line that sandbox.sh prints, below
--   sandbox.reset()                         -- before each test
--   sandbox.fault { kind = "delay", seconds = 1 }
--   sandbox.settings { single_token = true }
--   sandbox.requests()                      -- what arrived
--
-- The output of sandbox.sh:
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
local socket = require "socket"

local kept = driver.kept "sandbox"
local launcher = driver.here .. "/../sandbox/sandbox.sh"

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

-- Changes settings until the next reset, and returns all of them. With their defaults:
--
--   bearer = "required"        "optional": x-auth-token may be the bare token as well
--   amounts = "number"         "string": amounts as JSON strings; "mixed": strings in
--                              lists, numbers in the answer for one balance
--   accounts_refusal = "401"   "403": how the accounts list refuses a token
--   accounts_status = "shown"  "missing": connected accounts have no status
--
--   rate_limit = 0             requests a window and merchant; 0: no limit
--   token_rate_limit = 0       mints a window and client (the real one: 60)
--   rate_window = 60           seconds; a window begins with its first request
--   retry_after = ""           Retry-After of a 429: "" for none, "seconds" or "date" for
--                              the window's end, any other text as it stands
--   rate_limit_shape = "B"     the body of a 429, see sandbox/reply.lua: "B" and "H" are
--                              valid JSON, "E" has a comma too many
--   delay = 0                  seconds that every request waits before it is looked at
--   hold = ""                  "all" or an endpoint: its requests wait (for a minute at
--                              most) until this is changed
--
--   single_token = false       a new token ends the earlier ones of its client
--   token_life = 1800          seconds that a minted token lives
--   token_form = "jwt"         auth_token: "jwt" (600 bytes), "opaque" (90 bytes),
--                              "bearer" ("Bearer " in front), "crlf" (a header behind CR
--                              and LF), "empty", "null", "missing"
--   token_bytes = 0            an opaque token of this size
--   expired_at = "seconds"     "string" (of digits), "milliseconds", "date" (ISO 8601),
--                              "zero", "past", "null", "missing"
--
--   bounds = "[]"              which ends of a window belong to it: "[)", "(]", "()"
--   pages = "right"            "shift", "shrink": from page to page one item more (less)
--                              in front; "repeat": the first page for ever,
--                              of a million
--   total_pages = "right"      "zero", "negative", "huge", "fraction", "string", "null",
--   total_items = "right"      "missing"
--   data = "array"             "odd_item" (the last one is a number), "object", "string",
--                              "null", "missing"
--   item_without = ""          a field that the last item of each page lacks
function sandbox.settings(changes)
  return call(changes and "POST" or "GET", "/settings", changes)
end

-- { kind = "status", status = 503, times = 2, match = { ["x-on-behalf-of"] = id } }, or
-- a list of such. Kinds are in sandbox/faults.lua. A fault strikes the first `times` (1)
-- requests that fit: endpoint names theirs ("token", "balance", "balances",
-- "transactions", "accounts"), match has headers, ":method", ":path" and arguments
-- ("?page_number") with their values, and so many as skip says pass before.
-- A delay or a hang with hold = true lasts until release or reset, or for its seconds.
function sandbox.fault(order)
  call("POST", "/faults", order)
end

-- Releases all held requests.
function sandbox.release()
  call("POST", "/release")
end

-- The connections that requests came by so far swallow everything from now on, until a
-- reset: they stay open, and nothing is answered over them. Others work. What a server
-- does below HTTP (TLS, answers to PING) continues; a relay (relay.lua) swallows that,
-- too.
function sandbox.swallow()
  call("POST", "/swallow")
end

-- The faults that are not used up.
function sandbox.faults()
  return call("GET", "/faults")
end

-- { life = 2, merchant = "other", forbidden = true, token = "..." }, all optional;
-- merchant may be "empty", too. Returns the token and its end (Unix time).
function sandbox.new_token(order)
  local answer = call("POST", "/tokens", order or {})
  return answer.token, answer.expires_at
end

function sandbox.expire(token)
  call("POST", "/tokens", { expire = token })
end

-- Ends all tokens that clients have minted.
function sandbox.expire_minted()
  call("POST", "/tokens", { expire_minted = true })
end

-- { currency = "USD", available_balance = "1.00", account = id }; an account is "master",
-- "other" or a connected account, an amount its JSON text. cjson.null leaves a field out;
-- delete = true takes the whole balance away.
function sandbox.balance(change)
  call("POST", "/balances", change)
end

-- { account = id, create_time = "2026-03-01T00:00:00+08:00", amount = "0.1", times = 9 }
-- adds nine transactions. Every field may be given as text, none has to. Returns the id
-- of the last one.
function sandbox.transaction(order)
  return call("POST", "/transactions", order).transaction_id
end

-- The expected lists: the items in the order of the API, amounts as their JSON
-- text. An account is "master" (if nil), "other", "empty" or a connected account.
-- Transactions also have their time in Unix seconds.
function sandbox.accounts(merchant)
  return call("GET", "/accounts?account=" .. (merchant or "master"))
end

function sandbox.balances(account)
  return call("GET", "/balances?account=" .. (account or "master"))
end

function sandbox.transactions(account)
  return call("GET", "/transactions?account=" .. (account or "master"))
end

-- A list, oldest first, of tables: n, server, endpoint, method, path, query, http,
-- headers, raw_headers, body, body_bytes, status, fault, minted (the token), connection,
-- connection_requests, tls, tls_cipher, tls_resumed, time, ended. Of one endpoint, if it
-- is named. The last 4,000 are remembered.
function sandbox.requests(endpoint)
  local list = {}
  for _, request in ipairs(call("GET", "/requests")) do
    if not endpoint or request.endpoint == endpoint then list[#list + 1] = request end
  end
  return list
end

-- How many connections the requests came by.
function sandbox.connections()
  local seen, count = {}, 0
  for _, request in ipairs(sandbox.requests()) do
    if not seen[request.connection] then count = count + 1 end
    seen[request.connection] = true
  end
  return count
end

-- The requests that made a token.
function sandbox.mints()
  local list = {}
  for _, request in ipairs(sandbox.requests "token") do
    if request.minted then list[#list + 1] = request end
  end
  return list
end

-- How many there were, however long ago: { requests = 7, mints = 1, endpoints = {
-- token = 1, balance = 6 }, statuses = { ["200"] = 6, ["429"] = 1 } }. Unknown paths are
-- of the endpoint "none", requests without an answer have the status "none".
function sandbox.counts()
  return call("GET", "/counts")
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

-- The requests to the other host: { connections = n, requests = { ... } }.
function sandbox.other()
  return call("GET", "/other")
end

-- Every request that is remembered, here and at the other host, with the name of its
-- place.
local function arrived()
  local all = {}
  for _, request in ipairs(sandbox.requests()) do
    all[#all + 1] = { request, request.endpoint or "none" }
  end
  for _, request in ipairs(sandbox.other().requests) do
    all[#all + 1] = { request, "other" }
  end
  return all
end

-- The endpoints that a header was sent to, with how often: { token = 2, balance = 1 };
-- "none" for unknown paths, "other" for the other host.
function sandbox.sent(header)
  local places = {}
  for _, pair in ipairs(arrived()) do
    local request, place = pair[1], pair[2]
    if request.headers[header:lower()] then places[place] = (places[place] or 0) + 1 end
  end
  return places
end

-- Where a text was in what arrived, with how often: { ["token x-api-key"] = 2 }; the
-- second word is a header, "path", "query" or "body".
function sandbox.seen(text)
  local places = {}
  local function look(place, value)
    if type(value) == "table" then
      for _, one in ipairs(value) do look(place, one) end
    elseif type(value) == "string" and value:find(text, 1, true) then
      places[place] = (places[place] or 0) + 1
    end
  end
  for _, pair in ipairs(arrived()) do
    local request, place = pair[1], pair[2]
    for name, value in pairs(request.headers) do look(place .. " " .. name, value) end
    for _, name in ipairs { "path", "query", "body" } do
      look(place .. " " .. name, request[name])
    end
  end
  return places
end

if kept.facts then show(kept.facts) end

return sandbox
