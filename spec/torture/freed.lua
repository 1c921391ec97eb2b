-- freed.lua DRIVER [-v]: secrets left in memory when a client is closed and collected:
-- the cases below, each in a process of DRIVER (freed.c), against the sandbox. The module
-- must not free memory with a secret in it, nor keep a secret once the client is closed.
-- Secrets left by other libraries are counted; -v: for each case.
--
-- All cases run once more with a malloc that wipes (that of glibc, by its tunables): then
-- no library may leave a secret.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

local SIZE = 96 -- bytes of a secret
local ALWAYS = 100000

-- Functions are looked up before: else the dynamic linker saves all registers, with what
-- of a secret was copied last, on the stack.
local settings = "LD_BIND_NOW=1"
local wiping = "GLIBC_TUNABLES=glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"

-- The prelude of each process. close(c) holds the client to its promise while all that
-- used it is still there.
local prelude = [[
  local uqpay = require "uqpay"
  local env = os.getenv
  local function client(changes)
    local all = { base_url = env "URL", ca_file = env "CA_FILE", timeout = 20,
      max_retries = 1, retry_delay = 0.001, retry_delay_max = 0.001 }
    for name, value in pairs(changes) do all[name] = value end
    return uqpay.new(all)
  end
  local function login(changes)
    local all = { client_id = "somebody", api_key = secret "api_key" }
    for name, value in pairs(changes or {}) do all[name] = value end
    return client(all)
  end
  local function good(balance, message)
    if not balance then error(message, 2) end
  end
  local function bad(kind, _, message, err)
    if not err or err.kind ~= kind then error(tostring(message), 2) end
    return err
  end
  local function finish(call)
    while not call:step() do call:pollfd() end
    return call:result()
  end
  local function close(c)
    assert(holds() > 0, "the driver finds no token in use")
    c:close()
    if holds() > 0 then error(holds() .. " blocks hold secrets after close", 2) end
  end
  -- act() again and again, with less and less memory; whatever comes of it
  local function starving(act)
    for _, whose in ipairs { "lua", "uqpay" } do
      local n = -1
      repeat
        n = n + 1
        starve(whose, n)
        pcall(act)
        local struck = starve()
        collectgarbage()
        collectgarbage()
        if holds() > 0 then error(whose .. " " .. n .. ": blocks hold secrets", 2) end
      until not struck
      assert(n > 1, n)
    end
  end
]]

local function mint(name, times)
  return { kind = "answer", endpoint = "token", times = times,
    body = ('{"auth_token":"%s","expired_at":%d}'):format(name, os.time() + 1800) }
end

-- An answer that quotes what it got.
local function echo(text, status, times)
  return { kind = "answer", endpoint = "balance", status = status, times = times,
    headers = { ["x-request-id"] = text, location = "http://127.0.0.1/" .. text },
    body = ('{"code":"%s","type":"%s","message":"no %s","missing_fields":["%s"]}')
      :format(text:sub(1, 40), text, text, text) }
end

