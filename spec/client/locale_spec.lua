-- A program may set any locale, at any time: a decimal comma or other rules of upper and
-- lower case change no balance and no verdict. Each case is an interpreter of its own, in
-- locales that are made here, since few machines have them.

local driver = require "spec.support.driver"
local engine = require "engine"
local fixture = require "spec.support.fixture"
local random = require "spec.support.random"
local sandbox = require "spec.sandbox.sandbox"

local lines = driver.lines
local dir       -- the locales' place

local function write(name, text)
  local file = assert(io.open(dir .. "/" .. name, "wb"))
  file:write(text)
  file:close()
  return dir .. "/" .. name
end

local function make_locales()
  dir = driver.directory "locale"
  local said = driver.output(driver.command("sh", driver.here .. "/locales.sh", dir)
    .. " 2>&1")
  if said ~= "" then error(said, 0) end
end

-- The prelude of all children. `locale` sets it, and proves that it is in force where
-- the interpreter's own numbers follow it; LuaJIT's do not.
local prelude = [[
package.path, package.cpath = %q, %q
function locale(name)
  assert(os.setlocale(name) == name, "no locale " .. name)
  local half = ("%%.1f"):format(0.5)
  assert(half == (name == "de_DE" and not jit and "0,5" or half))
end
function exact(number) return (("%%.17g"):format(number):gsub(",", ".")) end
]]

-- Runs the script in a fresh interpreter and returns what it printed.
local function run(script, ...)
  local interpreter = os.getenv "UQPAY_LUA"
  local path = write("child.lua", prelude:format(package.path, package.cpath) .. script)
  return driver.output("LC_ALL=de_DE LOCPATH=" .. driver.quote(dir) .. " "
    .. driver.command(interpreter, path, ...) .. " 2>&1")
end

setup(make_locales)

teardown(function() os.execute(driver.command("rm", "-rf", dir)) end)

