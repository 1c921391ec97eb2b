-- The wall clock is set, by hours or to another age, while calls and tokens are
-- under way: what was begun takes as long as it was to take. Only what comes from outside
-- as a time of day is held against that clock, once. In children whose clocks are moved.

local child = require "spec.support.child"
local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

-- Each wait is put to every step, and then to its time. Steps lead to where their names
-- say, and do not add up.
local prelude = [[
  local real = os.time()
  local list = { { "right", 0 }, { "hours behind", -7200 }, { "hours ahead", 7200 },
    { "before 1970", -real - 2e8 } }
  if require "spec.support.driver".has_late_dates() then
    list[5] = { "far ahead", 8e9 }
  end
  local function steps()
    local n = 0
    return function()
      n = n + 1
      if list[n] then return unpack(list[n]) end
    end
  end
  local stepped = 0
  local function set(seconds)
    shift.realtime(seconds - stepped)
    stepped = seconds
  end
  -- Its call waits for that long, and no step changes that.
  local function patient(c, call, seconds)
    for name, step in steps() do
      set(step)
      c:step(0)
      if call:step() then error(name .. ": it waits no more", 2) end
      local left = call:timeout()
      if not (left > 0 and left <= seconds) then error(name .. ": waits " .. left, 2) end
    end
    set(0)
  end
  local function finish(c, call)
    wait_until(function() return call:step() end, function() c:step(0.01) end)
    return call:result()
  end
  -- One that retries, and a call of it that does.
  local function retrying(changes)
    local told
    changes.on_retry = function(info) told = info end
    local c = uqpay.new(options(changes))
    local call = c:start_balance "USD"
    wait_until(function() return told end, function()
      c:step(0.01)
      call:step()
    end)
    return c, call, told
  end
]]

local function run(code)
  child.run(prelude .. code, "shift")
end

