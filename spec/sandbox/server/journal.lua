-- The log of what arrived. Secrets are in it on purpose: it belongs to tests, which ask
-- whether a secret went where it should, and whether it went where it should not.

local cjson = require "cjson.safe"
local store = require "store"

local journal = {}

local log = ngx.shared.uqpay_log
local most_entries = 4000     -- older ones are forgotten
local most_bytes = 65536      -- of one body

local function put(id, entry)
  log:set(id, assert(cjson.encode(entry)))
end

-- The exact header block exists on HTTP/1 only.
local function raw_headers(version)
  return version < 2 and ngx.req.raw_header() or nil
end

function journal.describe()
  ngx.req.read_body()
  local version = ngx.req.http_version()
  local var = ngx.var
  local body = ngx.req.get_body_data() or ""
  return {
    method = ngx.req.get_method(),
    path = var.request_uri:match "^[^?]*",
    query = var.args,
    http = version == 2 and "2" or ("%.1f"):format(version),
    headers = ngx.req.get_headers(0),
    raw_headers = raw_headers(version),
    body = body:sub(1, most_bytes),
    body_bytes = #body,
    server = var.place,
    connection = tonumber(var.connection),
    connection_requests = tonumber(var.connection_requests),
    tls = var.ssl_protocol,
    tls_cipher = var.ssl_cipher,
    tls_resumed = var.ssl_session_reused == "r" or nil,
    time = ngx.now(),
  }, body
end

-- How many there were of each: kept beside the entries, which are forgotten in time.
function journal.counts()
  return log:get "counts" or '{"requests":0,"mints":0,"endpoints":{},"statuses":{}}'
end

local function count(change)
  local counts = cjson.decode(journal.counts())
  change(counts)
  put("counts", counts)
end

local function add(counts, name)
  counts[name] = (counts[name] or 0) + 1
end

-- Logs a request as it arrives: one that is never answered has been seen nevertheless.
-- endpoint is its name, if it has one. Returns the request; its entry is completed by
-- journal.answered.
function journal.arrived(endpoint)
  local entry, body = journal.describe()
  store.saw(entry.connection)
  entry.n = log:incr("n", 1, 0)
  entry.endpoint = endpoint
  put(entry.n, entry)
  log:delete(entry.n - most_entries)
  count(function(counts)
    add(counts, "requests")
    add(counts.endpoints, endpoint or "none")
  end)
  return {
    entry = entry, body = body, headers = entry.headers, endpoint = endpoint,
    method = entry.method, path = entry.path, query = entry.query,
    generation = store.generation(),
  }
end

-- Called before the answer goes out, so that a client that has the answer finds the log
-- complete.
function journal.answered(request, status, fault)
  if request.generation ~= store.generation() then return end
  local entry = request.entry
  entry.status, entry.fault = status, fault and fault.kind
  entry.ended = ngx.now()
  put(entry.n, entry)
  count(function(counts)
    add(counts.statuses, tostring(status or "none"))
    if entry.minted then add(counts, "mints") end
  end)
end

local function list(prefix, first, last)
  local entries = {}
  for n = first, last do
    entries[#entries + 1] = log:get(prefix and prefix .. n or n)
  end
  return "[" .. table.concat(entries, ",") .. "]"
end

-- All requests still remembered, as JSON.
function journal.requests()
  local last = log:get "n" or 0
  return list(nil, math.max(1, last - most_entries + 1), last)
end

-- The other host: counts TLS connections, keeps requests, answers all of them alike.
function journal.other_connected()
  log:incr("other connections", 1, 0)
end

function journal.other_asked()
  local n = log:incr("other n", 1, 0)
  if n <= most_entries then put("other " .. n, (journal.describe())) end
  ngx.say '{"error":"this is the other host"}'
end

function journal.other()
  return ('{"connections":%d,"requests":%s}'):format(
    log:get "other connections" or 0, list("other ", 1, log:get "other n" or 0))
end

return journal
