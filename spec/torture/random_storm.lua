-- random_storm.lua SEED PORT: one storm of random.lua, the whole of it drawn from SEED:
-- random operations on clients with every kind of token, made by the main program and
-- within hooks, stores, token functions, sources and progress of batches, finalizers and
-- coroutines. Within an operation there may be others.
--
-- Then it is calm: all calls end, sums are checked, each client must get an answer. It
-- prints the number of operations made at each place, and "calm" at a good end; what is
-- wrong is in lines that begin with "broken".

local fork = require "fork"
local internal = require "uqpay.internal"
local random = require "spec.support.random"
local uqpay = require "uqpay"
require "uqpay.batch" -- Lua 5.1 forbids to load it in a finalizer of its own loading
require "uqpay.pages"

local seed, port = tonumber(arg[1]), arg[2]

local OPERATIONS = 250  -- at most, and
local SECONDS = 3       -- of storm at most
local DEEP = 4          -- operations within one another
local TIMEOUTS = { 0.02, 0.1, 0.3 }
local LATE = 20         -- seconds beyond its timeout: a call that takes longer hangs

io.stdout:setvbuf "line" -- what it says comes before a sanitizer's report

local draw = random.generator(seed)
for _ = 1, 5 do draw(1) end -- the first numbers of neighbours are much alike

local clock = internal.clock
local unpack = table.unpack or unpack

local function chance(percent) return draw(100) <= percent end

-- One of the list, nil if it is empty. A finalizer may shorten it in here: traces of
-- LuaJIT run some without an allocation, and would not look at the list again.
local function pick(list)
  local item
  repeat item = random.pick(draw, list) until item ~= nil or not list[1]
  return item
end
if package.loaded.jit then package.loaded.jit.off(pick) end

local function pack(...) return { n = select("#", ...), ... } end

local calm = false      -- the storm is over
local closing = false   -- so is the program: what is made now, Lua may not finalize
local deep, made = 0, 0 -- operations
local places = {}       -- how many at each
local storm_end = clock() + SECONDS
local broken = 0

local function fail(text, ...)
  broken = broken + 1
  if broken <= 10 then print("broken: " .. text:format(...)) end
end

local function check(condition, ...)
  if not condition then fail(...) end
  return condition
end

-- ---------------------------------------------------------------------------------------
-- outcomes

local kinds = {}
for _, kind in ipairs(uqpay.kinds) do kinds[kind] = true end

-- The errors that an operation may raise.
local allowed = {
  "attempt to use a closed uqpay client", "the call is not finished",
  "the token of this client is fixed",
  "this iterator waits for a page already, or an error has ended it",
  "a hook must not use the iterator that it runs for",
  "cannot resume", "attempt to yield", -- those of coroutines
}

local function is_allowed(message)
  for _, text in ipairs(allowed) do
    if tostring(message):find(text, 1, true) then return true end
  end
end

-- One outcome of a call: a result, or nil, message, error.
local function judge(what, results)
  local value, message, err = unpack(results, 1, 3)
  if value ~= nil then
    check(results.n <= 2 and (type(value) == "table" or type(value) == "string"),
      "%s: %d results, the first %s", what, results.n, type(value))
  elseif check(results.n == 3 and type(message) == "string" and type(err) == "table",
    "%s: %d results, %s", what, results.n, tostring(message)) then
    check(kinds[err.kind] and type(err.attempts) == "number"
      and type(err.retryable) == "boolean", "%s: an error of kind %s", what,
      tostring(err.kind))
  end
end

-- ---------------------------------------------------------------------------------------
-- the world

local clients = {}      -- { client =, ... }
local records = {}      -- of call objects: { call =, started =, timeout =, over = }
local batches = {}      -- iterators of batches and lists
local threads = {}      -- coroutines

local act -- makes an operation at a place, on the client given or any

-- A client that a function of its own knows, without keeping it.
local function new_owner() return setmetatable({}, { __mode = "v" }) end

-- The action of a user's function: nothing, an operation or two, or something bad.
local function misbehave(place, owner)
  if calm then return end
  if chance(60) then act(place, chance(70) and owner.client) end
  if chance(20) then act(place, chance(70) and owner.client) end
  if chance(4) then error(pick { "a text", {}, false }) end
  if chance(2) then coroutine.yield() end
end

local function hook(place, owner)
  return function() misbehave(place, owner) end
end