describe("a wall clock that is set, before, behind or back,", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  describe("changes no wait", function()
    it("for a retry", function()
      sandbox.fault { kind = "html", endpoint = "balance" }
      run [[
        local c, call = retrying { retry_delay = 20, retry_delay_max = 20 }
        patient(c, call, 20)
        shift.monotonic(21)
        assert(finish(c, call))
      ]]
    end)

    it("that the server asked for, in seconds or as a date", function()
      for _, value in ipairs { "25", driver.http_date(os.time() + 25) } do
        sandbox.reset()
        sandbox.fault { kind = "rate_limit", retry_after = value, endpoint = "balance" }
        run [[
          local c, call, told = retrying {}
          assert(told.wait > 10 and told.wait < 26, told.wait)
          patient(c, call, 26)
          shift.monotonic(26)
          assert(finish(c, call))
        ]]
      end
    end)

    it("for a turn under the rate limit, nor a pause of all", function()
      run [[
        local c = uqpay.new(options { rate_limit = 6 })
        assert(c:balance "USD")
        local call = c:start_balance "USD"
        patient(c, call, 30)
        shift.monotonic(12)
        assert(finish(c, call))
        local queued = c:start_balance { currency = "USD", queued = true }
        patient(c, queued, 30)
        shift.monotonic(12)
        assert(finish(c, queued))
      ]]
    end)

    it("for an answer, and no deadline", function()
      run [[
        sandbox.settings { hold = "balance" }
        local c = uqpay.new(options { timeout = 20 })
        local call = c:start_balance "USD"
        wait_until(function() return count "balance" == 1 end, function()
          c:step(0.01)
          call:step()
        end)
        patient(c, call, 20)
        shift.monotonic(21)
        local balance, _, err = finish(c, call)
        assert(not balance and err.kind == "timeout" and err.elapsed < 60, err.message)
      ]]
    end)

    it("of a call that blocks", function()
      run [[
        sandbox.settings { hold = "balance" }
        local step
        local c = uqpay.new(options { max_retries = 0,
          on_request = function(info)
            if info.endpoint == "balance" then set(step) end
          end })
        assert(c:token())
        for name, seconds in steps() do
          step = seconds
          local before = clock()
          local balance, message, err = c:balance("USD", { timeout = 0.05 })
          assert(not balance and err.kind == "timeout", message)
          assert(clock() - before >= 0.05, name)
        end
      ]]
    end)

    it("for the lock of a token store", function()
      run [[
        local path = os.tmpname()
        os.remove(path)
        local theirs, ours = uqpay.file_store(path), uqpay.file_store(path)
        local key = sandbox.http_url .. " " .. sandbox.client_id
        for _, granted in ipairs { true, false } do
          assert(theirs:lock(key))
          local c = uqpay.new(options { token_store = ours, timeout = 20 })
          local call = c:start_balance "USD"
          patient(c, call, 20)
          if granted then
            assert(theirs:unlock(key))
            assert(finish(c, call))
            assert(theirs:set(key))
          else
            shift.monotonic(21)
            local balance, message, err = finish(c, call)
            assert(not balance and err.kind == "timeout", message)
            assert(message:find("no lock of the token store", 1, true), message)
          end
          c:close()
        end
        os.remove(path)
        os.remove(path .. ".lock")
      ]]
    end)
  end)

  it("has dates of the server not believed, which are an hour or more away", function()
    run("local date = '" .. driver.http_date(os.time() + 25) .. [['
      for name, step in steps() do
        set(step)
        if step ~= 0 then
          sandbox.fault { kind = "rate_limit", retry_after = date, endpoint = "balance" }
          local c, call, told = retrying {}
          assert(told.wait < 1, name .. ": waits " .. told.wait)
          assert(finish(c, call))
        end
      end
    ]])
  end)

  it("has certificates refused, no longer than it is wrong", function()
    run [[
      local c = uqpay.new(options { base_url = sandbox.url })
      for name, step in steps() do
        set(step)
        local balance, message, err = c:balance "USD"
        if name == "before 1970" or name == "far ahead" then
          assert(not balance and err.kind == "tls", name)
          assert(message:find("certificate", 1, true), message)
        elseif name == "right" then
          assert(balance, message)
        end
        c:close()
        c = uqpay.new(options { base_url = sandbox.url })
      end
      set(0)
      assert(c:balance "USD")
    ]]
  end)

  describe("ends no token", function()
    for _, form in ipairs { "seconds", "milliseconds", "string", "past", "zero" } do
      it("of a login that told its end as " .. form .. ", whenever it came", function()
        sandbox.settings { expired_at = form }
        run [[
          for came, first in steps() do
            set(first)
            local c = uqpay.new(options())
            assert(c:balance "USD")
            for name, step in steps() do
              set(step)
              assert(c:balance "USD")
              same(1, c:stats().logins, came .. ", " .. name)
            end
            set(0)
            local token, ends = c:token()
            assert(token and ends > 0, came)
            sandbox.expire_minted()                 -- a 401 tells
            assert(c:balance "USD")
            same(2, c:stats().logins)
          end
        ]]
      end)
    end
  end)

  -- A store keeps wall clock times: a process whose clock is wrong logs in, or gets
  -- a 401, and the next one is right again.
  it("costs a login with a token store, and no call", function()
    run [[
      local path = os.tmpname()
      os.remove(path)
      local store = uqpay.file_store(path)
      local function new() return uqpay.new(options { token_store = store }) end
      for came, first in steps() do
        set(first)
        local one = new()
        assert(one:balance "USD")
        for name, step in steps() do
          set(step)
          local where = came .. ", " .. name
          assert(one:balance "USD")
          same(1, one:stats().logins, where)
          local two = new()
          assert(two:balance "USD")
          if step == first then same(0, two:stats().logins, where) end
          same(0, two:stats().hook_errors, where)
        end
        same(0, one:stats().hook_errors, came)
        set(0)
        sandbox.expire_minted()
        local before = count "token"
        for _ = 1, 3 do
          local c = new()
          assert(c:balance "USD")
        end
        same(before + 1, count "token", came)
        assert(store:set(sandbox.http_url .. " " .. sandbox.client_id))
      end
      os.remove(path)
      os.remove(path .. ".lock")
    ]]
  end)
end)
