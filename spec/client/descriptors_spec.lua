-- A program that has next to no descriptors left: what needs one fails with a message of
-- its own or finds another way, nothing hangs, and nothing is lost or left behind. Each
-- case is tried with ten of them left, with nine, and so on, in a child.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"
local scarcity = require "spec.support.scarcity"

-- each(try): try(n) is run with n descriptors left, and must give back what it takes.
local prelude = scarcity.code .. [[
  local function each(try)
    try(10, true)             -- what is loaded or opened once, is
    for n = 10, 0, -1 do
      local before = spare()
      try(n)
      collectgarbage()
      collectgarbage()
      same(before, spare())
    end
  end
  local right = { connect = true, tls = true, dns = true, config = true }
  -- A balance, or a failure for the right reason.
  local function check(n, result)
    if result.n == 1 then return true end
    local balance, message, err = unpack(result, 1, 3)
    assert(balance == nil and type(message) == "string" and message == err.message)
    if n >= 8 or not right[err.kind] then
      error(("%d left: %s: %s"):format(n, err.kind, message), 2)
    end
    return false
  end
  local function with_token(changes)
    changes.token, changes.client_id, changes.api_key = sandbox.token, false, false
    return options(changes)
  end
]]

local function run(code)
  child.run(prelude .. code, nil, scarcity.before)
end

describe("next to no descriptors", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("are enough for clients, and to load modules later", function()
    run [[
      leave(0)
      local c = uqpay.new(options())
      package.loaded.uqpay = nil
      for _, load in ipairs { function() return require "uqpay" end,
        function() return c:each_balance() end } do
        local ok, message = pcall(load)
        assert(not ok and message:find("not found", 1, true), message)
      end
      free()
      assert(require "uqpay".new)
      for _, balance, message in c:batch { "USD" } do assert(balance, message) end
    ]]
  end)

  for what, changes in pairs {
    ["over TLS"] = "{ base_url = sandbox.url }", ["in clear"] = "{}",
    ["to a name"] = "{ base_url = sandbox.url:gsub('127.0.0.1', 'localhost') }",
  } do
    it("fail a call, and not the next, " .. what, function()
      run(([[
        local good, bad = 0, 0
        each(function(n)
          local c = uqpay.new(with_token(%s))
          leave(n)
          local result = styles[1].all(c, times(1))[1]
          free()
          if check(n, result) then good = good + 1 else bad = bad + 1 end
          assert(c:balance "USD")
          c:close()
        end)
        assert(good > 3 and bad > 0, good .. " good ones, and " .. bad)
      ]]):format(changes))
    end)
  end

  for _, version in ipairs { "1.1", "2" } do
    it("fail some of twenty calls at once, HTTP/" .. version, function()
      run(([[
        local good = 0
        each(function(n)
          local c = uqpay.new(with_token { base_url = sandbox.url, http_version = %q })
          leave(n)
          local running = styles[2].start(c, times(20))
          local results = running:finish()
          free()
          same(20, #results)
          for _, result in ipairs(results) do
            if check(0, result) then good = good + 1 end
          end
          for _, result in ipairs(styles[2].all(c, times(5))) do check(10, result) end
          c:close()
        end)
        assert(good > 20, good)
      ]]):format(version))
    end)
  end

  it("fail a login or a token store, and leave no lock behind", function()
    run [[
      local path = os.tmpname()
      os.remove(path)
      local ours, theirs = uqpay.file_store(path), uqpay.file_store(path)
      local key = sandbox.http_url .. " " .. sandbox.client_id
      local shared, alone, failed = 0, 0, 0
      each(function(n)
        assert(theirs:set(key))
        local c = uqpay.new(options { token_store = ours })
        leave(n)
        local result = styles[1].all(c, times(1))[1]
        free()
        if not check(n, result) then
          failed = failed + 1
        elseif theirs:get(key) then
          shared = shared + 1
        else
          alone = alone + 1
          assert(c:stats().hook_errors > 0)
        end
        assert(theirs:lock(key) == true, "the lock is not given back")
        assert(theirs:unlock(key))
        assert(c:balance "USD")
        c:close()
      end)
      assert(shared > 3 and failed > 0, shared .. " " .. alone .. " " .. failed)
      os.remove(path)
      os.remove(path .. ".lock")
      for name in io.popen("ls " .. path .. "* 2>/dev/null"):lines() do error(name) end
    ]]
  end)

  it("leave a client without one of its own until there are more", function()
    run [[
      if uqpay.info().poller == "poll" then return end     -- it never has one
      each(function(n)
        local c = uqpay.new(options())
        leave(n)
        local fd = c:pollfd()
        if n >= 8 then assert(fd) elseif n == 0 then same(nil, fd) end
        free()
        assert(c:pollfd())
        assert(c:balance "USD")
        c:close()
      end)
    ]]
  end)
end)
