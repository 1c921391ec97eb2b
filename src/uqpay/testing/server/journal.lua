-- journal.lua: the log of requests. It has their secrets, so that tests can check where
-- these were sent.
-- SPDX-License-Identifier: MIT

local json = require "uqpay.testing.server.json"

local journal = {}

local most_entries = 4000     -- older ones are forgotten
local most_bytes = 65536      -- of one body

-- An empty log. The counts cover the entries that are forgotten, too.
function journal.new()
  return {
    entries = {}, last = 0,
    counts = { requests = 0, mints = 0, endpoints = {}, statuses = {} },
    other = { entries = {}, last = 0, connections = 0 },
  }
end

local function add(counts, name)
  counts[name] = (counts[name] or 0) + 1
end

local function put(list, entry)
  list.last = list.last + 1
  list.entries[list.last] = entry
  list.entries[list.last - most_entries] = nil
end

-- The entry of a request: what the adapter describes of its connection, and the request.
local function entry_of(world, request)
  local entry = {}
  for name, value in pairs(request.about or {}) do entry[name] = value end
  for _, name in ipairs { "method", "path", "query", "headers", "endpoint" } do
    entry[name] = request[name]
  end
  entry.body, entry.body_bytes = request.body:sub(1, most_bytes), #request.body
  entry.time = world:now()
  return entry
end

-- Logs a request as it arrives, so that one without an answer is in the log, too.
-- journal.answered completes the entry.
function journal.arrived(world, request)
  local log, entry = world.state.log, entry_of(world, request)
  request.entry, request.state = entry, world.state
  world.last_connection = math.max(world.last_connection, entry.connection or 0)
  put(log, entry)
  entry.n = log.last
  add(log.counts, "requests")
  add(log.counts.endpoints, request.endpoint or "none")
end

-- Called before the answer goes out, so that a client that has the answer finds the log
-- complete.
function journal.answered(world, request, status, fault)
  local entry, counts = request.entry, request.state.log.counts
  entry.status, entry.fault = status, fault and fault.kind
  entry.ended = world:now()
  add(counts.statuses, status and json.number(status) or "none")
  if entry.minted then add(counts, "mints") end
end

local function list_of(list)
  local all = json.array {}
  for n = math.max(1, list.last - most_entries + 1), list.last do
    all[#all + 1] = list.entries[n]
  end
  return all
end

-- All requests still remembered, oldest first.
function journal.requests(world)
  return list_of(world.state.log)
end

function journal.counts(world)
  return world.state.log.counts
end

-- The other host: counts TLS connections, keeps requests, answers all of them alike.
function journal.other_connected(world)
  local other = world.state.log.other
  other.connections = other.connections + 1
end

function journal.other_asked(world, request)
  put(world.state.log.other, entry_of(world, request))
  return '{"error":"this is the other host"}'
end

function journal.other(world)
  local other = world.state.log.other
  return { connections = other.connections, requests = list_of(other) }
end

return journal
