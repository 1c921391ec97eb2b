-- memory.lua [CASE, PORT]: the cases of memory.c. Without a case: the list of their
-- names. Of a case: what is done while memory fails, what to make of the outcome, and all
-- over again with memory enough. TLS and files are those of a sandbox, see beside.lua.
--
-- Such an outcome is right: an error "not enough memory"; what the case gives without a
-- lack of memory; or a clean nil, message, err.

local name, port = ...

local list, cases = {}, {}

local function case(title, make)
  list[#list + 1] = title
  cases[title] = make
end

local clients = {}

-- The sandbox's output.
local function sandbox(fact)
  local path = assert(os.getenv "UQPAY_SANDBOX_ENV", "run by make torture-memory")
  local file = assert(io.open(path))
  local value = ("\n" .. file:read "*a"):match("\n" .. fact .. "=([^\n]*)")
  file:close()
  return value
end

-- A new path for a token store.
local function new_path()
  local path = os.getenv "UQPAY_SANDBOX_ENV" .. ".tokens"
  os.remove(path)
  return path
end

local function options(word, changes)
  local all = {
    base_url = ("http://127.0.0.1:%d/%s"):format(port or 0, word), token = "secret-token",
    max_retries = 0, timeout = 10,
  }
  if word == "sandbox" then
    all.base_url, all.ca_file = sandbox "url", sandbox "ca_file"
    all.token = sandbox "token"
  end
  for option, value in pairs(changes or {}) do
    if value == "none" then value = nil end
    all[option] = value
  end
  return all
end

local function client(word, changes)
  local uqpay, all = require "uqpay", options(word, changes)
  if all.before then all.before() end
  all.before = nil
  if all.token_store then all.token_store = uqpay.file_store(new_path()) end
  local c = uqpay.new(all)
  clients[#clients + 1] = c
  return c
end

local function same(expected, got, what)
  if expected ~= got then
    error(("%s: expected %s, got %s"):format(what, tostring(expected), tostring(got)), 2)
  end
end

local function check_balance(b)
  same("table", type(b), "the balance")
  same("USD", b.currency, "currency")
  same(5000.25, b.available_balance, "available_balance")
  same(0.10, b.margin_balance, "margin_balance")
  same(0, b.frozen_balance, "frozen_balance")
  same("b-1", b.balance_id, "balance_id")
end

-- A client's method that gives what check accepts.
local function good(title, word, changes, act, check)
  case(title, function()
    local c = client(word, changes)
    return function() return act(c) end, check or check_balance
  end)
end

-- A balance that fails in this way.
local function bad(kind, word, changes, act)
  case((act and "" or "balance: ") .. kind .. " " .. word, function()
    local c = client(word, changes)
    return function()
      if act then return act(c) end
      return c:balance "USD"
    end, function(value, message, err)
      same(nil, value, "the result")
      same("table", type(err), "the error, of " .. tostring(message))
      same(kind, err.kind, message)
    end
  end)
end


-- The same, of a call object.
local function good_object(title, word, changes, start, check)
  good(title, word, changes, function(c)
    local call = start(c)
    while not call:step() do c:step(1) end
    return call:result()
  end, check)
end

local function check_items(count)
  return function(page)
    same("table", type(page), "the page")
    same(count, #page.data, "items")
    same(1, page.total_items, "total_items")
  end
end

case("require", function()
  return function()
    package.loaded.uqpay, package.loaded.cjson = nil, nil
    return require "uqpay"
  end, function(uqpay)
    same("function", type(uqpay.new), "uqpay.new")
    same("0.1.0", uqpay._VERSION, "version")
  end
end)

case("new", function()
  require "uqpay"
  return function() return tostring(client "ok") end, function(text)
    same("uqpay.client (127.0.0.1)", text:gsub(":%d+", ""), "the client")
  end
end)

case("new and balance", function()
  require "uqpay"
  return function() return client("ok", { amounts = "exact" }):balance "USD" end,
    function(b) same("5000.25", tostring(b.available_balance), "available_balance") end
end)

case("new: proxy", function()
  require "uqpay"
  return function()
    return client("ok", { base_url = "https://127.0.0.1:1", proxy = "socks5://x:1" })
  end, function(c) same("uqpay.client (127.0.0.1:1)", tostring(c), "the client") end
end)

for _, wrong in ipairs { { base_url = "http://user:word@127.0.0.1/" },
  { proxy = "gopher://127.0.0.1" }, { timeout = -1 }, { tiemout = 3 },
  { token = "a\nb" } } do
  local option = next(wrong)
  local says = option == "tiemout" and "unknown option '" or "bad option '"
  case("new: bad " .. option, function()
    local uqpay = require "uqpay"
    return function()
      local ok, why = pcall(uqpay.new, options("ok", wrong))
      if not ok and why:find("not enough memory", 1, true) then error(why, 0) end
      return why
    end, function(why)
      same("string", type(why), "the error")
      same(true, why:find(says, 1, true) ~= nil, why)
    end
  end)
end

local login = { token = "none", client_id = "id", api_key = "secret-key" }

good("balance", "ok", {}, function(c) return c:balance "USD" end)
good("balance, nested", "nested", {}, function(c)
  return c:balance("USD", { timeout = 5 })
end, function(b)
  check_balance(b)
  same(7, b.more.count, "count")
  same(2, b.more.list[2], "list")
end)
good("balance, amounts as strings", "ok", { amounts = "string" }, function(c)
  return c:balance { currency = "USD" }
end, function(b)
  same("5000.25", b.available_balance, "available_balance")
  same("0.10", b.margin_balance, "margin_balance")
end)
good("balance, exact", "nested", { amounts = "exact" }, function(c)
  return c:balance "USD"
end, function(b) same("0.10", tostring(b.margin_balance), "margin_balance") end)
good("balance, login", "ok", login, function(c) return c:balance "USD" end)
good("balance, localhost", "ok", { base_url =
  ("http://localhost:%d/ok"):format(port or 0) }, function(c) return c:balance "USD" end)
good("balance, hooks", "ok", {
  on_request = function() end, on_response = function() end, on_retry = function() end,
}, function(c) return c:balance "USD" end)
good("balance, token function", "ok", { token = function() return "new" end },
  function(c) return c:balance "USD" end)
good("balance, reused", "ok", {}, function(c)
  local _ = c:balance "USD"
  return c:balance "USD"
end)
good("token", "ok", login, function(c) return c:token() end, function(token, ends)
  same("minted-token", token, "the token")
  same("number", type(ends), "its end")
end)
good("balances", "ok", {}, function(c) return c:balances() end, check_items(1))
good("transactions", "ok", { amounts = "string" }, function(c)
  return c:transactions { page_size = 5, start_time = "2024-01-01T00:00:00Z" }
end, function(page)
  check_items(1)(page)
  same("-12.34", page.data[1].amount, "amount")
end)
good("accounts", "ok", {}, function(c) return c:accounts() end, function(page)
  check_items(1)(page)
  same("ISSUING", page.data[1].business_code[1], "business_code")
end)

good_object("start_balance", "ok", {}, function(c) return c:start_balance "USD" end)
good_object("start_balance, login", "ok", login, function(c)
  return c:start_balance "USD"
end)
good_object("start_accounts", "ok", {}, function(c) return c:start_accounts() end,
  check_items(1))

good("two call objects", "ok", {}, function(c)
  local one, two = c:start_balance "USD", c:start_balance "USD"
  while not (one:step() and two:step()) do c:step(1) end
  local first, message, err = one:result()
  if not first then return nil, message, err end
  check_balance(first)
  return two:result()
end)
good("cancel", "ok", {}, function(c)
  local call = c:start_balance "USD"
  call:cancel()
  local _, message, err = call:result()
  if err.kind ~= "canceled" then return nil, message, err end -- it was over before
  return err
end, function(err) same("canceled", err.kind, "kind") end)
local function load_all()
  for _, module in ipairs { "uqpay.hub", "uqpay.batch", "uqpay.pages" } do
    require(module)
  end
end

-- The require of LuaJIT (and of Lua 5.1) answers "loop or previous error" for ever, once
-- memory failed for a module: the modules behind these methods are there before, then.
-- Elsewhere two methods that load them are enough.
local function load_early()
  if rawget(_G, "jit") then load_all() end
end

good("balances", "ok", { before = load_early }, function(c)
  local sum = 0
  for _, balance, message, err in c:batch { "USD", "USD", "USD" } do
    if not balance then return nil, message, err end
    sum = sum + balance.available_balance
  end
  return sum
end, function(sum) same(15000.75, sum, "the sum") end)
good("each_balance", "ok", { before = load_early }, function(c)
  local sum = 0
  for balance, message, err in c:each_balance { on_error = "return" } do
    if not balance then return nil, message, err end
    sum = sum + balance.available_balance
  end
  return sum
end, function(sum) same(5000.25, sum, "the sum") end)
good("each_transaction, two windows", "ok", { before = load_all }, function(c)
  local count = 0
  for item, message, err in c:each_transaction {
    start_time = "2024-01-01T00:00:00Z", end_time = "2024-05-01T00:00:00Z",
    on_error = "return",
  } do
    if not item then return nil, message, err end
    count = count + 1
  end
  return count
end, function(count) same(1, count, "items, each once") end)

-- Wrong values: nothing is sent, each is reported.
good("refused values", "ok", { before = load_early }, function(c)
  local errors = {}
  local function add(_, _, err) errors[#errors + 1] = err end
  add(c:balance "usd")
  add(c:start_balance("USD", { on_behalf_of = "" }):result())
  for _, balance, message, err in c:batch { "usd", { currency = "" } } do
    add(balance, message, err)
  end
  return errors
end, function(errors)
  same(4, #errors, "failures")
  for _, err in ipairs(errors) do same("invalid_request", err.kind, "kind") end
end)

-- After an error a program that continues never gets an end before the last item.
good("each_account, gone on", "ok", { before = load_all }, function(c)
  local next_item, count, why = c:each_account { on_error = "return" }, 0, nil
  for _ = 1, 9 do
    local ok, item, message, err = pcall(next_item)
    if ok and item == nil and message == nil then return count end
    if ok and not item then return nil, message, err end
    if ok then count = count + 1 else why = why or item end
  end
  error(why, 0)
end, function(count) same(1, count, "items before the end") end)

good("balance, TLS", "sandbox", { http_version = "1.1" }, function(c)
  return c:balance "USD"
end, function(b) same(5000.25, b.available_balance, "available_balance") end)
-- With retries: a connection on which a stream lacked memory may be out of step.
good("balances, HTTP/2", "sandbox", { http_version = "2", before = load_all,
  max_retries = 2, retry_delay = 0.001, retry_delay_max = 0.001 }, function(c)
  local sum = 0
  for _, balance, message, err in c:batch { "USD", "SGD" } do
    if not balance then return nil, message, err end
    sum = sum + balance.available_balance
  end
  return sum
end, function(sum) same(15000.25, sum, "the sum") end)

good("balance, token store", "ok", { token = "none", client_id = "id",
  api_key = "secret-key", token_store = true }, function(c) return c:balance "USD" end)

case("file store", function()
  local uqpay, path = require "uqpay", new_path()
  local store
  local function told(value, message)
    if value then return value end
    return nil, message, { kind = "config", message = message }
  end
  return function()
    store = nil
    collectgarbage() -- the lock of a run that was cut goes with its store
    store = uqpay.file_store(path)
    for _, use in ipairs {
      function() return store:lock "key" end,
      function() return store:set("key", "token", 33000000000) end,
      function() return store:unlock "key" end,
    } do
      local done, message, err = told(use())
      if not done then return nil, message, err end
    end
    return told(store:get "key")
  end, function(token) same("token", token, "the token") end
end)

good("stats", "ok", {}, function(c) return c:stats() end, function(stats)
  same("number", type(stats.calls), "calls")
end)
good("pollfd", "ok", {}, function(c)
  local call = c:start_balance "USD"
  return c:pollfd() and true, c:timeout(), call:events(), call:cancel()
end, function() end)

-- A bad argument raises, out of memory or not.
good("bad argument", "ok", {}, function(c)
  local ok, why = pcall(c.balance, c, 5)
  if not ok and why:find("not enough memory", 1, true) then error(why, 0) end
  return why
end, function(why) same(true, why:find("bad argument", 1, true) ~= nil, why) end)

bad("invalid_request", "refused", {})
bad("idempotency", "key", {})
bad("auth", "401", {})
bad("auth", "401", login, function(c) return c:token() end)
bad("permission", "403", {})
bad("not_found", "404", {})
bad("conflict", "409", {})
bad("rate_limit", "429", { timeout = 1 }) -- the next one is refused by ourselves
bad("api", "500", { max_retries = 1, retry_delay = 0.001, retry_delay_max = 0.001,
  on_retry = function() end, on_response = function() end })
bad("protocol", "302", {})
bad("decode", "junk", {})
bad("decode", "empty", {})
bad("schema", "schema", {})
bad("schema", "currency", {})
bad("connect", "short", {})
bad("connect", "cut", {})
bad("too_large", "large", { max_response_bytes = 1024 })
bad("timeout", "silent", {}, function(c) return c:balance("USD", { timeout = 0.02 }) end)
bad("connect", "refusing", { base_url = "http://127.0.0.1:1/ok" })
bad("tls", "plain", { base_url = ("https://127.0.0.1:%d/ok"):format(port or 0) })

case("close", function()
  local c = client "ok"
  c:balance "USD"
  local call = c:start_balance "USD"
  return function()
    c:close()
    return select(3, call:result())
  end, function(err) same("canceled", err.kind, "kind") end
end)

case("collection", function()
  do
    local c = client "ok"
    c:balance "USD"
    c:start_balance "USD"
    clients = {}
  end
  return function()
    collectgarbage()
    return true
  end, function(done) same(true, done, "done") end
end)

case("values", function()
  local uqpay = require "uqpay"
  return function()
    local sum = uqpay.sum { uqpay.amount "0.10", uqpay.amount "12345678901234567890.05" }
    return tostring(sum - uqpay.amount "0.05"),
      uqpay.parse_time "2024-03-21T17:17:32+08:00", uqpay.info().version
  end, function(sum, time, version)
    same("12345678901234567890.10", sum, "the sum")
    same(1711012652, time, "the time")
    same("0.1.0", version, "version")
  end
end)

-- The actions of two coroutines of a loop at once, and the outcome.
local function good_loop(title, changes, act, check)
  case("loop: " .. title, function()
    load_all()
    local loop = require "spec.support.plain_loop"(rawget(_G, "poll"))
    local c = require "uqpay.loop"(loop).new(options("ok", changes))
    clients[#clients + 1] = c
    return function()
      local results, run = { {}, {} }, loop.is_idle() and loop.run or loop.run_all
      for n = 1, 2 do
        loop.spawn(function()
          local result = results[n]
          result.value, result.message, result.err = act(c)
        end)
      end
      run()
      local one = results[results[1].value and 2 or 1]
      return one.value, one.message, one.err
    end, check or check_balance
  end)
end

good_loop("balance", {}, function(c) return c:balance "USD" end)
good_loop("balance, login", login, function(c) return c:balance "USD" end)
good_loop("balances", {}, function(c)
  local sum = 0
  for _, balance, message, err in c:batch { "USD", "USD" } do
    if not balance then return nil, message, err end
    sum = sum + balance.available_balance
  end
  return sum
end, function(sum) same(10000.5, sum, "the sum") end)

-- A transport of the program, whose first answer is 503, and its clock. A lack of memory
-- in it is of the kind memory, or config.
local function own_transport()
  local sent, time = 0, 1000
  local balance = '{"balance_id":"b-1","currency":"USD","available_balance":5000.25,'
    .. '"margin_balance":0.10,"frozen_balance":0}'
  return {
    transport = function(request)
      if request.endpoint == "token" then
        return { status = 200, body = '{"auth_token":"minted-token"}' }
      end
      sent = sent + 1
      if sent == 1 then
        return { status = 503, body = "", headers = { ["Retry-After"] = 5 } }
      end
      return { status = 200, body = balance, headers = { ["X-Request-Id"] = "r" } }
    end,
    clock = {
      now = function() return time end,
      sleep = function(seconds) time = time + seconds end,
    },
    max_retries = 1,
  }
end

good("transport", "ok", own_transport(), function(c) return c:balance "USD" end)
do
  local changes = own_transport()
  for option, value in pairs(login) do changes[option] = value end
  good_object("transport, login", "ok", changes, function(c)
    return c:start_balance "USD"
  end)
end
good_loop("transport", own_transport(), function(c) return c:balance "USD" end)

-- ---------------------------------------------------------------------------------------

if not name then return list end

local act, check = cases[name]()
local no_memory = "not enough memory"

-- Does an error tell of a lack of memory? libcurl does not always know why it failed.
local function is_told(struck, err)
  return err.kind == "memory" or struck:find "^curl"
    or err.kind == "config" and err.message:find "[Mm]emory" -- of a file, or a transport
end

-- What came of a run, in which sweep memory struck if it did: "raised", "reported" or
-- "good".
local function judge(struck, ok, ...)
  local value, message, err = ...
  if not ok then
    if struck and type(value) == "string" and value:find(no_memory, 1, true) then
      return "raised"
    end
    error("raised: " .. tostring(value))
  end
  local right, why = pcall(check, ...)
  if right then return "good" end
  if struck and value == nil and type(message) == "string" and type(err) == "table"
    and type(err.kind) == "string" and err.message == message
    and is_told(struck, err) then
    return "reported"
  end
  error(("%s (message: %s)"):format(why, tostring(message)))
end

local function again()
  judge(nil, true, act())
  for _, c in ipairs(clients) do c:close() end
end

return act, judge, again