-- A store of one lock and one token, which keeps books.
local function new_store(owner, lockless)
  local store = { locks = 0, unlocks = 0 }
  local token, token_end, held
  -- A wrong result of a function.
  local function bad()
    if calm or not chance(6) then return false end
    return true, pick { "nil, why", "a number", "false" }
  end
  local function give(what, sort)
    if sort == "nil, why" then return nil, what .. " fails" end
    if sort == "a number" then return 7, 8 end
    return false
  end
  store.get = function()
    misbehave("get", owner)
    local is_bad, sort = bad()
    if is_bad then return give("get", sort) end
    if not calm and chance(10) then return "stored-" .. draw(5), os.time() + 1000 end
    return token, token_end
  end
  store.set = function(_, _, text, ends)
    check(lockless or held, "a token is set without a lock")
    check(text:find "^token%-%d+$", "a wrong token is set: %s", text)
    token, token_end = text, ends
    misbehave("set", owner)
    return give("set", select(2, bad()) or "a number")
  end
  if lockless then return store end
  store.lock = function()
    local busy = not calm and chance(5)
    misbehave("lock", owner)
    if held or busy then return false end
    if not calm and chance(5) then return nil, "no lock" end
    held, store.locks = true, store.locks + 1
    return true
  end
  store.unlock = function()
    check(held, "a lock is given back that nobody has")
    held, store.unlocks = false, store.unlocks + 1
    misbehave("unlock", owner)
    return give("unlock", select(2, bad()) or "a number")
  end
  store.is_held = function() return held end
  return store
end

local shared_store = new_store(new_owner())
local stores = { shared_store }

local function token_function(owner)
  return function()
    misbehave("token", owner)
    if not calm and chance(15) then return pick { false, "", "a b" }, "why" end
    return "token-" .. draw(1000), pick { os.time() + 1800, os.time() + 61, 1 }
  end
end

