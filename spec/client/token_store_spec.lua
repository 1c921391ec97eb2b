-- Token stores: one token for several clients and processes, for any kind of store.

local child = require "spec.support.child"
local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local styles = require "spec.support.styles"
local uqpay = require "uqpay"

local failed, succeeded = fixture.failed, fixture.succeeded
local unpack = table.unpack or unpack

-- A store in a table that logs its calls. instead: functions that replace its own, by
-- name; `false` removes one.
local function new_store(instead)
  local store = { log = {}, held = false, keys = {} }
  local own = {
    get = function() return store.token, store.ends end,
    set = function(_, _, token, ends) store.token, store.ends = token, ends end,
    lock = function()
      if store.held then return false end
      store.held = true
      return true
    end,
    unlock = function() store.held = false end,
  }
  for name, f in pairs(instead or {}) do own[name] = f or nil end
  for name, f in pairs(own) do
    store[name] = function(self, key, ...)
      store.log[#store.log + 1] = name
      store.keys[key] = true
      return f(self, key, ...)
    end
  end
  -- the names of the functions that were called since the last logged()
  function store.logged()
    local text = table.concat(store.log, " ")
    store.log = {}
    return text
  end
  -- how often a function was called
  function store.count(name)
    local n = 0
    for _, one in ipairs(store.log) do if one == name then n = n + 1 end end
    return n
  end
  return store
end

local function options(store, changes)
  local all = { token = false, client_id = sandbox.client_id, api_key = sandbox.api_key,
    token_store = store, base_url = sandbox.http_url }
  for name, value in pairs(changes or {}) do all[name] = value end
  return fixture.options(all)
end

local function client(store, changes)
  return uqpay.new(options(store, changes))
end

local function times(n)
  local list = {}
  for i = 1, n do list[i] = { "balance", "USD" } end
  return list
end

local function good(results)
  for _, result in ipairs(results) do succeeded(unpack(result, 1, result.n)) end
end

local function login_failed(kind, ...)
  local err = failed(kind, ...)
  assert.matches("^login failed: ", err.message)
  return err
end

local function count(endpoint)
  return sandbox.counts().endpoints[endpoint] or 0
end

local function wait_until(condition, step)
  local ends = socket.gettime() + 60
  while not condition() do
    assert.is_true(socket.gettime() < ends, "timed out")
    if step then step() else socket.sleep(0.005) end
  end
end

local function in_seconds(seconds) return os.time() + seconds end

describe("a token store", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, style in ipairs(styles) do
    it("is read before a login and written after it, " .. style.name, function()
      local store = new_store()
      local one = style.new(options(store))
      assert.equal("", store.logged())
      good(style.all(one, times(5)))
      assert.equal("get lock get set unlock", store.logged())
      local minted = sandbox.mints()[1].minted
      assert.equal(minted, store.token)
      assert.is_true(math.abs(store.ends - in_seconds(1800)) < 60)
      good(style.all(one, times(5)))
      assert.equal("", store.logged())

      local two = style.new(options(store))
      good(style.all(two, times(5)))
      assert.equal("get", store.logged())
      assert.equal(1, count "token")
      assert.equal(0, two:stats().logins)
      assert.equal(minted, style.all(two, { { "token" } })[1][1])
    end)

    it("may have no lock, " .. style.name, function()
      local store = new_store { lock = false, unlock = false }
      good(style.all(style.new(options(store)), times(3)))
      good(style.all(style.new(options(store)), times(3)))
      assert.equal("get set get", store.logged())
      assert.equal(1, count "token")
    end)

    it("does not give a refused token twice, " .. style.name, function()
      for _, before in ipairs { "", "Bearer " } do
        for _, ends in ipairs { 1000, false } do
          sandbox.reset()
          local store = new_store()
          store.token = before .. sandbox.expired_token
          store.ends = ends and in_seconds(ends) or nil
          local c = style.new(options(store))
          good(style.all(c, times(1)))
          good(style.all(c, times(3)))
          assert.equal("get get lock get set unlock", store.logged())
          assert.same({ token = 1, balance = 5 }, sandbox.counts().endpoints)
          assert.equal(sandbox.mints()[1].minted, store.token)
        end
      end
    end)

    it("returns a newer token that has revoked the client's, " .. style.name, function()
      sandbox.settings { single_token = true }
      local store = new_store()
      local one, two = style.new(options(store)), style.new(options(store))
      good(style.all(one, times(2)))
      good(style.all(two, times(2)))
      one:invalidate_token()
      good(style.all(one, times(2)))
      assert.equal(2, count "token")
      good(style.all(two, times(5))) -- each after one resend
      assert.equal(2, count "token")
      assert.is_true(count "balance" <= 6 + 10)
    end)
  end

  it("is refused by uqpay.new if it is not a store", function()
    for what, changes in pairs {
      ["client_id and api_key expected with it"] = { token = "t", client_id = false,
        api_key = false },
      ["table or userdata expected, got string"] = { token_store = "/tmp/tokens" },
      ["table or userdata expected, got number"] = { token_store = 1 },
      ["methods get and set, and lock and unlock or neither, expected"] =
        { token_store = { get = print } },
      ["methods lock and unlock, or neither, expected"] =
        { token_store = { get = print, set = print, lock = print } },
    } do
      local ok, message = pcall(client, new_store(), changes)
      assert.is_false(ok)
      assert.matches("bad option 'token_store' to 'new' (" .. what, message, 1, true)
    end
  end)

  it("is called with a key of address and client, without a secret", function()
    local store = new_store()
    succeeded(client(store):balance "USD")
    succeeded(client(store, { base_url = sandbox.http_url .. "/" }):balance "USD")
    assert.same({ [sandbox.http_url .. " " .. sandbox.client_id] = true }, store.keys)
    store.keys = {}
    store.token = nil
    local c = client(store, { client_id = sandbox.other_client_id,
      api_key = sandbox.other_api_key, on_behalf_of = sandbox.sub_account })
    c:token()
    local key = sandbox.http_url .. " " .. sandbox.other_client_id
    assert.same({ [key] = true }, store.keys)
  end)

  it("gets the bare token, and a whole number", function()
    sandbox.settings { token_form = "bearer" }
    local store = new_store { set = function(_, key, token, ends, more)
      assert(type(key) == "string" and more == nil)
      assert(token == sandbox.mints()[1].minted)
      assert(type(ends) == "number" and ends % 1 == 0)
      assert(not math.type or math.type(ends) == "integer")
    end }
    local c = client(store)
    succeeded(c:balance "USD")
    assert.equal(0, c:stats().hook_errors)
  end)

  it("may return the expiry in several ways", function()
    local token = sandbox.new_token()
    for _, ends in ipairs { in_seconds(1000), in_seconds(1000) .. "",
      in_seconds(1000) * 1000, in_seconds(1000) + 0.5, false } do
      local store = new_store { get = function() return token, ends or nil end }
      local c = client(store)
      for _ = 1, 2 do succeeded(c:balance "USD") end
      assert.equal("get", store.logged())
    end
    assert.equal(0, count "token")
  end)

  for name, results in pairs {
    ["nothing"] = {}, ["nil"] = { n = 1 }, ["an empty token"] = { "", 1e10 },
    ["a line end"] = { "token\n", 1e10 }, ["a long one"] = { ("t"):rep(8193), 1e10 },
    ["an expired token"] = { "token", 5 },
    ["a token that is about to expire"] = { "token", os.time() + 10 },
    ["an expiry of 0"] = { "token", 0 },
  } do
    it("counts as empty with " .. name, function()
      local store = new_store { get = function()
        return unpack(results, 1, results.n or 2)
      end }
      succeeded(client(store):balance "USD")
      assert.equal("get lock get set unlock", store.logged())
      assert.equal(1, count "token")
    end)
  end

  for name, results in pairs {
    ["a number"] = { 5, 1e10 }, ["a table"] = { {} }, ["true"] = { true },
    ["false"] = { false }, ["an expiry in words"] = { "token", "tomorrow" },
    ["an expiry that is a table"] = { "token", {} },
  } do
    it("that returns a wrong type fails the calls, with a message: " .. name, function()
      local store = new_store { get = function() return unpack(results) end }
      local err = login_failed("config", client(store):balance "USD")
      assert.matches("token_store.get: a token and its expiry", err.message, 1, true)
      assert.equal(0, #sandbox.requests())
    end)
  end

  for name in pairs { get = 1, lock = 1 } do
    for how, f in pairs {
      ["raises"] = function() error("disk is gone", 0) end,
      ["returns nil and a message"] = function() return nil, "disk is gone" end,
    } do
      it("whose " .. name .. " " .. how .. " fails the calls", function()
        local store = new_store { [name] = f }
        local c = client(store)
        local err = login_failed("config", c:balance "USD")
        assert.matches("login failed: token_store." .. name .. ": disk is gone",
          err.message, 1, true)
        assert.is_false(err.retryable)
        assert.equal(0, #sandbox.requests())
        assert.equal(0, c:stats().logins)
      end)
    end

    it("whose " .. name .. " raises another value than a string: message", function()
      local store = new_store { [name] = function() error {} end }
      local err = login_failed("config", client(store):balance "USD")
      assert.matches("no reason given", err.message, 1, true)
    end)
  end

  for name in pairs { set = 1, unlock = 1 } do
    for how, f in pairs {
      ["raises"] = function() error "disk is full" end,
      ["returns nil and a message"] = function() return nil, "disk is full" end,
    } do
      it("whose " .. name .. " " .. how .. " fails no call", function()
        local c = client(new_store { [name] = f })
        for _ = 1, 2 do succeeded(c:balance "USD") end
        assert.equal(1, c:stats().hook_errors)
        assert.equal(1, count "token")
      end)
    end
  end

  for _, name in ipairs { "get", "set", "lock", "unlock" } do
    it("may close the client: " .. name, function()
      local c
      local store = new_store()
      local own = store[name]
      store[name] = function(...)
        c:close()
        return own(...)
      end
      c = client(store)
      failed("canceled", c:balance "USD")
      assert.equal(name == "get" and 0 or 1, store.count "lock")
      assert.equal(store.count "lock", store.count "unlock")
      assert.is_false(store.held)
      assert.equal(0, count "balance")
    end)

    it("must not use the client while a call has no token: " .. name, function()
      local c, message
      local store = new_store()
      local own = store[name]
      store[name] = function(...)
        local held = store.held
        message = message or select(2, c:balance "SGD") or "a balance"
        assert(store.held == held, "the call within gave the lock back")
        return own(...)
      end
      c = client(store)
      succeeded(c:balance "USD")
      if name == "get" or name == "lock" then
        assert.matches("must not use its client", message, 1, true)
      else
        assert.equal("a balance", message)
      end
      assert.is_false(store.held)
      assert.equal(0, c:stats().hook_errors)
    end)
  end

  it("that drops the client's token at once ends the call", function()
    local c
    local n = 0
    local store = new_store()
    local own = store.unlock
    store.unlock = function(self, key)
      n = n + 1
      if n < 4 then c:invalidate_token() end
      return own(self, key)
    end
    c = client(store)
    local err = login_failed("auth", c:balance "USD")
    assert.matches("its token was dropped before it could be used", err.message, 1, true)
    assert.equal(1, count "token")
  end)

  it("is not written after a login whose hook has closed the client", function()
    for _, style in ipairs(styles) do
      local c
      local store = new_store()
      c = style.new(options(store, { on_response = function() c:close() end }))
      for _, result in ipairs(style.all(c, times(1))) do
        failed("canceled", unpack(result, 1, result.n))
      end
      assert.equal("get lock get unlock", store.logged())
    end
  end)

  it("has its functions read once, by uqpay.new", function()
    local store = new_store()
    local given = { get = store.get, set = store.set }
    local c = client(given)
    given.get, given.set = nil, nil
    succeeded(c:balance "USD")
    assert.equal("get set", store.logged())
    local heir = setmetatable({}, { __index = store })
    succeeded(client(heir):balance "USD")
    assert.equal(1, count "token")
  end)

  it("has its lock released when a login fails", function()
    local store = new_store()
    for _, case in ipairs {
      { "html", "api" }, { "drop_before", "connect" }, { "empty", "decode" },
    } do
      sandbox.fault { kind = case[1], endpoint = "token", times = 2 }
      login_failed(case[2], client(store, { max_retries = 0 }):balance "USD")
      assert.equal("get lock get unlock", store.logged())
      sandbox.reset()
    end
    login_failed("auth", client(store, { api_key = "wrong" }):balance "USD")
    assert.equal("get lock get unlock", store.logged())
  end)
end)

describe("the lock of a token store", function()
  before_each(function() sandbox.reset() end)

  local function hold()
    sandbox.settings { hold = "token" }
    return new_store()
  end

  local function until_asked(step)
    wait_until(function() return count "token" > 0 end, step)
  end

  it("is given back when a call's time is up", function()
    local store = hold()
    local c = client(store)
    local err = login_failed("timeout", c:balance("USD", { timeout = 0.1 }))
    assert.matches("no token within", err.message, 1, true)
    assert.equal("get lock get unlock", store.logged())
    sandbox.settings { hold = "" }
    succeeded(c:balance "USD")
    assert.is_false(store.held)
  end)

  for name, leave in pairs {
    ["is canceled"] = function(_, calls)
      for _, call in ipairs(calls) do call:cancel() end
    end,
    ["is forgotten"] = function(_, calls)
      for n in ipairs(calls) do calls[n] = nil end
      collectgarbage()
      collectgarbage()
    end,
    ["ends with its client"] = function(c) c:close() end,
  } do
    it("is given back when the last call that waits " .. name, function()
      local store = hold()
      local c = client(store)
      local calls = {
        c:start_balance "USD", c:start_balance "USD", c:start_balance "SGD",
      }
      until_asked(function() c:step(0.01) end)
      table.remove(calls):cancel()
      assert.is_true(store.held)
      leave(c, calls)
      assert.is_false(store.held)
      assert.equal("get lock get unlock", store.logged())
    end)
  end

  it("is given back when the client is forgotten", function()
    local store = hold()
    local c = client(store)
    local call = c:start_balance "USD"
    until_asked(function() c:step(0.01) end)
    assert.is_false(call:done())
    c, call = nil, nil -- luacheck: ignore 311
    for _ = 1, 4 do collectgarbage() end
    assert.is_false(store.held)
    assert.equal("get lock get unlock", store.logged())
  end)

  it("is given back when the interpreter is interrupted", function()
    local store = hold()
    local c = client(store)
    debug.sethook(function() -- as Ctrl-C does, while the call waits
      local info = debug.getinfo(2, "S")
      if store.held and info and info.source == "return" then
        debug.sethook()
        error "interrupted"
      end
    end, "", 1)
    local ok, message = pcall(c.balance, c, "USD")
    debug.sethook()
    assert.is_false(ok)
    assert.matches("interrupted", message)
    collectgarbage()
    collectgarbage()
    assert.is_false(store.held)
  end)

  it("that another process holds is waited for without blocking", function()
    for _, style in ipairs { styles[2], styles[3] } do
      sandbox.reset()
      local store = new_store()
      store.held = true
      local c = style.new(options(store))
      local run = style.start(c, times(5))
      wait_until(function() return store.count "lock" > 5 end, run.step)
      -- another client of the program continues
      good(style.all(style.new(fixture.options()), times(3)))
      assert.equal(0, count "token")
      store.held = false
      good(run:finish())
      assert.equal(1, count "token")
      assert.is_false(store.held)
    end
  end)

  it("that another process holds does not delay a call's timeout", function()
    local store = new_store()
    store.held = true
    for _, style in ipairs(styles) do
      local c = style.new(options(store, { timeout = 0.2 }))
      for _, result in ipairs(style.all(c, times(2))) do
        local err = login_failed("timeout", unpack(result, 1, result.n))
        assert.matches("no lock of the token store within", err.message, 1, true)
        assert.is_true(err.retryable)
      end
    end
    assert.is_true(store.held)      -- it was not ours to give back
    assert.equal(0, store.count "unlock")
    assert.equal(0, #sandbox.requests())
  end)

  it("that another process holds is tried twenty times a second at most", function()
    local store = new_store()
    store.held = true
    login_failed("timeout", client(store):balance("USD", { timeout = 0.3 }))
    assert.is_true(store.count "lock" <= 7, store.count "lock")
  end)

  it("that another process has released may lead to its token", function()
    local store = new_store()
    store.held = true
    local c = client(store)
    local call = c:start_balance "USD"
    wait_until(function() return store.count "lock" > 1 end, function() call:step() end)
    store.token, store.ends, store.held = sandbox.new_token(), in_seconds(1000), false
    wait_until(function() return call:step() end)
    succeeded(call:result())
    assert.equal(0, count "token")
    assert.is_false(store.held)
  end)

  it("is the parent's after a fork", function()
    child.run [[
      local fork = require "fork"
      local held, unlocked, split = false, 0, nil
      local token_store = {
        get = function() if split == "get" then split = fork.fork() end end,
        set = function() end,
        lock = function()
          held = true
          if split == "lock" then split = fork.fork() end
          return true
        end,
        unlock = function()
          held = false
          unlocked = unlocked + 1
        end,
      }
      for _, place in ipairs { "get", "lock" } do
        local c = uqpay.new(options { token_store = token_store })
        split, unlocked = place, 0
        local balance, message, err = c:balance "USD"
        if split == 0 then
          local right = err.kind == "forked" and unlocked == 0
          c:close()
          c = nil
          collectgarbage()
          fork.leave(right and unlocked == 0 and 7 or 1)
        end
        local how, code = fork.wait(split)
        same("exit 7", how .. " " .. code)
        assert(balance, message)
        same(1, unlocked)
      end

      -- while a login is in flight
      sandbox.settings { hold = "token" }
      local c = uqpay.new(options { token_store = token_store })
      unlocked, split = 0, nil
      local call = c:start_balance "USD"
      wait_until(function() return count "token" == 3 end, function() c:step(0.01) end)
      local first = fork.fork()
      if first == 0 then
        c:close()
        fork.leave(unlocked == 0 and 7 or 1)
      end
      same("exit 7", table.concat({ fork.wait(first) }, " "))
      local pid = fork.fork()
      if pid == 0 then
        call:step()
        call:cancel()
        local _, _, err = c:balance "USD"
        c:close()
        c, call = nil, nil
        collectgarbage()
        fork.leave(err.kind == "forked" and unlocked == 0 and 7 or 1)
      end
      local how, code = fork.wait(pid)
      same("exit 7", how .. " " .. code)
      assert(held)
      sandbox.settings { hold = "" }
      wait_until(function() return call:step() end)
      assert(call:result())
      same(1, unlocked)
    ]]
  end)

  -- Other processes wait for the lock, so a call that renews a token early steps the
  -- login until it ends, for some seconds at most.
  for number, style in ipairs(styles) do
    it("is released by a renewal, " .. style.name, function()
      child.run("local style = styles[" .. number .. "] " .. [[
        local held, token, ends = false, nil, nil
        local held_at_request = false   -- for a balance
        local token_store = {
          get = function() return token, ends end,
          set = function(_, _, ...) token, ends = ... end,
          lock = function()
            if held then return false end
            held = true
            return true
          end,
          unlock = function() held = false end,
        }
        local function new(changes)
          changes = changes or {}
          changes.token_store = token_store
          changes.on_request = function(info)
            held_at_request = held_at_request or info.endpoint == "balance" and held
          end
          return style.new(options(changes))
        end

        -- one call waits for the login
        local c = new()
        good(style.all(c, times(2)))
        local first = token
        shift.monotonic(1600)
        good(style.all(c, times(5)))
        assert(not held and token ~= first)
        same(2, count "token")

        -- but never for long
        held_at_request = false
        shift.monotonic(1600)
        sandbox.settings { hold = "token" }
        local run = style.start(c, times(1))
        if run then
          wait_until(function() return count "token" == 3 end, run.step)
          assert(held)
          shift.monotonic(6)
          good(run:finish())
        else
          debug.sethook(function() -- within the wait
            local info = debug.getinfo(2, "S")
            if held and info and info.source == "return" and count "token" == 3 then
              debug.sethook()
              shift.monotonic(6)
            end
          end, "", 1)
          good(style.all(c, times(1)))
        end
        assert(not held and not held_at_request)
        same(3, count "token")
        good(style.all(c, times(3)))    -- the pause after it
        same(3, count "token")
        assert(not tokens():find "3")

        -- a lock of another process is not waited for
        sandbox.settings { hold = "" }
        shift.monotonic(11)
        held = true
        good(style.all(c, times(3)))
        assert(held)
        held = false
        good(style.all(c, times(1)))
        shift.monotonic(1)
        good(style.all(c, times(2)))
        assert(not held and not tokens():find "4 [123]")
        same(4, count "token")
        same(c:stats().calls, c:stats().succeeded)
      ]], "shift")
    end)
  end

  -- A store in a table, and a client whose token is old enough to be renewed.
  local aged = [[
    local held, token, ends = false, nil, nil
    local c = uqpay.new(options { token_store = {
      get = function() return token, ends end,
      set = function(_, _, ...) token, ends = ... end,
      lock = function()
        held = not held
        return held
      end,
      unlock = function() held = false end,
    } })
    assert(c:balance "USD")
    shift.monotonic(1600)
  ]]

  it("keeps one call waiting for a renewal, for half of its time at most", function()
    child.run(aged .. [[
      sandbox.settings { hold = "token" }
      local stays, goes = c:start_balance("USD", { timeout = 8 }), c:start_balance "USD"
      assert(not stays:step())
      goes:step() -- it may be answered at once
      same("0 1", stays:attempts() .. " " .. goes:attempts())
      shift.monotonic(4)
      assert(not stays:step())
      same(1, stays:attempts())
      for _, call in ipairs { goes, stays } do
        wait_until(function() return call:step() end, function() c:step(0.01) end)
        assert(call:result())
      end
      assert(not held)
      same("1 1 1", tokens())
    ]], "shift")
    sandbox.reset()
    child.run(aged .. [[
      sandbox.settings { hold = "token" }
      local stays = c:start_balance("USD", { timeout = 600 })
      assert(not stays:step())
      same(0, stays:attempts())
      shift.monotonic(6)      -- not half of its time
      assert(not stays:step())
      same(1, stays:attempts())
    ]], "shift")
  end)

  it("is not needed if the store has a token that lasts longer", function()
    -- seconds that the store's token has left -> logins; the client's has 200, or none if
    -- the store's has less
    for left, mints in pairs { [230] = 2, [300] = 1, [30] = 2, [90] = 1 } do
      sandbox.reset()
      child.run(("local left, mints = %d, %d "):format(left, mints) .. aged .. [[
        if left < 200 then shift.monotonic(300) end
        token, ends = sandbox.new_token(), os.time() + left
        wait_until(function() return not tokens():find "1$" end,
          function() assert(c:balance "USD") end)
        same(mints, #sandbox.mints())
      ]], "shift")
    end
  end)

  it("is held by a login that waits for its slot", function()
    local store = new_store()
    local c = client(store, { max_retries = 0, timeout = 20 })
    sandbox.fault { kind = "rate_limit", retry_after = "1", endpoint = "token" }
    login_failed("rate_limit", c:balance "USD")
    store.logged()
    succeeded(c:balance "USD") -- after a second
    assert.matches("^get lock get [get ]*set unlock$", store.logged())
  end)
end)

describe("processes that share a token", function()
  before_each(function() sandbox.reset() end)

  local folder
  before_each(function() folder = driver.directory "share" end)
  after_each(function() os.execute(driver.command("rm", "-rf", folder)) end)

  -- Runs n children at once and returns what each has printed.
  local function run(n, code)
    code = ("local store = uqpay.file_store(%q)\n"):format(folder .. "/tokens") .. code
    local command = child.command(code)
    local pipes, lines = {}, {}
    for i = 1, n do pipes[i] = assert(io.popen(command .. " 2>&1", "r")) end
    for i = 1, n do
      lines[i] = pipes[i]:read "*a"
      pipes[i]:close()
    end
    return lines
  end

  local code = [[
    local c = uqpay.new(options { token_store = store })
    local balance, message = c:balance "USD"
    print(balance and balance.currency or message, c:stats().logins)
  ]]

  local function count_logins(lines)
    local logins = 0
    for _, line in ipairs(lines) do
      local currency, n = line:match "^(%u+)\t(%d+)\n$"
      assert.equal("USD", currency, line)
      logins = logins + n
    end
    return logins
  end

  it("log in once, though twenty start at once", function()
    sandbox.settings { single_token = true }
    assert.equal(1, count_logins(run(20, code)))
    assert.equal(1, count "token")
    assert.equal(20, count "balance")
  end)

  it("log in once more when the token was rejected", function()
    sandbox.settings { single_token = true }
    count_logins(run(1, code))
    sandbox.expire_minted()
    -- each finds the store's token rejected; only one of them logs in
    local lines = run(6, [[
      local c = uqpay.new(options { token_store = store })
      assert(c:balance "USD")
      print("USD", c:stats().logins)
    ]])
    assert.equal(1, count_logins(lines))
    assert.equal(2, count "token")
  end)

  it("are not stopped by one that dies with the lock", function()
    sandbox.settings { hold = "token" }
    local pipe = assert(io.popen("echo $$; exec " .. child.command(
      ("local store = uqpay.file_store(%q)\n"):format(folder .. "/tokens") .. code)
      .. " 2>&1", "r"))
    local pid = pipe:read "*l"
    wait_until(function() return count "token" == 1 end)
    os.execute("kill -s KILL " .. pid)
    pipe:close()
    sandbox.settings { hold = "" }
    assert.equal(1, count_logins(run(3, code)))
  end)
end)
