-- sandbox.lua: a sandbox in the process of the test: see README.md, "Testing".
-- SPDX-License-Identifier: MIT

local accounts = require "uqpay.testing.server.accounts"
local balances = require "uqpay.testing.server.balances"
local faults = require "uqpay.testing.server.faults"
local internal = require "uqpay.internal"
local ledger = require "uqpay.testing.server.ledger"
local login = require "uqpay.testing.server.login"
local misuse = require "uqpay.testing.server.misuse"
local new_clock = require "uqpay.testing.clock"
local new_transport = require "uqpay.testing.transport"
local order_of = require "uqpay.testing.fault"
local record = require "uqpay.testing.server.record"
local requests = require "uqpay.testing.requests"
local seed = require "uqpay.testing.server.seed"
local settings = require "uqpay.testing.server.settings"
local times = require "uqpay.testing.server.times"
local tokens = require "uqpay.testing.server.tokens"
local uqpay = require "uqpay"

local methods = {}

local fail = misuse.fail

-- Raises unless there is no value, or a table without inherited fields.
local function check_optional(value)
  if value == nil then return end
  if type(value) ~= "table" then fail("a table expected, got a %s", type(value)) end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__index ~= nil then
    fail "a table with __index: what it inherits would be ignored"
  end
end

-- The options of a client of this sandbox, for `new` of any module; those given win.
function methods:options(options)
  check_optional(options)
  local all = {
    transport = self.transport, clock = self.clock,
    base_url = "https://sandbox.invalid/api",
  }
  for name, value in pairs(options or {}) do all[name] = value end
  if all.environment then all.base_url = options.base_url end
  if all.token == nil and all.client_id == nil and all.api_key == nil then
    all.client_id, all.api_key = self.client_id, self.api_key
  end
  return all
end


-- Moves the clock.
function methods:advance(seconds)
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds < math.huge) then
    fail("a number of seconds expected, got %s", type(seconds) == "number"
      and tostring(seconds) or "a " .. type(seconds))
  elseif self.clock.now() + seconds > times.latest then
    fail "the clock ends with the year 9999"
  end
  self.clock.sleep(seconds)
end

function methods:fail(fault)
  local order, wrong = order_of(fault, function(name)
    return accounts.connected_id(self.world, name)
  end)
  local ok
  if order then ok, wrong = faults.order(self.world, order) end
  if not ok then fail("%s", wrong) end
end

-- Drops the faults that no request has met yet.
function methods:clear_faults()
  faults.clear(self.world)
end

-- The id of an account by its name, id or short id; of our own for nil.
local function account_id(self, account)
  return accounts.id_of(self.world, account)
    or fail("unknown account: %s (nil is the account of the token)", tostring(account))
end

local function check_currency(currency)
  if not record.is_currency(currency) then
    fail('currency must be like "USD", got %s', tostring(currency))
  end
end

-- The amount that a text stands for.
local function exact(text, name)
  local good, wrong = seed.amount(text, name)
  local amount
  if good then amount, wrong = uqpay.amount(text) end
  return amount or fail("%s", wrong)
end

-- In the order of the arguments, so that a forgotten account is reported first.
local function check_move(self, account, currency, text)
  account_id(self, account)
  check_currency(currency)
  if exact(text, "amount"):sign() <= 0 then fail "amount must be more than zero" end
end

-- Adds an amount (text) to the available balance, and a transaction with the entry's
-- fields. Returns its id.
local function move(self, account, currency, text, entry)
  local id, world = account_id(self, account), self.world
  local present = balances.of(world, id)[currency]
  local before = uqpay.amount(present and present.available_balance or "0")
  local ok, sum = pcall(before.add, before, uqpay.amount(text))
  if not ok then fail("the balance would be out of range: %s", sum) end
  local after, now = tostring(sum), times.format(world:now())
  assert(balances.change(world, {
    account = id, currency = currency, available_balance = after, last_trade_time = now,
  }))
  entry.account, entry.currency, entry.amount, entry.ending_balance = id, currency, text,
    after
  entry.create_time, entry.complete_time = now, now
  entry.balance_id = balances.of(world, id)[currency].balance_id
  return assert(ledger.add(world, entry))
end

-- Adds to an account's balance. Returns the id of the transaction.
function methods:deposit(account, currency, amount)
  check_move(self, account, currency, amount)
  return move(self, account, currency, amount,
    { transaction_type = "DEPOSIT", description = "deposit" })
end

-- Takes from an account's balance, which may become negative.
function methods:spend(account, currency, amount)
  check_move(self, account, currency, amount)
  return move(self, account, currency, "-" .. amount,
    { transaction_type = "ISSUING_AUTHORIZATION", description = "spend" })
end

local balance_fields = {
  available = "available_balance", margin = "margin_balance", frozen = "frozen_balance",
  status = "balance_status",
}

