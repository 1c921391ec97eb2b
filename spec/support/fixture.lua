-- Shared by the specs of the client: a client of the sandbox, answers, and the shape of
-- results.

local assert = require "luassert"
local busted = require "busted"
local clock = require "uqpay.internal".clock
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

local fixture = {}

local in_process = (os.getenv "UQPAY_IN_PROCESS" or "") ~= ""

-- The sandbox of a file whose specs need no server: where UQPAY_IN_PROCESS is set, the
-- one in this process. A client of it takes no time to connect or to wait.
function fixture.any_sandbox()
  if in_process then sandbox = require "spec.sandbox.in_process" end
  return sandbox
end

-- A spec in such a file that needs the server: it looks at bytes and connections.
function fixture.on_the_wire(title, run)
  if in_process then return busted.pending(title .. ": needs a server") end
  busted.it(title, run)
end

-- Options of a client of the sandbox; changes replace some, and more changes some of
-- those; `false` leaves one out. Retries wait for next to nothing: specs are many.
function fixture.options(changes, more)
  local options = {
    base_url = sandbox.url, ca_file = sandbox.ca_file, token = sandbox.token,
    transport = sandbox.transport, clock = sandbox.clock,
    retry_delay = 0.002, retry_delay_max = 0.004, timeout = 30,
  }
  for _, list in ipairs { changes or {}, more } do
    for name, value in pairs(list) do
      if value == false then value = nil end
      options[name] = value
    end
  end
  return options
end

function fixture.client(changes, more)
  return uqpay.new(fixture.options(changes, more))
end

-- For a group of specs: a sandbox as new and a fresh client of it before each, handed to
-- use; behind each, no fault is left that it ordered.
function fixture.with_client(use, changes)
  local client
  busted.setup(function() sandbox.start() end)
  busted.before_each(function()
    sandbox.reset()
    client = fixture.client(changes)
    use(client)
  end)
  busted.after_each(function()
    client:close()
    assert.same({}, sandbox.faults(), "faults that no request met")
  end)
end

-- For a group of specs: a function that returns what it is given, a client, a server or a
-- relay, and closes it behind the spec; what came last is closed first.
function fixture.closing()
  local open = {}
  busted.after_each(function()
    for n = #open, 1, -1 do
      local one = table.remove(open, n)
      if one.stop then one:stop() else one:close() end
    end
  end)
  return function(one)
    open[#open + 1] = one
    return one
  end
end

-- Runs a function of a time that must be long enough for a thing to happen within it, and
-- returns true if it did: with a short time first, on a slow machine with longer ones.
function fixture.given_time(run)
  local seconds = 0.1
  while not run(seconds) do
    seconds = seconds * 4
    assert.is_true(seconds < 60, "no time was long enough")
  end
end

-- A balance as the API sends it; the amount is JSON text or a whole number.
function fixture.body(amount, currency)
  return ('{"balance_id":"x","currency":"%s","available_balance":%s,"margin_balance":0,'
    .. '"frozen_balance":0,"create_time":"","last_trade_time":"",'
    .. '"balance_status":"ACTIVE"}'):format(currency or "USD", amount)
end

-- Steps the client and its calls until all of them have ended.
function fixture.finish(client, calls)
  local ends = clock() + 120
  repeat
    local left = 0
    for _, call in ipairs(calls) do if not call:step() then left = left + 1 end end
    if left > 0 then client:step(1) end
    assert.is_true(clock() < ends, "the calls do not end")
  until left == 0
end

-- Starts so many balances at once. Returns the call objects.
function fixture.start(client, count, options)
  local calls = {}
  for n = 1, count do calls[n] = client:start_balance("USD", options) end
  return calls
end

-- So many balances at once, each a call object that is stepped as soon as it is due.
-- Returns the balances.
function fixture.crowd(client, count, options)
  local calls, balances = fixture.start(client, count, options), {}
  fixture.finish(client, calls)
  for n = 1, count do balances[n] = fixture.succeeded(calls[n]:result()) end
  return balances
end

-- So many balances that are all in flight before the first is answered: over HTTP/1.1 as
-- many connections are kept behind them. Returns the calls, which have ended.
function fixture.together(client, count, options)
  sandbox.fault { kind = "delay", endpoint = "balance", hold = true, seconds = 20,
    times = count }
  local calls, ends = fixture.start(client, count, options), clock() + 20
  repeat
    for _, call in ipairs(calls) do call:step() end
    client:step(0.01)
    assert.is_true(clock() < ends, "the requests do not arrive")
  until #sandbox.requests "balance" >= count
  sandbox.release()
  fixture.finish(client, calls)
  return calls
end

-- Orders a fault for the next request with this key only. Returns options with the key.
function fixture.with_fault(fault, options)
  local key = uqpay.uuid()
  fault.match = { ["x-idempotency-key"] = key }
  sandbox.fault(fault)
  options = options or {}
  options.idempotency_key = key
  return options
end

-- An answer of HTTP/1.1. Put together without string.format, which ends at a NUL on Lua
-- 5.1 and 5.2.
function fixture.http(body, status, headers)
  return "HTTP/1.1 " .. (status or "200 OK") .. "\r\n" .. (headers or "")
    .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

local kinds = {}
for _, kind in ipairs(uqpay.kinds) do kinds[kind] = true end

-- Every field an error may have, and its type. The annotations are held against this.
fixture.error_fields = {
  kind = "string", message = "string", endpoint = "string", status = "number",
  type = "string",
  code = "string or number", missing_fields = "table", request_id = "string",
  retry_after = "number", retryable = "boolean", retry_stopped = "string",
  attempts = "number", idempotency_key = "string", on_behalf_of = "string",
  curl_code = "number", curl_name = "string", os_errno = "number",
  elapsed = "number", body = "string",
}

local function check_field(name, value)
  local documented = fixture.error_fields[name]
  if not documented or not documented:find(type(value), 1, true) then
    error(("error field %s: a %s"):format(name, type(value)), 0)
  end
  local token = sandbox.token -- nil: it was not started
  if token and type(value) == "string" and value:find(token:sub(1, 40), 1, true) then
    error("token in: " .. value, 0)
  end
end

-- Takes the results of a call that must have failed in this way, checks their form, and
-- returns the error table.
function fixture.failed(kind, ...)
  assert.equal(3, select("#", ...), "results of a failed call")
  local value, message, err = ...
  assert.is_nil(value)
  assert.equal("string", type(message))
  assert.equal("table", type(err))
  assert.equal(kind, err.kind, message)
  assert.is_true(kinds[kind])
  assert.equal(message, err.message)
  assert.equal(message, tostring(err))
  assert.is_nil(message:find("%c"), "control byte in: " .. message)
  for _, name in ipairs { "endpoint", "attempts", "elapsed", "retryable" } do
    assert.is_not_nil(err[name], name .. " is missing: " .. message)
  end
  for name, field in pairs(err) do check_field(name, field) end
  return err
end

-- Takes the results of a call that must have succeeded and returns the balance.
function fixture.succeeded(...)
  local balance, message = ...
  if select("#", ...) ~= 1 then error(tostring(message), 2) end
  assert.equal("table", type(balance))
  assert.is_nil(getmetatable(balance))
  return balance
end

return fixture