-- Name, the faults that are ordered (given the secrets), what is done, and a secret that
-- Lua and its JSON library never have.
local cases = {
  { "token", nil, [[
    local c = client { token = secret "token" }
    good(c:balance "USD")
    good(c:balance "USD")
    close(c)
  ]] },
  { "token, never used", nil, [[
    close(client { token = secret "token" })
  ]] },
  { "call objects", nil, [[
    local c = client { token = secret "token" }
    local calls = {}
    for n = 1, 20 do calls[n] = c:start_balance "USD" end
    for _, call in ipairs(calls) do good(finish(call)) end
    close(c)
  ]] },
  { "canceled in flight", function() return { kind = "hang", seconds = 5 } end, [[
    local c = client { token = secret "token" }
    local call = c:start_balance "USD"
    c:step(0.2)
    call:cancel()
    local other = c:start_balance "USD"
    close(c)
    bad("canceled", call:result())
    bad("canceled", other:result())
  ]] },
  { "collected in flight", function() return { kind = "hang", seconds = 5 } end, [[
    local c = client { token = secret "token" }
    c:start_balance "USD"
    c:step(0.2)
    collectgarbage()
    close(c)
  ]] },
  { "never closed", nil, [[
    good(client { token = secret "token" }:balance "USD")
  ]] },
  { "new refused", nil, [[
    for _, wrong in ipairs { { timeout = -1 }, { base_url = "x" }, { proxy = 1 } } do
      wrong.token = secret "token"
      assert(not pcall(client, wrong))
      assert(not pcall(login, wrong))
    end
  ]] },
  { "error that quotes the token", function(s)
      return { echo(s.token, 400), echo(s.token, 500), echo(s.token, 401),
        echo(s.token, 302), echo(s.token, 200) }
    end, [[
    local c = client { token = secret "token" }
    local told = {}
    for _, kind in ipairs { "invalid_request", "auth", "protocol", "api" } do
      told[#told + 1] = bad(kind, c:balance "USD")
    end
    close(c)
  ]] },
  { "lost answers", function()
      return { { kind = "drop_after" }, { kind = "truncate" }, { kind = "huge",
        bytes = 1100000 } }
    end, [[
    local c = client { token = secret "token", max_retries = 2 }
    bad("too_large", c:balance "USD")
    close(c)
  ]] },
  { "token function", nil, [[
    local c = client { token = function() return secret "token", os.time() + 1800 end }
    good(c:balance "USD")
    good(c:token())
    close(c)
  ]] },
  { "token function, 401", function(s) return echo(s.token, 401) end, [[
    local c = client { token = function(reason)
      return secret(reason == "rejected" and "second" or "token")
    end }
    good(c:balance "USD")
    close(c)
  ]] },
  { "401, then canceled", function(s)
      return { echo(s.token, 401), { kind = "hang", seconds = 5 } }
    end, [[
    local c = client { token = function(reason)
      return secret(reason == "rejected" and "second" or "token")
    end }
    local call = c:start_balance "USD"
    for _ = 1, 20 do c:step(0.02) call:step() end
    close(c)
    bad("canceled", call:result())
  ]] },
  { "401, then an error", function(s)
      return { echo(s.token, 401), echo(s.token .. " " .. s.second, 400) }
    end, [[
    local c = client { token = function(reason)
      return secret(reason == "rejected" and "second" or "token")
    end }
    local call = c:start_balance "USD"
    bad("invalid_request", finish(call))
    close(c)
  ]] },
  { "login", function(s) return mint(s.minted) end, [[
    local c = login()
    good(c:balance "USD")
    close(c)
  ]], "minted" },
  { "login of call objects", function(s) return mint(s.minted) end, [[
    local c = login()
    local calls = {}
    for n = 1, 5 do calls[n] = c:start_balance "USD" end
    for _, call in ipairs(calls) do good(finish(call)) end
    close(c)
  ]], "minted" },
  { "login, 401, login", function(s)
      local refused = echo(s.minted, 401)
      refused.skip = 1
      return { mint(s.minted), refused, mint(s.second) }
    end, [[
    local c = login()
    good(c:balance "USD")
    good(c:balance "USD")
    close(c)
  ]] },
  { "login, client:token()", function(s) return mint(s.minted) end, [[
    local c = login()
    good(c:token())
    close(c)
  ]] },
  { "login, invalidated", function(s) return mint(s.minted) end, [[
    local c = login()
    good(c:balance "USD")
    c:invalidate_token()
    close(c)
  ]], "minted" },
  { "login refused", function(s)
      return { { kind = "answer", endpoint = "token", status = 400, body =
        ('{"message":"no %s","code":"%s"}'):format(s.api_key, s.api_key) } }
    end, [[
    local c = login()
    bad("auth", c:balance "USD")
    close(c)
  ]] },
  { "login canceled in flight", function()
      return { kind = "hang", endpoint = "token", seconds = 5 }
    end, [[
    local c = login()
    local call = c:start_balance "USD"
    c:step(0.2)
    close(c)
    bad("canceled", call:result())
  ]] },
  { "file store", function(s) return mint(s.minted) end, [[
    local path = env "DIRECTORY" .. "/tokens"
    for _ = 1, 2 do
      local c = login { token_store = uqpay.file_store(path) }
      good(c:balance "USD")
      close(c)
    end
    local store = uqpay.file_store(path)
    local key = env "URL" .. " somebody"
    assert(store:get(key) == secret "minted")
    assert(store:set("another", secret "token", os.time() + 60))
    assert(store:set(key))
    assert(not store:get(key))
  ]] },
  { "batch and lists", nil, [[
    local c = client { token = secret "token" }
    for _, balance, message in c:batch { "USD", "SGD" } do good(balance, message) end
    for item in c:each_account() do good(item) end
    close(c)
  ]] },
  { "new without memory", nil, [[
    starving(function() client { token = secret "token" } end)
    starving(function() login() end)
  ]] },
  { "errors without memory", function(s) return echo(s.token, 400, ALWAYS) end, [[
    local token = secret "token"
    starving(function() client { token = token }:balance "USD" end)
    starving(function() finish(client { token = token }:start_balance "USD") end)
  ]] },
  { "401 without memory", function(s) return echo(s.token, 401, ALWAYS) end, [[
    local token, second = secret "token", secret "second"
    local function give(reason) return reason == "rejected" and second or token end
    starving(function() client { token = give }:balance "USD" end)
    starving(function() finish(client { token = give }:start_balance "USD") end)
  ]] },
  { "login without memory", function(s) return mint(s.minted, ALWAYS) end, [[
    local key = secret "api_key"
    local function new() return client { client_id = "somebody", api_key = key } end
    starving(function() new():balance "USD" end)
    starving(function() new():token() end)
  ]] },
  { "file store without memory", function(s) return mint(s.minted, ALWAYS) end, [[
    local key, path = secret "api_key", env "DIRECTORY" .. "/tokens"
    local store = uqpay.file_store(path)
    starving(function()
      local c = client { client_id = "somebody", api_key = key, token_store = store }
      c:balance "USD"
      client { client_id = "somebody", api_key = key, token_store = store }:balance "USD"
      os.remove(path)
    end)
  ]] },
}

-- Over TLS besides, as most of them need not be.
local encrypted = { token = true, ["call objects"] = true, login = true,
  ["login, 401, login"] = true, ["canceled in flight"] = true }

local function random_text()
  local file = assert(io.open("/dev/urandom", "rb"))
  local bytes = file:read(SIZE / 2)
  file:close()
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local names = { "token", "second", "minted", "api_key" }

local function masked(secrets)
  local words = {}
  for n, name in ipairs(names) do
    words[n] = name .. " " .. secrets[name]:gsub(".", function(c)
      return ("%02x"):format(255 - c:byte()) -- see freed.c
    end)
  end
  return table.concat(words, " ")
end

local program, verbose = arg[1], arg[2] == "-v"
local passed, failed = 0, 0
local totals, order = {}, {}

local function count(stage, secret, owner, n)
  local key = ("%s %s %s"):format(stage, owner, secret == "api_key" and secret or "token")
  if not totals[key] then order[#order + 1] = key end
  totals[key] = (totals[key] or 0) + n
end

-- Which of it must not be. lua-cjson loses a buffer with each error that it raises, and
-- LuaJIT collects late what its stack has held.
local function is_wrong(stage, owner, secret, never, wiped)
  local of_lua = owner == "lua" or owner:find "^cjson" ~= nil
  return owner == "uqpay" or owner == "[stack]" or (of_lua and secret == never)
    or (stage == "live" and not of_lua) or (stage == "left" and wiped)
end

-- All that was found of a case and must not be, or what went wrong; nil: nothing. Counts
-- what there is, if it is to be.
local function judge(text, never, wiped, counted)
  local wrong = not text:find "exit 0\n$" and text or nil
  for stage, secret, owner, n, longest in
    text:gmatch "(%a+) ([%w_]+) (%S+) (%d+) (%d+)\n" do
    if counted then count(stage, secret, owner, tonumber(n)) end
    if verbose then print("", stage, secret, owner, n .. " x " .. longest) end
    if is_wrong(stage, owner, secret, never, wiped) then
      wrong = (wrong or "") .. ("%s %s %s %d\n"):format(stage, owner, secret, n)
    end
  end
  return wrong
end

local function run(case, url, directory, wiped)
  local title, faults, code, never = case[1], case[2], case[3], case[4]
  title = ("%s, %s%s"):format(title, url:match "%a+", wiped and ", wiping" or "")
  sandbox.reset()
  local secrets = {}
  for _, secret in ipairs(names) do
    secrets[secret] = random_text()
    if secret ~= "api_key" then sandbox.new_token { token = secrets[secret] } end
  end
  if faults then sandbox.fault(faults(secrets)) end
  os.remove(directory .. "/tokens")
  if verbose then print(title) end
  local text = driver.output(driver.command("env", settings, wiped and wiping or settings,
    "UQPAY_SECRETS=" .. masked(secrets), "URL=" .. url, "CA_FILE=" .. sandbox.ca_file,
    "DIRECTORY=" .. directory, "timeout", "60", program, prelude .. code)
    .. " 2>&1; echo exit $?")
  local counted = not wiped and not title:find "without memory"
  local wrong = judge(text, never, wiped, counted)
  passed = passed + (wrong and 0 or 1)
  failed = failed + (wrong and 1 or 0)
  if wrong then print(("FAILED: %s: %s"):format(title, wrong)) end
end

local function run_all(directory, wiped)
  for _, case in ipairs(cases) do
    run(case, sandbox.http_url, directory, wiped)
    if encrypted[case[1]] then run(case, sandbox.url, directory, wiped) end
  end
end

sandbox.start()
local directory = driver.directory "freed"
run_all(directory, false)
table.sort(order)
print "copies of secrets (freed: when a block was given back; left: in the end)"
for _, key in ipairs(order) do print(("%-40s %d"):format(key, totals[key])) end
run_all(directory, true)
os.execute(driver.command("rm", "-r", directory))
sandbox.stop()
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and 0 or 1)
