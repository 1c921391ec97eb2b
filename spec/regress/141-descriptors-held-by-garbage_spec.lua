-- A program that leaves clients, call objects and batches to the collector ran out of
-- descriptors with all of them held by garbage, and its calls failed with "Couldn't
-- connect to server" and no errno. Now garbage is collected once when they run out, and
-- if that fails, the error says so.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"
local scarcity = require "spec.support.scarcity"

-- So much memory that the collector does not run by itself until then.
local prelude = scarcity.code .. [[
  local ballast = {}
  for i = 1, 100000 do ballast[i] = { i } end
  collectgarbage()
  collectgarbage "stop"
  local function garbage(finalize)
    if newproxy then
      getmetatable(newproxy(true)).__gc = finalize
    else
      setmetatable({}, { __gc = finalize })
    end
  end
  local function named(err, kind)
    assert(kind == nil or err.kind == kind, err.message)
    assert(err.message:find("Too many open files", 1, true), err.message)
    same(24, err.os_errno)
    same(true, err.retryable)
  end
]]

local function run(code) child.run(prelude .. code, nil, scarcity.before) end

describe("descriptors that garbage holds", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for what, address in pairs {
    ["over TLS"] = "sandbox.url", ["in clear"] = "sandbox.http_url",
    ["to a name"] = "sandbox.url:gsub('127.0.0.1', 'localhost')",
  } do
    it("are had back for a client a call, " .. what, function()
      run(([[
        local address = %s
        for n = 1, 100 do
          local _, message, err = uqpay.new(options { base_url = address, max_retries = 0,
            token = sandbox.token, client_id = false, api_key = false }):balance "USD"
          if err then error(n .. ": " .. message) end
        end
      ]]):format(address))
    end)
  end

  it("are had back for logins", function()
    run [[
      for _ = 1, 60 do assert(uqpay.new(options { max_retries = 0 }):balance "USD") end
    ]]
  end)

  it("are had back for calls in flight that were dropped", function()
    sandbox.fault { kind = "delay", seconds = 5, times = 40,
      match = { ["x-on-behalf-of"] = sandbox.sub_account } }
    run [[
      local c = uqpay.new(options { http_version = "1.1", max_retries = 0 })
      assert(c:balance "USD")
      for _ = 1, 40 do
        c:start_balance { currency = "USD", on_behalf_of = sandbox.sub_account }
        c:step()
      end
      local balance, message, err = c:balance "USD"
      assert(balance, message)
      assert(uqpay.new(options()):balance "USD")
    ]]
  end)

  it("are had back for batches that were left, and for lists", function()
    run [[
      local function leave_early()
        local c = uqpay.new(options { http_version = "1.1", max_retries = 0 })
        local next_balance = c:batch { "USD", "SGD", "USD", "SGD" }
        local query, balance, message = next_balance()
        assert(query and balance, message)
        assert(c:transactions())
      end
      for _ = 1, 30 do leave_early() end
    ]]
  end)

  it("are had back for a program that waits on a client's", function()
    run [[
      if uqpay.info().poller == "poll" then return end     -- it never has one
      for _ = 1, 60 do assert(uqpay.new(options()):pollfd()) end
      local c = uqpay.new(options())
      for _ = 1, 60 do assert(uqpay.new(options()):start_balance("USD"):pollfd()) end
      for _ = 1, 60 do assert(uqpay.new(options()):start_balance("USD"):getfd() >= 0) end
    ]]
  end)

  it("are had back for a token store in a file", function()
    run [[
      local path = os.tmpname()
      os.remove(path)
      local store = uqpay.file_store(path)
      assert(store:set("key", "token"))
      for name, use in pairs {
        set = function() return store:set("key", "token") end,
        get = function() return store:get "key" end,
        lock = function() return store:lock "key" end,
      } do
        local files = {}
        leave(0)
        same(nil, (use()))
        assert(select(2, use()):find("Too many open files", 1, true), name)
        for n = 1, 8 do files[n] = table.remove(fillers) end
        files = nil -- luacheck: ignore
        assert(use(), name)
        free()
      end
      os.remove(path)
      os.remove(path .. ".lock")
    ]]
  end)

  it("cost no retry, and the attempt is one to the hooks", function()
    run [[
      local clients = {}
      while spare() >= 12 do
        local c = uqpay.new(options())
        assert(c:balance "USD")
        clients[#clients + 1] = c
      end
      local requests, retries = 0, 0
      local c = uqpay.new(options { max_retries = 0, token = sandbox.token,
        client_id = false, api_key = false,
        on_request = function() requests = requests + 1 end,
        on_retry = function() retries = retries + 1 end })
      leave(0)
      clients = nil
      local key = uqpay.uuid()
      assert(c:balance("USD", { idempotency_key = key }))
      same(1, requests)
      same(0, retries)
      same(1, c:stats().attempts)
      same(0, c:stats().retries)
      same(key, sandbox.requests "balance"[#sandbox.requests "balance"]
        .headers["x-idempotency-key"])
    ]]
  end)

  it("are reported if none can be freed: poller, connection, look-up, login", function()
    run [[
      local token = { token = sandbox.token, client_id = false, api_key = false,
        max_retries = 0 }
      local function fails(n, changes)
        for name, value in pairs(token) do
          if changes[name] == nil then changes[name] = value end
        end
        local c = uqpay.new(options(changes))
        if uqpay.info().poller ~= "poll" then
          leave(0)
          local _, _, err = c:balance "USD"
          named(err, "connect")
          assert(err.attempts <= 1)
        end
        leave(n)
        local _, _, err = c:balance "USD"
        free()
        assert(c:balance "USD")
        c:close()
        return err
      end
      local own = uqpay.info().poller == "poll" and 0 or 1
      named(fails(own, {}), "connect")
      named(fails(own, { base_url = sandbox.url }), "connect")
      named(fails(own, { base_url = sandbox.http_url:gsub("127.0.0.1", "localhost") }))
      local err = fails(own, { token = false, client_id = sandbox.client_id,
        api_key = sandbox.api_key })
      named(err, "connect")
      assert(err.message:find("^login failed: "))
    ]]
  end)

  it("are not searched for again and again where there are none", function()
    run [[
      local c = uqpay.new(options { token = sandbox.token, client_id = false,
        api_key = false, max_retries = 0 })
      assert(c:balance "USD")
      c:close()
      local d = uqpay.new(options { token = sandbox.token, client_id = false,
        api_key = false, max_retries = 0 })
      local collections = 0
      local function count()
        garbage(function()
          collections = collections + 1
          count()
        end)
      end
      count()
      leave(0)
      local began = clock()
      repeat
        local _, _, err = d:balance "USD"
        named(err)
        assert(collections > 0)
      until collections > 3 or clock() - began > 0.5
      assert(collections <= 3, collections)
    ]]
  end)

  it("may be given back by a finalizer that closes the client, or fails", function()
    run [[
      local changes = { token = sandbox.token, client_id = false, api_key = false,
        max_retries = 0 }
      local c = uqpay.new(options(changes))
      leave(0)
      garbage(function() c:close() end)
      local _, _, err = c:balance "USD"
      same("closed", err.retry_stopped)
      free()
      c = uqpay.new(options(changes))
      leave(0)
      garbage(function() free() error "a finalizer fails" end)
      for _ = 1, 3 do garbage(function() error "a finalizer fails" end) end
      local balance, message = c:balance "USD"
      assert(balance, message)
      free()
      assert(c:balance "USD")
      leave(0)
      garbage(function()
        free()
        assert(uqpay.new(options(changes)):balance "SGD")
        assert(c:balance "SGD")
      end)
      assert(c:balance "USD")
    ]]
  end)
end)