-- Sets a balance: its available amount, or a table with available, margin, frozen,
-- status. nil removes it. The ledger does not change.
function methods:set_balance(account, currency, value)
  local id = account_id(self, account)
  check_currency(currency)
  local change = { account = id, currency = currency, delete = value == nil or nil }
  if type(value) ~= "table" then value = { available = value } end
  for name, text in pairs(value) do
    if not balance_fields[name] then
      fail("unknown field: %s", tostring(name))
    end
    if name ~= "status" then exact(text, name)
    elseif type(text) ~= "string" then fail "status must be text" end
    change[balance_fields[name]] = text
  end
  local ok, wrong = balances.change(self.world, change)
  if not ok then fail("%s", wrong) end
end

-- What ledger.add does not check. Other fields may be any text, as the API's may.
local function check_transaction(fields)
  check_optional(fields)
  fields = fields or {}
  for _, name in ipairs { "account", "times" } do
    if fields[name] ~= nil then fail("unknown field: %s", name) end
  end
  if fields.currency ~= nil then check_currency(fields.currency) end
  if fields.amount ~= nil then exact(fields.amount, "amount") end
  if fields.ending_balance ~= nil and fields.ending_balance ~= "" then
    exact(fields.ending_balance, "ending_balance")
  end
end

-- Adds a transaction with these fields of the API; the balance does not change. Returns
-- its id.
function methods:add_transaction(account, fields)
  local order = { create_time = times.format(self.world:now()) }
  local id = account_id(self, account)
  check_transaction(fields)
  for name, value in pairs(fields or {}) do order[name] = value end
  order.account = id
  local wrong
  id, wrong = ledger.add(self.world, order)
  if not id then fail("%s", wrong) end
  return id
end

-- Adds a connected account until the next reset. Returns its id.
function methods:add_account(account)
  local read, wrong = seed.account(account, #self.world.directory.list + 1)
  if not read then fail("%s", wrong) end
  for _, field in ipairs { "id", "short_id", "name" } do
    if read[field] and accounts.find(self.world, read[field]) then
      fail("there is an account with the %s %s", field, read[field])
    end
  end
  accounts.add(self.world, read)
  return read.id
end

-- Ends all tokens, so that the next call must log in.
function methods:expire_tokens()
  tokens.end_all(self.world)
end

-- Changes settings until the next reset.
function methods:settings(changes)
  if type(changes) ~= "table" then fail("a table expected, got a %s", type(changes)) end
  local all, wrong = settings.changed(self.world.state.settings, changes)
  if not all then fail("%s", wrong) end
  self.world.state.settings = all
end

-- Restores the first state, except the clock.
function methods:reset()
  self.world:reset()
end

-- The requests that arrived, oldest first: those that fit the filter.
function methods:requests(filter)
  return requests.list(self.world, filter)
end

function methods:assert_requests(count, filter)
  return requests.assert_count(self.world, count, filter)
end

function methods:assert_called(endpoint, fields)
  return requests.assert_called(self.world, endpoint, fields)
end

function methods:assert_no_faults_left()
  return requests.assert_no_faults_left(self.world)
end

local class

local function is_sandbox(value)
  return type(value) == "table" and getmetatable(value) == class
end

local function refuse_dot(name)
  error(("sandbox.%s: call it with a colon, sandbox:%s(...)"):format(name, name), 3)
end

-- A message of a method is an error at the line that called it.
local function guarded(name, method)
  return function(self, ...)
    if not is_sandbox(self) then refuse_dot(name) end
    local ok, value = misuse.caught(method, self, ...)
    if not ok then error(("sandbox:%s: %s"):format(name, value), 2) end
    return value
  end
end

local public = {}
for name, method in pairs(methods) do public[name] = guarded(name, method) end

-- internal.call gives an error of uqpay.new the line that called this function.
function public:client(options)
  if not is_sandbox(self) then refuse_dot "client" end
  local ok, all = misuse.caught(methods.options, self, options)
  if not ok then error("sandbox:client: " .. all, 2) end
  local client = internal.call(uqpay.new, all)
  return client
end

class = {
  __index = public, __name = "uqpay.testing.sandbox",
  __call = function(self, request) return self.transport(request) end,
}

local function check_clock(clock)
  if clock == nil then return new_clock() end
  if type(clock) ~= "table" or type(clock.now) ~= "function"
    or type(clock.sleep) ~= "function" then
    fail "clock must be a table with the functions now and sleep"
  end
  if type(clock.now()) ~= "number" then fail "clock.now must return Unix seconds" end
  return clock
end

-- The tokens and credentials, as fields.
local function set_facts(self)
  local function add(name, value) self[name] = value end
  tokens.facts(self.world, add)
  login.facts(self.world, add)
  self.account_id = record.merchants.master
end

-- A new sandbox. A wrong seed raises a misuse.
return function(given)
  check_optional(given)
  local value = {}
  for name, member in pairs(given or {}) do value[name] = member end
  local clock = check_clock(value.clock)
  value.clock = nil
  local read, wrong = seed.read(value)
  if not read then fail("%s", wrong) end
  local self = setmetatable({ clock = clock }, class)
  self.world, self.transport = new_transport(read, clock)
  set_facts(self)
  return self
end
