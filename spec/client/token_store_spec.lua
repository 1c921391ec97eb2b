-- Token stores: one token for several clients and processes, whoever made the store.

local child = require "spec.support.child"
local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local styles = require "spec.support.styles"
local uqpay = require "uqpay"

local failed, succeeded = fixture.failed, fixture.succeeded
local unpack = table.unpack or unpack

-- A store in a table that writes down what is asked of it. instead: functions in place of
-- its own, `false` to leave one out.
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
  function store.said()
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

local function until_so(condition, turn)
  local ends = socket.gettime() + 60
  while not condition() do
    assert.is_true(socket.gettime() < ends, "it never is so")
    if turn then turn() else socket.sleep(0.005) end
  end
end

local function soon(seconds) return os.time() + seconds end

describe("a token store", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, style in ipairs(styles) do
    it("is asked before a login and told after it, " .. style.name, function()
      local store = new_store()
      local one = style.new(options(store))
      assert.equal("", store.said())
      good(style.all(one, times(5)))
      assert.equal("get lock get set unlock", store.said())
      local minted = sandbox.mints()[1].minted
      assert.equal(minted, store.token)
      assert.is_true(math.abs(store.ends - soon(1800)) < 60)
      good(style.all(one, times(5)))
      assert.equal("", store.said())

      local two = style.new(options(store))
      good(style.all(two, times(5)))
      assert.equal("get", store.said())
      assert.equal(1, count "token")
      assert.equal(0, two:stats().logins)
      assert.equal(minted, style.all(two, { { "token" } })[1][1])
    end)

    it("may have no lock, " .. style.name, function()
      local store = new_store { lock = false, unlock = false }
      good(style.all(style.new(options(store)), times(3)))
      good(style.all(style.new(options(store)), times(3)))
      assert.equal("get set get", store.said())
      assert.equal(1, count "token")
    end)

    it("gives no token twice that was refused, " .. style.name, function()
      for _, before in ipairs { "", "Bearer " } do
        for _, ends in ipairs { 1000, false } do
          sandbox.reset()
          local store = new_store()
          store.token = before .. sandbox.expired_token
          store.ends = ends and soon(ends) or nil
          local c = style.new(options(store))
          good(style.all(c, times(1)))
          good(style.all(c, times(3)))
          assert.equal("get get lock get set unlock", store.said())
          assert.same({ token = 1, balance = 5 }, sandbox.counts().endpoints)
          assert.equal(sandbox.mints()[1].minted, store.token)
        end
      end
    end)

    it("gives the token of another that has ended one's own, " .. style.name, function()
      sandbox.settings { single_token = true }
      local store = new_store()
      local one, two = style.new(options(store)), style.new(options(store))
      good(style.all(one, times(2)))
      good(style.all(two, times(2)))
      one:invalidate_token()
      good(style.all(one, times(2)))
      assert.equal(2, count "token")
      good(style.all(two, times(5))) -- by one resend each
      assert.equal(2, count "token")
      assert.is_true(count "balance" <= 6 + 10)
    end)
  end

  it("is refused by uqpay.new if it cannot be one", function()
    for what, changes in pairs {
      ["client_id and api_key expected with it"] = { token = "t", client_id = false,
        api_key = false },
      ["table expected, got string"] = { token_store = "/tmp/tokens" },
      ["table expected, got number"] = { token_store = 1 },
      ["functions get and set, and lock and unlock or neither, expected in it"] =
        { token_store = { get = print } },
      ["lock and unlock, or neither, expected in it"] =
        { token_store = { get = print, set = print, lock = print } },
    } do
      local ok, message = pcall(client, new_store(), changes)
      assert.is_false(ok)
      assert.matches("bad option 'token_store' to 'new' (" .. what, message, 1, true)
    end
  end)

  it("is asked with a key of address and client, which has no secret", function()
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

  it("is told the bare token, and a whole number", function()
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

  it("may tell the end in several ways", function()
    local token = sandbox.new_token()
    for _, ends in ipairs { soon(1000), soon(1000) .. "", soon(1000) * 1000,
      soon(1000) + 0.5, false } do
      local store = new_store { get = function() return token, ends or nil end }
      local c = client(store)
      for _ = 1, 2 do succeeded(c:balance "USD") end
      assert.equal("get", store.said())
    end
    assert.equal(0, count "token")
  end)

  for name, results in pairs {
    ["nothing"] = {}, ["nil"] = { n = 1 }, ["an empty token"] = { "", 1e10 },
    ["a line end"] = { "token\n", 1e10 }, ["a long one"] = { ("t"):rep(8193), 1e10 },
    ["a token that is over"] = { "token", 5 },
    ["a token that is nearly over"] = { "token", os.time() + 10 },
    ["an end of 0"] = { "token", 0 },
  } do
    it("is as good as empty with " .. name, function()
      local store = new_store { get = function()
        return unpack(results, 1, results.n or 2)
      end }
      succeeded(client(store):balance "USD")
      assert.equal("get lock get set unlock", store.said())
      assert.equal(1, count "token")
    end)
  end

  for name, results in pairs {
    ["a number"] = { 5, 1e10 }, ["a table"] = { {} }, ["true"] = { true },
    ["false"] = { false }, ["an end in words"] = { "token", "tomorrow" },
    ["an end that is a table"] = { "token", {} },
  } do
    it("that gives nonsense fails the calls, with words: " .. name, function()
      local store = new_store { get = function() return unpack(results) end }
      local err = login_failed("config", client(store):balance "USD")
      assert.matches("token_store.get: a token and its end", err.message, 1, true)
      assert.equal(0, #sandbox.requests())
    end)
  end

  for name in pairs { get = 1, lock = 1 } do
    for how, f in pairs {
      ["raises"] = function() error("disk is gone", 0) end,
      ["says nil and why"] = function() return nil, "disk is gone" end,
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

    it("whose " .. name .. " raises no string says so", function()
      local store = new_store { [name] = function() error {} end }
      local err = login_failed("config", client(store):balance "USD")
      assert.matches("no reason given", err.message, 1, true)
    end)
  end

  for name in pairs { set = 1, unlock = 1 } do
    for how, f in pairs {
      ["raises"] = function() error "disk is full" end,
      ["says nil and why"] = function() return nil, "disk is full" end,
    } do
      it("whose " .. name .. " " .. how .. " costs no call", function()
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

  it("is not told of a login whose hook has closed the client", function()
    for _, style in ipairs(styles) do
      local c
      local store = new_store()
      c = style.new(options(store, { on_response = function() c:close() end }))
      for _, result in ipairs(style.all(c, times(1))) do
        failed("canceled", unpack(result, 1, result.n))
      end
      assert.equal("get lock get unlock", store.said())
    end
  end)

  it("is taken as it was when the client was made", function()
    local store = new_store()
    local given = { get = store.get, set = store.set }
    local c = client(given)
    given.get, given.set = nil, nil
    succeeded(c:balance "USD")
    assert.equal("get set", store.said())
    local heir = setmetatable({}, { __index = store })
    succeeded(client(heir):balance "USD")
    assert.equal(1, count "token")
  end)

  it("makes a login that fails give the lock back", function()
    local store = new_store()
    for _, case in ipairs {
      { "html", "api" }, { "drop_before", "connect" }, { "empty", "decode" },
    } do
      sandbox.fault { kind = case[1], endpoint = "token", times = 2 }
      login_failed(case[2], client(store, { max_retries = 0 }):balance "USD")
      assert.equal("get lock get unlock", store.said())
      sandbox.reset()
    end
    login_failed("auth", client(store, { api_key = "wrong" }):balance "USD")
    assert.equal("get lock get unlock", store.said())
  end)
end)

describe("the lock of a token store", function()
  before_each(function() sandbox.reset() end)

  local function hold()
    sandbox.settings { hold = "token" }
    return new_store()
  end

  local function until_asked(turn)
    until_so(function() return count "token" > 0 end, turn)
  end

  it("is given back when a call's time is up", function()
    local store = hold()
    local c = client(store)
    local err = login_failed("timeout", c:balance("USD", { timeout = 0.1 }))
    assert.matches("no token within", err.message, 1, true)
    assert.equal("get lock get unlock", store.said())
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
      assert.equal("get lock get unlock", store.said())
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
    assert.equal("get lock get unlock", store.said())
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

  it("that somebody else has is waited for, and nothing stands still", function()
    for _, style in ipairs { styles[2], styles[3] } do
      sandbox.reset()
      local store = new_store()
      store.held = true
      local c = style.new(options(store))
      local run = style.start(c, times(5))
      until_so(function() return store.count "lock" > 5 end, run.turn)
      -- another client of the program goes on meanwhile
      good(style.all(style.new(fixture.options()), times(3)))
      assert.equal(0, count "token")
      store.held = false
      good(run:finish())
      assert.equal(1, count "token")
      assert.is_false(store.held)
    end
  end)

  it("that somebody else has ends a call in its time", function()
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

  it("that somebody else has is asked for twenty times a second at most", function()
    local store = new_store()
    store.held = true
    login_failed("timeout", client(store):balance("USD", { timeout = 0.3 }))
    assert.is_true(store.count "lock" <= 7, store.count "lock")
  end)

  it("that somebody else has had may lead to their token", function()
    local store = new_store()
    store.held = true
    local c = client(store)
    local call = c:start_balance "USD"
    until_so(function() return store.count "lock" > 1 end, function() call:step() end)
    store.token, store.ends, store.held = sandbox.new_token(), soon(1000), false
    until_so(function() return call:step() end)
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
      until_so(function() return count "token" == 3 end, function() c:step(0.01) end)
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
      until_so(function() return call:step() end)
      assert(call:result())
      same(1, unlocked)
    ]]
  end)

  -- Other processes wait for the lock, so whoever renews a token ahead of need sees to
  -- it that the login ends.
  for number, style in ipairs(styles) do
    it("is not left behind by a renewal, " .. style.name, function()
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

        -- it is waited for, once
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
          until_so(function() return count "token" == 3 end, run.turn)
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

        -- a lock that somebody else has is not waited for
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

  -- A table as a store, and its client with a token that is old.
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

  it("keeps one call at the renewal, for half of its time at most", function()
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
        until_so(function() return call:step() end, function() c:step(0.01) end)
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

  it("is not needed for a newer token, if that is worth it", function()
    -- the store's has so many seconds left, the client's 200, or none
    for left, mints in pairs { [230] = 2, [300] = 1, [30] = 2, [90] = 1 } do
      sandbox.reset()
      child.run(("local left, mints = %d, %d "):format(left, mints) .. aged .. [[
        if left < 200 then shift.monotonic(300) end
        token, ends = sandbox.new_token(), os.time() + left
        until_so(function() return not tokens():find "1$" end,
          function() assert(c:balance "USD") end)
        same(mints, #sandbox.mints())
      ]], "shift")
    end
  end)

  it("is kept by a login that waits for its turn", function()
    local store = new_store()
    local c = client(store, { max_retries = 0, timeout = 20 })
    sandbox.fault { kind = "rate_limit", retry_after = "1", endpoint = "token" }
    login_failed("rate_limit", c:balance "USD")
    store.said()
    succeeded(c:balance "USD") -- after a second
    assert.matches("^get lock get [get ]*set unlock$", store.said())
  end)
end)

describe("processes that share a token", function()
  before_each(function() sandbox.reset() end)

  local folder
  before_each(function() folder = driver.directory "share" end)
  after_each(function() os.execute(driver.command("rm", "-rf", folder)) end)

  -- Runs so many children at once and returns the lines that they print.
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

  local function add_up(lines)
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
    assert.equal(1, add_up(run(20, code)))
    assert.equal(1, count "token")
    assert.equal(20, count "balance")
  end)

  it("log in once more when the token was refused", function()
    sandbox.settings { single_token = true }
    add_up(run(1, code))
    sandbox.expire_minted()
    -- each has the token of the store refused, and one of them a new one
    local lines = run(6, [[
      local c = uqpay.new(options { token_store = store })
      assert(c:balance "USD")
      print("USD", c:stats().logins)
    ]])
    assert.equal(1, add_up(lines))
    assert.equal(2, count "token")
  end)

  it("are not stopped by one that dies with the lock", function()
    sandbox.settings { hold = "token" }
    local pipe = assert(io.popen("echo $$; exec " .. child.command(
      ("local store = uqpay.file_store(%q)\n"):format(folder .. "/tokens") .. code)
      .. " 2>&1", "r"))
    local pid = pipe:read "*l"
    until_so(function() return count "token" == 1 end)
    os.execute("kill -s KILL " .. pid)
    pipe:close()
    sandbox.settings { hold = "" }
    assert.equal(1, add_up(run(3, code)))
  end)
end)