describe("numbers under a decimal comma", function()
  local convert = [[
    local engine = require "engine"
    locale "de_DE"
    for literal in io.lines(arg[1]) do
      local value, why = engine.number_double(literal)
      print(value and exact(value) or why)
    end
    print(os.setlocale() == "de_DE", jit and "0,5" or ("%.1f"):format(0.5))
  ]]

  local draw = random.generator()

  local function literals()
    local list = {
      "0", "-0", "5000.25", "10000.00", "-0.01", "0.1", "1e3", "1.5e-3", "1e22", "1e23",
      "12345678901234567890.12", "9007199254740993", "9007199254740993.5",
      "0.30000000000001", "1.7976931348623157e308", "1e400", "5e-324", "1e-400",
      "1234.5678901234567890123", "2.2250738585072011e-308", "1000000.5",
      "0." .. ("3"):rep(100), ("9"):rep(100) .. ".5",
    }
    for _ = 1, 2000 do
      local text = draw(9) .. random.digits(draw, draw(22) - 1) .. "."
        .. random.digits(draw, draw(10))
      list[#list + 1] = (draw(2) == 1 and "-" or "") .. text
        .. (draw(3) == 1 and "e" .. draw(60) - 30 or "")
    end
    return list
  end

  it("are the ones of the C locale", function()
    local list = literals()
    local file = write("literals", table.concat(list, "\n") .. "\n")
    local results = lines(run(convert, file))
    assert.equal(#list + 1, #results, results[#results])
    assert.equal("true\t0,5", results[#results])      -- and the locale is still the same
    for n, literal in ipairs(list) do
      local value, why = engine.number_double(literal)
      local expected = value and driver.pointed(("%.17g"):format(value)) or why
      if results[n] ~= expected then
        random.fail("%s became %s, not %s", literal, results[n], expected)
      end
    end
  end)

  it("have no comma, and no points between thousands", function()
    assert.same({ "false", "false", "false", "true", "nil" }, lines(run [[
      local engine = require "engine"
      locale "de_DE"
      print(engine.number_valid "5000,25")
      print(engine.number_valid "5.000,25")
      print(engine.number_valid "5.000.25")
      print(engine.number_valid "5.000")
      print((engine.stringify_numbers '{"a":5.000.25}'))
    ]]))
  end)
end)

describe("exact amounts and times under a decimal comma", function()
  it("are the same, and show a point", function()
    local expected = "1000.10 -0.35 1,000.10 100010 true true 0.5 nil "
    assert.equal(expected, (run([[
        locale "de_DE"
        local uqpay = require "uqpay"
        local a = uqpay.amount "1000.10"
        print(a)
        print("0.10" - uqpay.amount "0.45")
        print(a:format("USD", ","))
        print(("%d"):format(a:minor "USD"))
        print(a:tonumber() == 1000.1)
        print(uqpay.sum { "0.1", "0.2" } == uqpay.amount "0.3")
        print((exact(select(2, uqpay.parse_time "2024-03-21T17:17:32.5+08:00"))))
        print((uqpay.parse_time "2024-03-21T17:17:32,5+08:00"))
      ]]):gsub("\n", " ")))
  end)
end)

describe("a balance under a decimal comma", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  -- Asks for every currency, the locale being set at arg[1].
  local ask = [[
    local at, amounts, base_url, ca_file, token = unpack(arg)
    local function set(now) if at == now then locale "de_DE" end end
    set "before require"
    local uqpay = require "uqpay"
    set "after require"
    local client = uqpay.new {
      base_url = base_url, ca_file = ca_file, token = token, amounts = amounts,
      timeout = 30.5, retry_delay = 0.01,
    }
    set "after new"
    client:balance "USD"
    set "after a call"
    for _, currency in ipairs { "USD", "SGD", "XUSD" } do
      local balance = assert(client:balance(currency))
      for _, name in ipairs { "available", "margin", "frozen" } do
        local value = balance[name .. "_balance"]
        if type(value) == "number" then
          print(currency, (math.type or type)(value), exact(value))
        else
          print(currency, type(value), tostring(value))
        end
      end
    end
    print(os.setlocale() == "de_DE", jit and "0,5" or ("%.1f"):format(0.5))
  ]]
  ask = "local unpack = table.unpack or unpack\n" .. ask

  local currencies = {
    { "USD", "5000.25", "10000", "2353.25" }, { "SGD", "10000.00", "0", "-0.01" },
    { "XUSD", "12345678901234567890.12", "9007199254740993", "0.10" },
  }

  local function expected(amounts)
    local list = {}
    for _, balances in ipairs(currencies) do
      for n = 2, 4 do
        local kind, text = "string", balances[n]
        if amounts == "exact" then kind = "userdata" end
        if amounts == "number" then
          kind = rawget(math, "type") and "float" or "number"
          text = driver.pointed(("%.17g"):format(driver.number(text) + 0.0))
        end
        list[#list + 1] = balances[1] .. "\t" .. kind .. "\t" .. text
      end
    end
    list[#list + 1] = "true\t0,5"
    return list
  end

  for _, sent in ipairs { "number", "string" } do
    for _, amounts in ipairs { "number", "string", "exact" } do
      it(("sent as a %s is the same %s"):format(sent, amounts), function()
        sandbox.settings { amounts = sent }
        for _, at in ipairs {
          "before require", "after require", "after new", "after a call",
        } do
          assert.same(expected(amounts), lines(run(ask, at, amounts, sandbox.url,
            sandbox.ca_file, sandbox.token)))
        end
      end)
    end
  end

  it("is refused if it was sent with a comma", function()
    for _, text in ipairs { '"5000,25"', '"5.000,25"', "5000,25" } do
      sandbox.fault { kind = "answer", times = 2, body = fixture.body(text) }
      local _, _, err = fixture.client():balance "USD"
      local kinds = lines(run([[
        locale "de_DE"
        local uqpay = require "uqpay"
        local client = uqpay.new { base_url = arg[1], ca_file = arg[2], token = arg[3] }
        local balance, _, err = client:balance "USD"
        print(balance, err.kind)
      ]], sandbox.url, sandbox.ca_file, sandbox.token))
      assert.same({ "nil\t" .. err.kind }, kinds)
      assert.is_true(err.kind == "schema" or err.kind == "decode", err.kind)
    end
  end)
end)

describe("a message under a decimal comma", function()
  it("shows points", function()
    assert.same({ "0.25", "0.001", "86400", "0.001", "86400" }, lines(run [[
      locale "de_DE"
      local uqpay = require "uqpay"
      local function show(message, pattern)
        for number in message:match(pattern):gmatch "[%d%p]*%d" do print(number) end
      end
      local client = uqpay.new { base_url = "http://127.0.0.1:1", token = "t",
        rate_limit = 1, max_retries = 0 }
      client:balance "USD"
      show(select(2, client:balance("USD", { timeout = 0.25 })), "a timeout of %S+")
      show(select(2, pcall(uqpay.new, { timeout = 1e9 })), "from %S+ to %S+")
      show(select(2, pcall(uqpay.new, { timeout = 0 })), "from %S+ to %S+")
    ]]))
  end)
end)

describe("upper and lower case in Turkish", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("do not affect header names", function()
    local names = { "X-Request-Id", "X-REQUEST-ID", "x-request-id", "REQUEST-ID",
      "X-B3-TRACEID", "X-B3-TraceId" }
    local found = lines(run(([[
      locale "tr_TR"
      local engine = require "engine"
      for name in ("%s"):gmatch "%%S+" do
        local received = engine.response_headers()
        received:line(name .. ": 1\r\n")
        print(name, received:get "request_id")
      end
      local received = engine.response_headers()
      received:line "LOCATION: 1\r\n"
      print("LOCATION", received:get "location")
    ]]):format(table.concat(names, " "))))
    names[#names + 1] = "LOCATION"
    for n, name in ipairs(names) do names[n] = name .. "\t1" end
    assert.same(names, found)
  end)

  it("do not affect the API's words", function()
    for message, reasons in pairs {
      ["IP not allowed"] = "new", ["INVALID TOKEN FORMAT"] = "new",
      ["Token expired"] = "new rejected",
    } do
      sandbox.fault {
        kind = "status", status = 401, shape = "A", message = message, times = 2,
      }
      local found = lines(run([[
        locale "tr_TR"
        local uqpay = require "uqpay"
        local reasons = {}
        local client = uqpay.new {
          base_url = arg[1], ca_file = arg[2], max_retries = 0,
          token = function(reason)
            reasons[#reasons + 1] = reason
            return arg[3]
          end,
        }
        local _, _, err = client:balance "USD"
        print(err.kind, table.concat(reasons, " "))
      ]], sandbox.url, sandbox.ca_file, sandbox.token))
      assert.same({ "auth\t" .. reasons }, found, message)
      sandbox.reset()
    end
    sandbox.fault { kind = "answer", status = 400,
      body = '{"code":200,"message":"REQUEST IS PROCESSING"}' }
    assert.same({ "conflict" }, lines(run([[
      locale "tr_TR"
      local uqpay = require "uqpay"
      local client = uqpay.new {
        base_url = arg[1], ca_file = arg[2], token = arg[3], max_retries = 0,
      }
      print(select(3, client:balance "USD").kind)
    ]], sandbox.url, sandbox.ca_file, sandbox.token)))
  end)
end)
