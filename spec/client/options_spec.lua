-- Options and arguments: every edge that is taken, every value that is refused. What is
-- refused names the option, sends nothing and quotes no secret. A value of a call that
-- may come from outside the program fails the call; all else raises.

local driver = require "spec.support.driver"
local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

local nan, huge = 0 / 0, math.huge
local uuid = "0b1d6f5e-2c43-4f0a-8d5b-6a1e93c7d210"
local pin = "sha256//" .. ("A"):rep(43) .. "="

-- A good text with bytes that no header may contain.
local function unclean(text)
  return text .. "\r\nx-evil: 1", text .. "\n", text .. "\0", "\0" .. text,
    text .. "\127"
end

local uuids = {
  uuid, uuid:upper(), "00000000-0000-0000-0000-000000000000",
  "018f4e5a-1c2d-7abc-8def-0123456789ab", "6ba7b810-9dad-11d1-80b4-00C04FD430C8",
}
local accounts = { "CB4488338944", "CB1234", "CB" .. ("0"):rep(20) }
for _, id in ipairs(uuids) do accounts[#accounts + 1] = id end
local no_uuids = {
  "", " ", "x", uuid .. "0", uuid:sub(2), (uuid:gsub("-", "")), "{" .. uuid .. "}",
  " " .. uuid, uuid .. " ", (uuid:gsub("0", "g")), (uuid:gsub("-", "_")),
  ("0"):rep(64), ("0"):rep(100000), unclean(uuid),
}
local no_accounts = {
  "CB", "CB123", "CB" .. ("1"):rep(21), "cb4488338944", "Cb4488338944", "4488338944",
  "CB-4488338944", "CB 4488338944", " CB4488338944", "CB44883389AA", "CA4488338944",
  "BC4488338944", unclean "CB4488338944",
}
for _, id in ipairs(no_uuids) do no_accounts[#no_accounts + 1] = id end
local seconds = { 0.001, 0.5, 1, 30, 86400 }
local no_seconds = { 0, -0.001, -30, 0.0009, 86400.001, 1e300, huge, -huge, nan }
local delays = { 0, 0.001, 1, 3600 }
local no_delays = { -0.001, 3600.001, -1, huge, -huge, nan }
local no_texts = { "", ("x"):rep(513), unclean "x" }
local missing = { "/nonexistent/x", "nonexistent" }

local function both(...)
  local all = {}
  for _, list in ipairs { ... } do
    for _, value in ipairs(list) do all[#all + 1] = value end
  end
  return all
end

-- One row an option: whose it is, its types, what is taken, what is refused, and whether
-- a wrong value fails a call instead of raising.
local options = {
  environment = { at = "new", types = "string", good = { "sandbox", "production" },
    bad = { "", "Sandbox", "test", "sandbox ", "sandbox\0", ("x"):rep(9999) } },
  base_url = { at = "new", types = "string",
    good = {
      "https://127.0.0.1", "https://127.0.0.1/", "https://127.0.0.1:8443/api",
      "https://example.invalid/api", "HTTPS://example.invalid/api",
      "http://127.0.0.1:8080/api", "http://127.1.2.3", "http://localhost/api",
      "http://[::1]:8080/api", "https://[2001:db8::1]/api",
      "https://127.0.0.1/" .. ("p"):rep(1024 - 18),
    },
    bad = {
      "", "127.0.0.1", "example.invalid/api", "//example.invalid/api", "https:",
      "https://", "https:///api", "http://example.invalid/api", "http://10.0.0.1/api",
      "http://127.0.0.1.example.invalid/", "http://localhost.example.invalid/",
      "http://127.0.0.1x/api", "http://127.0.0.1-a/api", "http://127.0.0.1.5/api",
      "http://localhostx/api", "http://127.0.0.256/api",
      "http://example.invalid/127.0.0.1", "http://[::2]/api", "http://0.0.0.0/api",
      "http://128.0.0.1/api", "ftp://127.0.0.1/api", "file:///etc/passwd",
      "gopher://127.0.0.1", "https://user@127.0.0.1/api",
      "https://user:secret@127.0.0.1/api", "https://127.0.0.1/api?",
      "https://127.0.0.1/api?a=b", "https://127.0.0.1/api#", "https://127.0.0.1/api#a",
      "https://127.0.0.1:65536/api", "https://127.0.0.1:port/api",
      "https://127.0.0.1/a b", " https://127.0.0.1", "https://127.0.0.1/\195\164",
      "https://127.0.0.1/" .. ("p"):rep(1024 - 17), unclean "https://127.0.0.1/api",
    } },
  token = { at = "new", types = "string function",
    good = {
      "t", "Bearer t", "bearer t", ("t"):rep(8192), "Bearer " .. ("t"):rep(8192),
      "!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", function() return "t" end,
    },
    bad = {
      "", " ", "Bearer ", "Bearer  t", "to ken", " t", "t ", "\t",
      ("t"):rep(8193), "Bearer " .. ("t"):rep(8193), "t\195\164", "t\255", unclean "t",
    } },
  on_behalf_of = { at = "both", types = "string", good = accounts, bad = no_accounts,
    value = true },
  currency = { at = "both", types = "string", value = true,
    good = { "USD", "SGD", "XUSD", "USDT0", "123" },
    bad = {
      "", "US", "usd", "Usd", "USDUSD", "US D", " USD", "USD ", "US-", "US\"",
      "\194\163K", ("U"):rep(100000), unclean "USD",
    } },
  idempotency_key = { at = "balance", types = "string", good = uuids, bad = no_uuids,
    value = true },
  allow_key_reuse = { at = "balance", types = "boolean",
    good = { true, false }, bad = {} },
  timeout = { at = "both", types = "number", good = seconds, bad = no_seconds },
  connect_timeout = { at = "both", types = "number", good = seconds, bad = no_seconds },
  max_retries = { at = "both", types = "number", good = { 0, 1, 2.0, 100 },
    bad = { -1, 0.5, 100.5, 101, 2 ^ 31, 2 ^ 53, huge, -huge, nan } },
  retry_delay = { at = "both", types = "number", good = delays, bad = no_delays },
  retry_delay_max = { at = "both", types = "number", bad = no_delays,
    good = { 0.02, 0.5, 1, 3600 } },
  rate_limit = { at = "new", types = "number", good = { 0, 1, 500.0, 1000000 },
    bad = { -1, 0.5, 1000001, 2 ^ 31, 2 ^ 53, huge, -huge, nan } },
  queued = { at = "balance", types = "boolean", good = { true, false }, bad = {} },
  max_response_bytes = { at = "both", types = "number",
    good = { 1024, 1048576, 67108864 },
    bad = { 0, -1, 1023, 1024.5, 67108865, 2 ^ 32 + 4096, 2 ^ 53, huge, -huge, nan } },
  amounts = { at = "both", types = "string", good = { "number", "string", "exact" },
    bad = {
      "", "float", "Exact", "exact ", "Number", "string ", "string\0", "numbers",
    } },
  ca_file = { at = "new", types = "string", good = {}, bad = both(no_texts, missing,
    { "/", "spec", "README.md", "/dev/null" }) },
  ca_path = { at = "new", types = "string", good = { "/", "spec", "." .. ("/"):rep(511) },
    bad = both(no_texts, missing, { "README.md" }) },
  pinned_public_key = { at = "new", types = "string",
    good = { pin, pin .. ";" .. pin, "sha256//" .. ("z9+/"):rep(10) .. "abc=" },
    bad = {
      "", "sha256//", pin:sub(1, -2), pin:sub(9), pin .. ";", ";" .. pin, pin .. " ",
      pin .. pin, (pin:gsub("A", "-")), "sha256//" .. ("A"):rep(44) .. "=",
      "sha256//" .. ("A"):rep(43) .. "!", "sha256//" .. ("A"):rep(42) .. "==",
      "sha1//" .. ("A"):rep(43) .. "=", "/path/of/a/key.pem", (pin .. ";"):rep(12) .. pin,
      unclean(pin),
    } },
  proxy = { at = "new", types = "string",
    good = {
      "", "http://127.0.0.1:9", "https://127.0.0.1:9", "127.0.0.1:9", "localhost",
      "socks5://127.0.0.1:9", "socks5h://[::1]:9", "http://me:word@127.0.0.1:9",
      ("x"):rep(512),
    },
    bad = {
      "ftp://127.0.0.1:9", "gopher://127.0.0.1", "http://127.0.0.1:65536", "http://",
      "http://a b", ("x"):rep(513), unclean "http://127.0.0.1:9",
    } },
  http_version = { at = "new", types = "string", good = { "auto", "1.1", "2" },
    bad = { "", "1", "1.0", "2.0", "3", "AUTO", "h2", "2\0" } },
  app_info = { at = "new", types = "table",
    good = {
      { name = "shop" }, { name = "shop", version = "1.0" },
      { name = ("n"):rep(100), version = ("v"):rep(100), url = ("u"):rep(100) },
      { name = "shop", url = "https://shop.example/about" },
    },
    bad = {
      {}, { version = "1.0" }, { url = "https://shop.example" }, { "shop" },
      { name = "shop", versoin = "1" }, { name = "shop", "1.0" },
      { name = "shop", [true] = "1.0" }, { name = "" }, { name = "my shop" },
      { name = ("n"):rep(101) }, { name = "shop(1)" }, { name = "sh\195\182p" },
      { name = 5 }, { name = true }, { name = {} }, { name = "shop", version = 1.5 },
      { name = "shop", version = "1 0" }, { name = "shop", version = "" },
      { name = "shop", url = "https://shop.example/\r\nx-evil: 1" },
      { name = "shop\n" }, { name = "shop\0" }, { name = "shop", url = false },
    } },
  on_request = { at = "new", types = "function", good = { print }, bad = {} },
  on_response = { at = "new", types = "function", good = { print }, bad = {} },
  on_retry = { at = "new", types = "function", good = { print }, bad = {} },
}

local samples = {
  boolean = true, number = 5, string = "5", table = {}, ["function"] = print,
  thread = coroutine.create(function() end), userdata = io.stdout,
}

-- The options of a client of the sandbox, with one changed.
local function changed(name, value)
  local all = fixture.options()
  all[name] = value
  if name == "environment" then all.base_url = nil end
  if name == "retry_delay" then all.retry_delay_max = nil end
  return all
end

local function show(value)
  if type(value) == "table" then
    local list = {}
    for key, member in pairs(value) do
      list[#list + 1] = show(key) .. "=" .. show(member)
    end
    table.sort(list)
    return "{" .. table.concat(list, " ") .. "}"
  elseif type(value) ~= "string" then
    return tostring(value)
  end
  return ("%q"):format(#value > 40 and value:sub(1, 40) .. "..." or value)
end

-- Takes the results of pcall for what must raise; returns the message, which is one short
-- line that contains no secret.
local function check_refusal(what, ok, message)
  assert.is_false(ok, "was taken: " .. what)
  assert.equal("string", type(message), what)
  assert.is_nil(message:find "%c", what)
  assert.is_nil(message:find(sandbox.token:sub(1, 20), 1, true), what)
  assert.is_true(#message < 300, what)
  return message
end

local function refusal(what, ...)
  return check_refusal(what, pcall(...))
end

local function names(message, option, method, what)
  local found = message:find("option '" .. option, 1, true)
    and message:find("to '" .. method .. "'", 1, true)
  assert.is_truthy(found, what .. ": " .. message)
end

local function each_option(method, run)
  local list = {}
  for name, row in pairs(options) do
    if row.at == method or row.at == "both" then list[#list + 1] = name end
  end
  table.sort(list)
  for _, name in ipairs(list) do run(name, options[name]) end
end

-- Takes the results of pcall of a call, or of one that gives a call object: true and the
-- message if a value was refused, or false and the error.
local function fails(ok, value, ...)
  if not ok then return false, value end
  if type(value) == "userdata" then
    assert.is_true(value:done())
    return fails(true, value:result())
  end
  if value then return true end
  local err = fixture.failed("invalid_request", value, ...)
  assert.equal("balance", err.endpoint)
  assert.equal(0, err.attempts)
  assert.equal(0, err.elapsed)
  assert.is_false(err.retryable)
  return true, err.message
end

-- The message of a call with a value that was refused.
local function failure(what, ...)
  local returned, message = fails(pcall(...))
  assert.is_true(returned, what .. ": " .. tostring(message))
  assert.is_truthy(message, "was taken: " .. what)
  return check_refusal(what, false, message)
end

-- All values are tried before the first failure is reported: accepted ones are a list.
local function refuses(name, method, values, call)
  local taken = {}
  for _, value in ipairs(values) do
    local what = name .. " = " .. show(value)
    local ok, message = pcall(call, value)
    if ok then
      taken[#taken + 1] = show(value)
    else
      names(check_refusal(what, ok, message), name, method, what)
    end
  end
  assert.same({}, taken)
end

local function other_types(row)
  local list = {}
  for kind, sample in pairs(samples) do
    if not row.types:find(kind, 1, true) then list[#list + 1] = sample end
  end
  return list
end

local function nothing_was_sent(client)
  assert.equal(0, #sandbox.requests())
  if not client then return end
  local stats = client:stats()
  assert.equal(0, stats.attempts)
  assert.equal(0, stats.connections)
end

-- The sandbox's log of the one request of a call.
local function sent()
  local list = sandbox.requests()
  return list[#list]
end

-- The functions take and refuse what the options of a call do: the rows are the same.
describe("a validator", function()
  local validators = { is_currency = "currency", is_account_id = "on_behalf_of" }
  for name, option in pairs(validators) do
    local function check(...)
      assert.equal(1, select("#", uqpay[name](...)))
      return uqpay[name](...)
    end

    it(name .. " is true for what a call takes as " .. option, function()
      for _, value in ipairs(options[option].good) do
        assert.equal(true, check(value), show(value))
        assert.equal(true, check(value, {}), show(value))
      end
    end)

    it(name .. " is false for every other text, type and nothing at all", function()
      local row = options[option]
      for _, value in ipairs(both(row.bad, other_types(row))) do
        assert.equal(false, check(value), show(value))
      end
      assert.equal(false, check(123))        -- as text it is a currency
      assert.equal(false, check(nil))
      assert.equal(false, check())
      local object = setmetatable({}, { __tostring = function() return "USD" end })
      assert.equal(false, check(object))
      assert.equal(false, check(uqpay, row.good[1]))
    end)
  end
end)

describe("options", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  describe("of uqpay.new", function()
    each_option("new", function(name, row)
      local function make(value)
        return uqpay.new(changed(name, value))
      end

      it(name .. ": every valid edge is taken", function()
        for _, value in ipairs(row.good) do
          local ok, client = pcall(make, value)
          assert.is_true(ok, show(value) .. ": " .. tostring(client))
          client:close()
        end
      end)

      it(name .. ": every other type is refused", function()
        refuses(name, "new", other_types(row), make)
        nothing_was_sent()
      end)

      if row.bad[1] then
        it(name .. ": every value beyond its edges is refused", function()
          refuses(name, "new", row.bad, make)
          nothing_was_sent()
        end)
      end
    end)
  end)

  for _, method in ipairs { "balance", "start_balance" } do
    describe("of " .. method, function()
      local client
      before_each(function() client = fixture.client() end)
      after_each(function() client:close() end)

      local function call(name)
        return function(value)
          local arguments = { currency = "USD", timeout = 30 }
          if name == "retry_delay_max" then arguments.retry_delay = 0 end
          arguments[name] = value
          return client[method](client, arguments)
        end
      end

      each_option("balance", function(name, row)
        it(name .. ": every valid edge is taken", function()
          for _, value in ipairs(row.good) do
            local ok, message = pcall(call(name), value)
            assert.is_true(ok, show(value) .. ": " .. tostring(message))
          end
        end)

        it(name .. ": every other type is refused", function()
          refuses(name, method, other_types(row), call(name))
          nothing_was_sent(client)
        end)

        if row.value then
          it(name .. ": every value beyond its edges fails the call", function()
            for _, value in ipairs(row.bad) do
              local what = name .. " = " .. show(value)
              local message = failure(what, call(name), value)
              names(message, name, "balance", what)
              assert.equal(value == "", message:find "got an empty string" ~= nil)
            end
            nothing_was_sent(client)
          end)
        elseif row.bad[1] then
          it(name .. ": every value beyond its edges is refused", function()
            refuses(name, method, row.bad, call(name))
            nothing_was_sent(client)
          end)
        end
      end)
    end)
  end

  describe("of balance", function()
    local client
    before_each(function() client = fixture.client() end)
    after_each(function() client:close() end)

    it("are rejected in the same way after a currency", function()
      for _, bad in ipairs {
        { timeout = -1 }, { on_behalf_of = 5 }, { nonsense = 1 }, { currency = "USD" },
        { currency = "usd" }, { idempotency_key = true }, { 5 },
      } do
        refusal("an option", client.balance, client, "USD", bad)
      end
      for _, bad in ipairs { { on_behalf_of = "" }, { idempotency_key = "x" } } do
        failure("a value", client.balance, client, "USD", bad)
      end
      nothing_was_sent(client)
    end)

    it("are refused for the first by name if several have wrong values", function()
      for _ = 1, 5 do
        local message = failure("three", client.balance, client, { currency = "usd",
          on_behalf_of = "me", idempotency_key = "x" })
        names(message, "currency", "balance", "three")
        message = failure("two", client.balance, client, "USD",
          { on_behalf_of = "me", idempotency_key = "x" })
        names(message, "idempotency_key", "balance", "two")
      end
    end)

    it("raise for a mistake in the program, whatever the other values are", function()
      for _ = 1, 5 do
        for _, mistake in ipairs {
          { nonsense = 1 }, { timeout = "5" }, { timeout = 0 },
        } do
          mistake.on_behalf_of, mistake.idempotency_key = "me", "x"
          refusal("a mistake", client.balance, client, "usd", mistake)
        end
      end
      refusal("no currency", client.balance, client, { on_behalf_of = "me" })
      client:close()
      assert.matches("closed", refusal("closed", client.balance, client, "usd"), 1, true)
    end)

    it("name the account in the error, but not a wrong one", function()
      local own = fixture.client { on_behalf_of = sandbox.sub_account }
      local _, _, err = own:balance("usd", { idempotency_key = uuid })
      assert.equal(sandbox.sub_account, err.on_behalf_of)
      assert.equal(uuid, err.idempotency_key)
      _, _, err = own:balance("USD", { on_behalf_of = "me" })
      assert.is_nil(err.on_behalf_of)
      own:close()
    end)

    it("that were rejected do not count as calls, and call no hook", function()
      local told = 0
      local function hook() told = told + 1 end
      local one = fixture.client {
        on_request = hook, on_response = hook, on_retry = hook,
      }
      failure("a value", one.balance, one, "usd")
      failure("a value", one.start_balance, one, "usd")
      local stats = one:stats()
      assert.equal(0, stats.calls + stats.failed + stats.succeeded + told)
      one:close()
    end)

    it("which were refused leave the client as it was", function()
      refusal("timeout", client.balance, client,
        { currency = "SGD", amounts = "string", timeout = -1 })
      assert.equal(5000.25,
        fixture.succeeded(client:balance "USD").available_balance)
    end)
  end)

  describe("that are unknown", function()
    local client
    before_each(function() client = fixture.client() end)
    after_each(function() client:close() end)

    local methods = {
      new = function(name) return uqpay.new(changed(name, 1)) end,
      balance = function(name) return client:balance { currency = "USD", [name] = 1 } end,
    }

    local function unknown(method, name)
      local message = refusal(name, methods[method], name)
      assert.matches("unknown option '", message, 1, true)
      assert.matches("to '" .. method .. "'", message, 1, true)
      return message
    end

    for method in pairs(methods) do
      it("get the nearest name in the message, by " .. method, function()
        each_option(method, function(name)
          local middle = math.floor(#name / 2)
          for _, typo in ipairs {
            name .. "s", name:sub(1, -2), name:sub(2), (name:gsub("^.", string.upper)),
            name:sub(1, middle) .. name:sub(middle + 2),
          } do
            assert.matches("(did you mean '" .. name .. "'?)", unknown(method, typo), 1,
              true)
          end
        end)
        nothing_was_sent(client)
      end)

      it("get no name in the message when none is near, by " .. method, function()
        for _, name in ipairs { "zzzzzzzzzzzz", "", ("x"):rep(100000) } do
          assert.is_nil(unknown(method, name):find "did you mean")
        end
        nothing_was_sent(client)
      end)

      it("are quoted short and without control bytes, by " .. method, function()
        unknown(method, "\r\nevil\27[0m\0")
        assert.is_true(#unknown(method, ("long"):rep(1000)) < 200)
      end)

      it("include known ones with a trailing NUL, by " .. method, function()
        unknown(method, "timeout\0")
        unknown(method, "currency\0x")
      end)

      it("include keys that are no names, by " .. method, function()
        for _, key in ipairs { 1, 1.5, true, print, {} } do
          local message = refusal("key " .. tostring(key), methods[method], key)
          assert.matches("names expected", message, 1, true)
          assert.matches("'" .. method .. "'", message, 1, true)
        end
        nothing_was_sent(client)
      end)
    end

    it("include those of the other one", function()
      for method, other in pairs { new = "balance", balance = "new" } do
        each_option(method, function(name, row)
          if row.at ~= method then return end
          local meant = unknown(other, name):match "did you mean '(.*)'"
          local at = meant and options[meant].at or other
          assert.is_true(at == other or at == "both", meant)
        end)
      end
      nothing_was_sent(client)
    end)
  end)

  describe("that do not go together are refused:", function()
    local function conflict(name, all)
      names(refusal(name, uqpay.new, all), name, "new", name)
      nothing_was_sent()
    end

    it("environment and base_url", function()
      conflict("base_url", fixture.options { environment = "sandbox" })
      conflict("base_url", fixture.options { environment = "production" })
    end)

    it("a proxy and a base_url that is not encrypted, however it is spelled", function()
      for _, scheme in ipairs { "http://", "HTTP://", "Http://" } do
        conflict("proxy", fixture.options {
          base_url = scheme .. "127.0.0.1:9/api", proxy = "http://127.0.0.1:9",
        })
      end
    end)

    it("retry_delay above retry_delay_max", function()
      conflict("retry_delay_max",
        fixture.options { retry_delay = 2, retry_delay_max = 1 })
      local client = fixture.client()
      names(refusal("retry_delay_max", client.balance, client,
        { currency = "USD", retry_delay = 2, retry_delay_max = 1 }),
        "retry_delay_max", "balance", "a call's own")
      nothing_was_sent(client)
    end)

    it("no token", function()
      conflict("token", fixture.options { token = false })
    end)
  end)

  describe("and arguments", function()
    local client
    before_each(function() client = fixture.client() end)
    after_each(function() client:close() end)

    it("of new: one table, nothing else", function()
      for _, bad in ipairs { "x", 5, true, print, io.stdout } do
        assert.matches("table expected", refusal("new", uqpay.new, bad), 1, true)
      end
      assert.matches("table expected", refusal("new", uqpay.new), 1, true)
      assert.matches("table expected", refusal("new", uqpay.new, nil), 1, true)
    end)

    it("of balance: a currency of a wrong type raises, of a wrong form fails", function()
      for _, bad in ipairs(options.currency.bad) do
        names(failure(show(bad), client.balance, client, bad), "currency", "balance",
          show(bad))
      end
      for kind, sample in pairs(samples) do
        if kind ~= "string" and kind ~= "table" then
          local message = refusal(kind, function() client:balance(sample) end)
          assert.matches("bad argument #1 to 'balance'.*currency.*got " .. kind,
            message)
        end
      end
      nothing_was_sent(client)
    end)

    it("of balance: no currency at all is refused", function()
      for _, arguments in ipairs { {}, { {} }, { { timeout = 5 } } } do
        local message = refusal("none", client.balance, client, arguments[1])
        assert.matches("currency", message, 1, true)
      end
      assert.matches("currency", refusal("none", client.balance, client), 1, true)
      nothing_was_sent(client)
    end)

    it("of balance: an explicit nil is refused, also with a client's currency", function()
      local dollars = fixture.client { currency = "USD" }
      for _, one in ipairs { client, dollars } do
        local settings = {}
        for _, message in ipairs {
          refusal("nil", function() one:balance(settings.currency) end),
          refusal("nil", function() one:balance(nil, { timeout = 5 }) end),
        } do
          assert.matches("bad argument #1 to 'balance'.*currency.*got nil", message)
        end
      end
      nothing_was_sent(client)
      nothing_was_sent(dollars)
    end)

    it("of balance: options of a wrong type are refused", function()
      for kind, sample in pairs(samples) do
        if kind ~= "table" then
          local message = refusal(kind, function() client:balance("USD", sample) end)
          assert.matches("bad argument #2 to 'balance'.*table expected", message)
        end
      end
      nothing_was_sent(client)
    end)

    it("of balance: nothing that would be dropped is taken", function()
      local behalf = { on_behalf_of = sandbox.sub_account }
      refusal("two tables", client.balance, client, { currency = "USD" }, behalf)
      refusal("options twice", client.balance, client, "USD", {}, behalf)
      refusal("options third", client.balance, client, "USD", nil, behalf)
      nothing_was_sent(client)
    end)

    it("of balance: no client is refused", function()
      for _, bad in ipairs { {}, "client", io.stdout, 5 } do
        refusal("self", client.balance, bad, "USD")
      end
      refusal("self", client.balance)
      nothing_was_sent(client)
    end)

    it("that are unset variables are reported as nil", function()
      local settings = {}
      for _, case in ipairs {
        { "option 'token'", uqpay.new, { token = settings.token } },
        { "option 'api_key'", uqpay.new, { client_id = "me", api_key = settings.key } },
        { "option 'client_id'", uqpay.new, { client_id = settings.id, api_key = "key" } },
        { "(currency: string or table", client.balance, client, nil },
        { "argument 'currency' to 'balance'", client.balance, client,
          { currency = settings.currency, timeout = 5 } },
        { "(list or iterator function", client.batch, client, nil },
        { "(amount, ", uqpay.amount, nil }, { "(string", uqpay.parse_time, nil },
      } do
        local message = select(2, pcall(case[2], case[3], case[4]))
        assert.matches(case[1], message, 1, true)
        assert.matches("got nil", message, 1, true)
      end
    end)

    it("that are empty strings are reported as such", function()
      each_option("new", function(name, row)
        if not row.types:find "string" or name == "proxy" then return end
        assert.matches("got an empty string", refusal(name, uqpay.new, changed(name, "")),
          1, true)
      end)
      for _, name in ipairs { "client_id", "api_key" } do
        local all = { client_id = "me", api_key = "a-key-of-mine" }
        all[name] = ""
        names(refusal(name, uqpay.new, all), name, "new", name)
        assert.matches("got an empty string", refusal(name, uqpay.new, all), 1, true)
      end
      for _, name in ipairs { "name", "version", "url" } do
        local app = { name = "shop", [name] = "" }
        assert.matches("'app_info." .. name .. "' to 'new' .*, got an empty string",
          refusal(name, uqpay.new, changed("app_info", app)))
      end
      for _, argument in ipairs { "", { currency = "" } } do
        assert.matches("got an empty string", failure("currency", client.balance, client,
          argument), 1, true)
      end
      assert.matches("got an empty string",
        refusal("file_store", uqpay.file_store, ""), 1, true)
    end)
  end)

  describe("put no secret into a message:", function()
    local secret = "s3cr3t-0123456789-abcdefghijklmnopqrstuvwxyz"

    local function bears_none(message)
      for at = 1, #secret - 7 do
        assert.is_nil(message:find(secret:sub(at, at + 7), 1, true), message)
      end
    end

    it("a token that is refused", function()
      for _, bad in ipairs {
        secret .. " ", secret .. "\n", secret .. "\0", secret .. "\255", " " .. secret,
        secret:rep(200), "Bearer " .. secret .. "\r", "Bearer  " .. secret,
      } do
        bears_none(refusal("token", uqpay.new, changed("token", bad)))
      end
    end)

    it("a good token beside options that are rejected", function()
      each_option("new", function(name, row)
        if name == "token" then return end
        for _, bad in ipairs(row.bad) do
          local all = changed(name, bad)
          all.token = secret
          local ok, message = pcall(uqpay.new, all)
          if not ok then bears_none(message) end
        end
      end)
    end)

    it("a token in the wrong place", function()
      each_option("new", function(name, row)
        if row.types == "string" then
          bears_none(refusal(name, uqpay.new, changed(name, secret .. "\n")))
        end
      end)
      local client = fixture.client()
      bears_none(failure("argument", client.balance, client, secret))
      bears_none(failure("key", client.balance, client,
        { currency = "USD", idempotency_key = secret }))
      bears_none(refusal("bare", uqpay.new, { secret }))
      nothing_was_sent(client)
    end)

    it("a password in base_url", function()
      bears_none(refusal("base_url", uqpay.new,
        changed("base_url", "https://me:" .. secret .. "@127.0.0.1/api")))
    end)

    it("a password in proxy", function()
      local client = fixture.client { max_retries = 0,
        proxy = "http://me:" .. secret .. "@127.0.0.1:1" }
      local err = fixture.failed("connect", client:balance "USD")
      for _, value in pairs(err) do bears_none(tostring(value)) end
      nothing_was_sent()
    end)
  end)

  describe("do what they say:", function()
    -- A client whose call ends before anything is sent, and where it would have gone. The
    -- dead proxy is a second lock: no spec may reach another host.
    local function destination(changes)
      local client, url
      changes.base_url, changes.proxy = false, "http://127.0.0.1:1"
      changes.on_request = function(info)
        url = info.url
        client:close()
      end
      client = fixture.client(changes)
      fixture.failed("canceled", client:balance "USD")
      return url
    end

    it("environment chooses the API, sandbox being the default", function()
      local test = "https://api-sandbox.uqpaytech.com/api/v1/issuing/balances"
      assert.equal(test, destination {})
      assert.equal(test, destination { environment = "sandbox" })
      assert.equal("https://api.uqpay.com/api/v1/issuing/balances",
        destination { environment = "production" })
    end)

    it("base_url may end in slashes, or none", function()
      for _, url in ipairs {
        sandbox.url, sandbox.url .. "/", sandbox.url .. "///", sandbox.http_url,
        (sandbox.http_url:gsub("^http", "HTTP")),
      } do
        fixture.succeeded(fixture.client { base_url = url }:balance "USD")
        assert.equal("/api/v1/issuing/balances", sent().path)
      end
    end)

    it("token gets its Bearer, once", function()
      for _, prefix in ipairs { "", "Bearer ", "bearer " } do
        local client = fixture.client { token = prefix .. sandbox.token }
        fixture.succeeded(client:balance "USD")
        assert.equal("Bearer " .. sandbox.token, sent().headers["x-auth-token"])
      end
    end)

    it("token may be a function", function()
      local reasons = {}
      local client = fixture.client { token = function(...)
        reasons[#reasons + 1] = { ... }
        return sandbox.token
      end }
      fixture.succeeded(client:balance "USD")
      assert.same({ { "new" } }, reasons)
    end)

    it("token may have 8192 bytes", function()
      local token = sandbox.new_token { token = ("t"):rep(8192) }
      fixture.succeeded(fixture.client { token = token }:balance "USD")
    end)

    it("on_behalf_of goes with every call, a call's own before it, unchanged", function()
      local client = fixture.client { on_behalf_of = sandbox.sub_account }
      client:balance "USD"
      assert.equal(sandbox.sub_account, sent().headers["x-on-behalf-of"])
      for _, id in ipairs(uuids) do
        client:balance("USD", { on_behalf_of = id })
        assert.equal(id, sent().headers["x-on-behalf-of"])
      end
      client:balance "USD"
      assert.equal(sandbox.sub_account, sent().headers["x-on-behalf-of"])
    end)

    it("currency is the client's, a call's own before it", function()
      local client = fixture.client { currency = "SGD" }
      local function currency(...)
        return fixture.succeeded(client:balance(...)).currency
      end
      assert.equal("SGD", currency())
      assert.equal("USD", currency "USD")
      assert.equal("XUSD", currency { currency = "XUSD" })
      assert.equal("SGD", currency {})
      assert.equal("SGD", currency { timeout = 5 })
    end)

    it("idempotency_key is sent unchanged", function()
      local client = fixture.client()
      for n, any in ipairs(uuids) do
        local key = any:sub(1, -2) .. n
        fixture.succeeded(client:balance("USD", { idempotency_key = key }))
        assert.equal(key, sent().headers["x-idempotency-key"])
      end
    end)

    it("a key is rejected the second time, whatever its case; nothing is sent", function()
      local client = fixture.client()
      fixture.succeeded(client:balance("USD", { idempotency_key = uuid }))
      for _, key in ipairs { uuid, uuid:upper() } do
        local err = fixture.failed("idempotency",
          client:balance("USD", { idempotency_key = key, allow_key_reuse = false }))
        assert.equal(0, err.attempts)
        assert.is_false(err.retryable)
        assert.equal(key, err.idempotency_key)
      end
      assert.equal(1, #sandbox.requests())
    end)

    it("a key is refused as long as it is one of the last 32", function()
      local client = fixture.client()
      local function try(n)
        local key = ("00000000-0000-4000-8000-%012x"):format(n)
        return client:balance("USD", { idempotency_key = key })
      end
      for n = 1, 32 do fixture.succeeded(try(n)) end
      fixture.failed("idempotency", try(1))
      fixture.failed("idempotency", try(32))
      fixture.succeeded(try(33))
      fixture.succeeded(try(1))
      fixture.failed("idempotency", try(33))
    end)

    it("allow_key_reuse asks for the stored answer", function()
      local client = fixture.client()
      fixture.succeeded(client:balance("USD", { idempotency_key = uuid }))
      sandbox.balance { currency = "USD", available_balance = "1" }
      local again = { idempotency_key = uuid, allow_key_reuse = true }
      local stored = fixture.succeeded(client:balance("USD", again))
      assert.equal(5000.25, stored.available_balance)
      assert.equal(1, fixture.succeeded(client:balance "USD").available_balance)
    end)

    it("timeout ends a call, the client's or the call's own", function()
      for _, case in ipairs { { { timeout = 0.06 } }, { {}, { timeout = 0.06 } } } do
        sandbox.fault { kind = "hang" }
        local client = fixture.client(case[1])
        local err = fixture.failed("timeout", client:balance("USD", case[2]))
        assert.is_true(err.elapsed >= 0.06 and err.elapsed < 20, err.elapsed)
      end
    end)

    it("max_retries bounds the attempts, the client's or the call's own", function()
      for _, case in ipairs {
        { {}, {}, 3 }, { { max_retries = 0 }, {}, 1 }, { { max_retries = 1 }, {}, 2 },
        { { max_retries = 1 }, { max_retries = 4 }, 5 }, { {}, { max_retries = 0 }, 1 },
      } do
        sandbox.reset()
        sandbox.fault { kind = "status", status = 503, times = 20, store = false }
        local client = fixture.client(case[1])
        local err = fixture.failed("api", client:balance("USD", case[2]))
        assert.equal(case[3], err.attempts)
        assert.equal("max_retries", err.retry_stopped)
        assert.equal(case[3], #sandbox.requests())
      end
    end)

    -- How many calls may begin at once. None gets beyond the token function.
    local function burst(changes)
      changes.token = function() return nil, "none today" end
      local client = fixture.client(changes)
      for n = 1, 50 do
        local _, _, err = client:balance("USD", { timeout = 0.02 })
        if err.kind == "rate_limit" then return n - 1, err end
        assert.equal("auth", err.kind)
      end
      return nil
    end

    it("rate_limit bounds the calls a minute, a fiftieth of them at once", function()
      for limit, least in pairs { [1] = 1, [99] = 1, [300] = 6, [500] = 10 } do
        local count, err = burst { rate_limit = limit }
        assert.is_true(count >= least and count <= least + 2, limit .. ": " .. count)
        assert.equal("deadline", err.retry_stopped)
        assert.is_true(err.retryable)
        assert.equal(0, err.attempts)
        -- a fiftieth at once, the others spread over the minute
        local interval = 60 / (limit - least + 1)
        assert.is_true(err.retry_after > 0.02, err.retry_after)
        assert.is_true(err.retry_after <= interval * 1.1, err.retry_after)
      end
      assert.is_nil(burst { rate_limit = 0 })
      assert.is_nil(burst { rate_limit = 1000000 })
    end)

    it("rate_limit is the environment's by default, none with base_url", function()
      local proxy = "http://127.0.0.1:1"
      local test = burst { base_url = false, proxy = proxy }
      local production = burst {
        base_url = false, proxy = proxy, environment = "production",
      }
      assert.is_true(test >= 10 and test <= 12, test)
      assert.is_true(production >= 6 and production <= 8, production)
      assert.is_nil(burst { base_url = false, proxy = proxy, rate_limit = 0 })
      assert.is_nil(burst {})
    end)

    it("queued lets a call wait for the rate limit longer than its timeout", function()
      local token
      local client = fixture.client {
        rate_limit = 60, token = function() return token end,
      }
      fixture.failed("auth", client:balance "USD")      -- takes the first turn
      token = sandbox.token
      local refused = fixture.failed("rate_limit",
        client:balance("USD", { timeout = 0.5 }))
      assert.equal(0, refused.attempts)
      local balance, _, err = client:balance("USD", { timeout = 0.5, queued = true })
      assert.is_true(balance ~= nil or err.kind == "timeout")   -- on a slow machine
      assert.equal(1, client:stats().attempts)
    end)

    -- The waits before the retries of a call that fails each time.
    local function waits(changes, call)
      local list = {}
      changes.on_retry = function(info) list[#list + 1] = info.wait end
      changes.max_retries = 4
      sandbox.fault { kind = "status", status = 503, times = 5, store = false }
      fixture.failed("api", fixture.client(changes):balance("USD", call))
      assert.equal(4, #list)
      return list
    end

    local function within(list, delays_of)
      for n, wait in ipairs(list) do
        local most = delays_of[n]
        assert.is_true(wait >= most / 2 and wait <= most, n .. ": " .. wait)
      end
    end

    it("retry_delay doubles up to retry_delay_max, half of it by chance", function()
      within(waits { retry_delay = 0.004, retry_delay_max = 0.012 },
        { 0.004, 0.008, 0.012, 0.012 })
      within(waits({}, { retry_delay = 0.004, retry_delay_max = 0.012 }),
        { 0.004, 0.008, 0.012, 0.012 })
      within(waits { retry_delay = 0 }, { 0, 0, 0, 0 })
    end)

    it("retry_delay without retry_delay_max raises that, too", function()
      within(waits({}, { retry_delay = 0.03 }), { 0.03, 0.03, 0.03, 0.03 })
    end)

    it("max_response_bytes bounds the body, the client's or the call's own", function()
      local function answer(bytes)
        local body = fixture.body(1)
        sandbox.fault { kind = "answer", body = body .. (" "):rep(bytes - #body) }
      end
      local small = fixture.client { max_response_bytes = 1024 }
      answer(1024)
      fixture.succeeded(small:balance "USD")
      answer(1025)
      fixture.failed("too_large", small:balance "USD")
      answer(1025)
      fixture.succeeded(small:balance("USD", { max_response_bytes = 1025 }))
      answer(2000)
      fixture.failed("too_large", fixture.client():balance("USD",
        { max_response_bytes = 1999 }))
    end)

    it("amounts chooses their form, the client's or the call's own", function()
      local function available(client, ...)
        return fixture.succeeded(client:balance(...)).available_balance
      end
      local numbers, strings = fixture.client(), fixture.client { amounts = "string" }
      assert.equal(10000, available(numbers, "SGD"))
      assert.equal("10000.00", available(strings, "SGD"))
      assert.equal("10000.00", available(numbers, "SGD", { amounts = "string" }))
      assert.equal(10000, available(strings, "SGD", { amounts = "number" }))
      local exact = available(strings, "SGD", { amounts = "exact" })
      assert.equal("userdata", type(exact))
      assert.equal("10000.00", tostring(exact))
      assert.equal(10000, available(numbers, "SGD"))
    end)

    it("http_version chooses the protocol", function()
      for version, spoken in pairs { auto = "1.1", ["1.1"] = "1.1", ["2"] = "2" } do
        fixture.succeeded(fixture.client { http_version = version }:balance "USD")
        assert.equal(spoken, sent().http)
      end
    end)

    it("app_info follows our own name in User-Agent", function()
      local own = "lua-uqpay/" .. uqpay._VERSION
      for text, app in pairs {
        [""] = false, [" shop"] = { name = "shop" },
        [" shop/1.5"] = { name = "shop", version = "1.5" },
        [" shop (https://a.example)"] = { name = "shop", url = "https://a.example" },
        [" shop/1.5 (https://a.example)"] =
          { name = "shop", version = "1.5", url = "https://a.example" },
      } do
        fixture.succeeded(fixture.client { app_info = app }:balance "USD")
        assert.equal(own .. text, sent().headers["user-agent"])
      end
    end)

    it("ca_file holds the only CAs to trust", function()
      local other = sandbox.ca_file:gsub("ca.pem$", "self-signed.pem")
      local err = fixture.failed("tls", fixture.client { ca_file = other }:balance "USD")
      assert.matches(other, err.message, 1, true)
      fixture.failed("tls", fixture.client { ca_file = false }:balance "USD")
      nothing_was_sent()
    end)

    it("ca_path names a directory of them", function()
      local dir = driver.directory "authorities"
      driver.output(("ca=%s; cp $ca %s/$(openssl x509 -hash -noout -in $ca).0"):format(
        driver.quote(sandbox.ca_file), driver.quote(dir)))
      local client = fixture.client { ca_file = false, ca_path = dir }
      fixture.succeeded(client:balance "USD")
      client:close()
      os.execute("rm -f " .. driver.quote(dir) .. "/*")
      client = fixture.client { ca_file = false, ca_path = dir }
      local err = fixture.failed("tls", client:balance "USD")
      assert.matches(dir, err.message, 1, true)
      os.execute(driver.command("rm", "-rf", dir))
    end)

    it("pinned_public_key lets one key pass, and no other", function()
      local certificate = sandbox.ca_file:gsub("ca.pem$", "server.pem")
      local hash = driver.output("openssl x509 -pubkey -noout -in "
        .. driver.quote(certificate)
        .. " | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary"
        .. " | openssl base64"):match "%S+"
      local right = "sha256//" .. hash
      for _, good in ipairs { right, pin .. ";" .. right } do
        fixture.succeeded(fixture.client { pinned_public_key = good }:balance "USD")
      end
      sandbox.reset()
      fixture.failed("tls", fixture.client { pinned_public_key = pin }:balance "USD")
      nothing_was_sent()
    end)

    it("proxy is asked for a tunnel, and never shown a secret", function()
      local server = faulty.start {
        { read = true, send = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n" },
      }
      local client = fixture.client { proxy = server.url, max_retries = 0 }
      fixture.failed("connect", client:balance "USD")
      local seen = table.concat(server:requests())
      server:stop()
      assert.matches("^CONNECT 127%.0%.0%.1:%d+ HTTP/1%.1\r\n", seen)
      assert.is_nil(seen:find(sandbox.token:sub(1, 20), 1, true))
      assert.is_nil(seen:lower():find("x-", 1, true))
      nothing_was_sent()
    end)

    it("proxy may be turned off", function()
      fixture.succeeded(fixture.client { proxy = "" }:balance "USD")
    end)

    -- The bytes that a proxy of the environment sees of a call.
    local function environment_proxy_sees(base_url)
      local server = faulty.start {
        { read = true, send = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n" },
      }
      local code = ([[
        package.cpath = %q
        local client = require "uqpay".new {
          base_url = %q, token = "a-token-for-nobody", max_retries = 0 }
        print(select(3, client:balance "USD").status)]]):format(package.cpath, base_url)
      local told = driver.output(("env -u no_proxy -u NO_PROXY http_proxy=%s %s -e %s")
        :format(server.url, driver.quote(os.getenv "UQPAY_LUA"), driver.quote(code)))
      local seen = table.concat(server:requests())
      server:stop()
      return seen, told
    end

    it("base_url without encryption goes past a proxy of the environment", function()
      for _, url in ipairs {
        sandbox.http_url, (sandbox.http_url:gsub("^http", "HTTP")),
      } do
        local seen, told = environment_proxy_sees(url)
        assert.equal("", seen)
        assert.matches("401", told, 1, true) -- the sandbox, which knows no such token
      end
    end)

    it("the table given to new may change afterwards, and be collected", function()
      local all = fixture.options { currency = "SGD", on_behalf_of = sandbox.sub_account }
      for _, name in ipairs { "base_url", "token", "ca_file", "on_behalf_of" } do
        all[name] = (all[name]:gsub(".", "%0")) -- a copy that nothing else holds
      end
      local client = uqpay.new(all)
      for name in pairs(all) do all[name] = nil end
      collectgarbage()
      collectgarbage()
      assert.equal(222.2, fixture.succeeded(client:balance()).available_balance)
    end)

    it("the table given to a call is not changed", function()
      local given = { currency = "USD", timeout = 5, amounts = "string" }
      fixture.succeeded(fixture.client():balance(given))
      assert.same({ currency = "USD", timeout = 5, amounts = "string" }, given)
    end)
  end)
end)