-- Ways to have a token.
local function log_in(options, store)
  options.client_id, options.api_key, options.token_store = "id", "key", store
  if store and store ~= shared_store then stores[#stores + 1] = store end
end

local ways = {
  function(options) options.token = "a-token" end,
  function(options, owner) options.token = token_function(owner) end,
  function(options) log_in(options) end,
  function(options, owner) log_in(options, new_store(owner)) end,
  function(options) log_in(options, shared_store) end,
  function(options, owner) log_in(options, new_store(owner, true)) end,
}

local function new_client(way)
  local owner = new_owner()
  local options = {
    base_url = ("http://127.0.0.1:%s/%d/api"):format(port, seed),
    timeout = pick(TIMEOUTS), max_retries = draw(4) - 1,
    retry_delay = 0.002, retry_delay_max = 0.01,
    rate_limit = chance(10) and 6000 or 0,
    http_version = pick { "auto", "1.1", "2" },
  }
  ways[way or draw(#ways)](options, owner)
  for _, name in ipairs { "on_request", "on_response", "on_retry" } do
    if chance(60) then options[name] = hook(name, owner) end
  end
  local client = uqpay.new(options)
  owner.client = client
  clients[#clients + 1] = client
  return client
end

local starts = { "balance", "balance", "balance", "token", "balances",
  "transactions", "accounts" }
local lists = { "balance", "transaction", "account" }

-- The arguments of a method: some calls have a timeout of their own. Also how long it is
-- for all that is known.
local function arguments(method)
  local timeout = chance(30) and pick(TIMEOUTS) or nil
  local most = TIMEOUTS[#TIMEOUTS]
  if method == "balance" then return { "USD", { timeout = timeout } }, most end
  if method == "token" then return { { timeout = timeout } }, most end
  return { { timeout = timeout, queued = chance(10) or nil } }, most
end

-- A record's call may be over: then it stays so, with the same results.
local function look(record)
  if not record.call:done() then
    return check(not record.over, "a call is over, and then not")
  end
  local ok, results = pcall(function() return pack(record.call:result()) end)
  if not ok then -- within one of its own hooks, or it was there already
    return check(is_allowed(results), "result: %s", tostring(results))
  end
  judge("a call object", results)
  if record.over then
    check(record.over[1] == results[1] and record.over[3] == results[3],
      "a call has two outcomes")
  end
  record.over = results
end

-- ---------------------------------------------------------------------------------------
-- operations: each gets a client, and is in the list as often as its weight says

local operations = {}

local function add(weight, operation)
  for _ = 1, weight do operations[#operations + 1] = operation end
end

local function start(client)
  local method = pick(starts)
  local values, timeout = arguments(method)
  local started = clock()
  local call = client["start_" .. method](client, unpack(values))
  local record = { call = call, started = started, timeout = timeout }
  if chance(85) then records[#records + 1] = record end -- else it is garbage
end
add(8, start)

add(3, function(client) -- blocks
  local method = pick(starts)
  local values, timeout = arguments(method)
  local started = clock()
  judge(method, pack(client[method](client, unpack(values))))
  check(deep > 1 or clock() - started < timeout + LATE, "%s took too long", method)
end)

local function step()
  local record = records[1] and pick(records)
  if not record then return end
  local over = record.call:step()
  check(over or not record.over, "a call is over, and a step says it is not")
  look(record)
end
add(4, step)

add(1, function()
  for _ = 1, #records do step() end
end)

add(1, function()
  local record = records[1] and pick(records)
  if not record then return end
  record.call:cancel()
  look(record)
end)

add(1, function()
  local record = records[1] and pick(records)
  if not record then return end
  local call = record.call
  for _, name in ipairs { "done", "id", "attempts", "pollfd", "events", "timeout",
    "getfd", "dirty" } do
    call[name](call)
  end
  tostring(call)
  call:result()
end)

add(1, function() -- forgets a call
  if records[1] then table.remove(records, draw(#records)) end
end)

add(2, function(client) client:step(pick { 0, 0.001, 0.02 }) end)

add(1, function(client)
  client:pollfd()
  client:events()
  client:timeout()
  local stats = client:stats()
  check(stats.calls >= stats.succeeded + stats.failed, "%d calls, %d ends", stats.calls,
    stats.succeeded + stats.failed)
  for _ = 1, 5 do client:ready() end
  tostring(client)
end)

add(2, function(client)
  if chance(50) then client:invalidate_token() end
end)

add(1, function(client)
  if chance(15) then client:close() end
end)

add(1, function()
  if #clients < 6 and not closing then new_client() end
end)

add(1, function()
  if #clients > 1 then table.remove(clients, draw(#clients)) end
end)

add(1, function() collectgarbage(pick { "collect", "step" }) end)

-- Garbage whose finalizer makes operations, wherever it runs.
add(2, function()
  for _ = 1, closing and 0 or draw(3) do
    local function finalizer() act "finalizer" end
    if newproxy then
      getmetatable(newproxy(true)).__gc = finalizer
    else
      setmetatable({}, { __gc = finalizer })
    end
  end
end)

add(1, function() -- a coroutine, which may be left where it yields
  threads[#threads + 1] = coroutine.create(function()
    for _ = 1, draw(4) do
      act "coroutine"
      coroutine.yield()
    end
  end)
end)

add(2, function()
  local thread = threads[1] and table.remove(threads, draw(#threads))
  if not thread then return end
  local ok, message = coroutine.resume(thread)
  check(ok or is_allowed(message), "a coroutine raised: %s", tostring(message))
  if coroutine.status(thread) == "suspended" and chance(80) then
    threads[#threads + 1] = thread
  end
end)

local function source(n)
  return function()
    if chance(20) then act "source" end
    n = n - 1
    local query = { currency = "USD", timeout = 0.05 }
    return n >= 0 and pick { "USD", "USD", query, 7 } or nil
  end
end

add(1, function(client)
  local queries = chance(50) and source(draw(6)) or { "USD", { timeout = 0.1 }, {} }
  batches[#batches + 1] = (client:batch(queries, {
    concurrency = draw(4), progress = hook("progress", { client = client }),
  }))
end)

add(1, function(client)
  batches[#batches + 1] = (client["each_" .. pick(lists)](client, {
    on_error = "return", progress = hook("progress", { client = client }),
  }))
end)

add(2, function() -- some rounds of an iterator
  local iterator = batches[1] and pick(batches)
  if not iterator then return end
  for _ = 1, draw(4) do
    if iterator() == nil then break end
  end
end)

add(1, function()
  if batches[1] then table.remove(batches, draw(#batches)) end
end)

-- A child may do nothing with what it has of its parent's, and breaks none of it.
local function be_child()
  calm = true -- no more operations
  local unlocks = {}
  for n, store in ipairs(stores) do unlocks[n] = store.unlocks end
  for _, client in ipairs(clients) do
    local ok, value, message, err = pcall(client.balance, client, "USD", { timeout = 1 })
    if ok then
      check(value == nil and err.kind == "forked", "in a child: %s", tostring(message))
    end
    pcall(client.step, client)
  end
  for _, record in ipairs(records) do record.call:step() end
  clients, records, batches, threads = {}, {}, {}, {}
  collectgarbage()
  collectgarbage()
  for n, store in ipairs(stores) do
    check(store.unlocks == unlocks[n], "a child gives its parent's lock back")
  end
end

add(1, function()
  if not chance(15) then return end
  io.stdout:flush()
  local pid = fork.fork()
  if pid == 0 then
    broken = 0
    local ok, message = pcall(be_child)
    if not ok then fail("a child: %s", tostring(message)) end
    io.stdout:flush()
    fork.leave(broken == 0 and 0 or 1)
  end
  local how, code = fork.wait(pid)
  check(how == "exit" and code == 0, "a child ends by %s %d", how, code)
end)

function act(place, client)
  if calm or deep >= DEEP or made >= OPERATIONS or clock() > storm_end then return end
  deep, made = deep + 1, made + 1
  places[place] = (places[place] or 0) + 1
  local ok, message = pcall(pick(operations), client or pick(clients))
  deep = deep - 1
  if not ok then check(is_allowed(message), "%s: %s", place, tostring(message)) end
end

-- ---------------------------------------------------------------------------------------
-- the storm, and the calm

-- Shows where the program hangs, and is a debug hook, which waiting calls run.
local function watch()
  if clock() < storm_end + LATE then return end
  debug.sethook()
  print(debug.traceback "hangs")
  os.exit(1)
end
local watched = chance(50)
if watched then debug.sethook(watch, "", 10000) end

-- The collector rests as it does for all, or never.
if chance(40) then require "spec.support.collector".eager() end

for way = 1, #ways do
  if chance(50) then new_client(way) end
end
if not clients[1] then new_client() end

-- In a coroutine: the main program's stack keeps no call alive afterwards.
local program = coroutine.create(function()
  if watched then debug.sethook(watch, "", 10000) end
  while made < OPERATIONS and clock() < storm_end do act "program" end
end)
repeat
  assert(coroutine.resume(program))
until coroutine.status(program) == "dead"

-- Calls that were not given up end, whatever happened to them before.
calm = true
local ends = clock() + TIMEOUTS[#TIMEOUTS] + LATE
local function all_over()
  local over = true
  for _, record in ipairs(records) do
    if not record.call:step() then over = false end
  end
  return over
end
while not all_over() do
  if not check(clock() < ends, "calls that never end") then break end
  for _, client in ipairs(clients) do pcall(client.step, client, 0.002) end
end
for _, record in ipairs(records) do
  look(record)
  check(record.over, "a call without an outcome")
end
records, batches, threads = {}, {}, {}
-- LuaJIT's traces keep the first closures of each kind that they have called: iterators,
-- with the calls of those.
if package.loaded.jit then jit.flush() end
collectgarbage()
collectgarbage()

local function is_open(client) return not internal.closed(client) end

for n = #clients, 1, -1 do
  if not is_open(clients[n]) then table.remove(clients, n) end
end
for _, client in ipairs(clients) do
  local stats = client:stats()
  check(stats.calls == stats.succeeded + stats.failed,
    "%d calls, %d succeeded, %d failed", stats.calls, stats.succeeded, stats.failed)
end
for _, store in ipairs(stores) do
  if store.is_held then check(not store.is_held(), "a lock is left behind") end
end

local messenger = uqpay.new {
  base_url = ("http://127.0.0.1:%s/%d/calm/api"):format(port, seed), token = "calm",
}
assert(messenger:balance "USD")
-- A login has a limit of its own, of the client's timeout: 15 ms of the shortest, which a
-- slow machine may miss. After silence it grows.
for _, client in ipairs(clients) do
  local balance, message, err
  repeat
    balance, message, err = client:balance("USD", { timeout = LATE })
  until balance or err.kind ~= "timeout" or clock() > ends + LATE
  check(balance, "after the storm: %s", tostring(message))
end

for place, n in pairs(places) do print("operations", place, n) end
assert(broken == 0, "it is not as it should be")
if chance(50) then
  for _, client in ipairs(clients) do client:close() end
else -- the end of the state ends what is open
  calm, closing, made, storm_end = false, true, OPERATIONS - 20, clock() + 1
  if clients[1] then start(clients[1]) end
end
print "calm"
