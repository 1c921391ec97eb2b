-- Expiry of tokens: they are renewed before it while calls continue with
-- the old one, whatever the wall clock says. In children whose clocks are moved.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"
local styles = require "spec.support.styles"

local function run(style, code)
  child.run("local style = styles[" .. style .. "] " .. code, "shift")
end

local names = {}
for number, style in ipairs(styles) do names[number] = style.name end

describe("a token", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for style, name in ipairs(names) do
    it("that is old is renewed while calls use it, " .. name, function()
      run(style, [[
        local c = style.new(options())
        good(style.all(c, times(2)))
        shift.monotonic(1600)
        sandbox.settings { hold = "token" }
        good(style.all(c, times(5)))
        wait_until(function() return count "token" == 2 end)
        good(style.all(c, times(3)))
        same("1 1 1 1 1 1 1 1 1 1", tokens())
        sandbox.settings { hold = "" }
        wait_until(function() return tokens():find "2$" end,
          function() good(style.all(c, times(1))) end)
        good(style.all(c, times(2)))
        same(2, count "token")
        same(2, c:stats().logins)
        same(nil, sandbox.sent "x-auth-token".token)
      ]])
    end)

    it("that a hook drops as it is renewed is waited for, " .. name, function()
      run(style, [[
        local c
        c = style.new(options { on_request = function(info)
          if info.endpoint == "token" then c:invalidate_token() end
        end })
        good(style.all(c, times(1)))
        shift.monotonic(1600)
        good(style.all(c, times(1)))
        same("1 2", tokens())
      ]])
    end)

    it("that has expired is not used when there is no other, " .. name, function()
      run(style, [[
        local c = style.new(options())
        good(style.all(c, times(1)))
        shift.monotonic(1801)
        sandbox.fault { kind = "html", endpoint = "token", times = 3 }
        local message = style.all(c, times(1))[1][2]
        assert(message:find("login failed: HTTP 502", 1, true), message)
        good(style.all(c, times(1)))
        same("1 2", tokens())
      ]])
    end)

    it("whose renewal fails is still used, and renewed later, " .. name, function()
      run(style, [[
        local c = style.new(options())
        good(style.all(c, times(1)))
        shift.monotonic(1600)
        sandbox.fault { kind = "html", endpoint = "token", times = 3 }
        wait_until(function() return count "token" == 4 end,
          function() good(style.all(c, times(1))) end)
        for _ = 1, 5 do good(style.all(c, times(2))) end
        same(4, count "token")       -- a login of three attempts, and a pause
        assert(not tokens():find "2")
        shift.monotonic(11)
        wait_until(function() return tokens():find "2$" end,
          function() good(style.all(c, times(1))) end)
        same(5, count "token")
        same(3, c:stats().logins)
        same(c:stats().calls, c:stats().succeeded)
      ]])
    end)

    it("whose renewal is answered 429 delays no call, " .. name, function()
      run(style, [[
        local c = style.new(options { timeout = 10 })
        good(style.all(c, times(1)))
        shift.monotonic(1600)
        sandbox.fault { kind = "rate_limit", retry_after = "50", endpoint = "token" }
        wait_until(function() return count "token" == 2 end,
          function() good(style.all(c, times(1))) end)
        for _ = 1, 3 do good(style.all(c, times(1))) end
        assert(not tokens():find "2")
      ]])
    end)

    it("in its last seconds, or past its end, is not used, " .. name, function()
      run(style, [[
        local c = style.new(options())
        for _, seconds in ipairs { 0, 1793, 1801, 100000 } do
          shift.monotonic(seconds)
          good(style.all(c, times(2)))
        end
        same("1 1 2 2 3 3 4 4", tokens())
      ]])
    end)

    it("stays valid whatever the wall clock says, " .. name, function()
      run(style, [[
        local c = style.new(options())
        good(style.all(c, times(1)))
        for _, seconds in ipairs { 1e7, -2e7, 1e7, 1790, -3580 } do
          shift.realtime(seconds)
          good(style.all(c, times(1)))
        end
        same("1 1 1 1 1 1", tokens())
        same(1, count "token")
      ]])
    end)

    it("is kept though the wall clock is wrong when it comes, " .. name, function()
      run(style, [[
        for _, seconds in ipairs { 7200, -14400 } do
          shift.realtime(seconds)
          local c = style.new(options())
          for _ = 1, 3 do good(style.all(c, times(2))) end
          same(1, c:stats().logins)
        end
      ]])
    end)

    it("that a slow clock keeps too long is renewed by a 401, " .. name, function()
      run(style, [[
        shift.realtime(-14400)
        local c = style.new(options())
        good(style.all(c, times(1)))
        sandbox.expire_minted()
        good(style.all(c, times(3)))
        same(2, count "token")
      ]])
    end)
  end

  it("with next to no life is good for the calls that waited for it", function()
    run(2, [[
      shift.realtime(-3) -- by this clock it lives 3 to 4 seconds, on a slow machine, too
      sandbox.settings { token_life = 1 }
      local c = style.new(options())
      for _ = 1, 3 do
        good(style.all(c, times(5)))
        shift.monotonic(4)
      end
      same(3, count "token")
    ]])
  end)

  it("is renewed once for many calls at once", function()
    run(2, [[
      local c = style.new(options())
      good(style.all(c, times(1)))
      shift.monotonic(1600)
      good(style.all(c, times(50)))
      wait_until(function() return tokens():find "2$" end,
        function() good(style.all(c, times(1))) end)
      same(2, count "token")
    ]])
  end)

  it("is taken from an abandoned renewal, however late", function()
    for style = 1, #styles do
      sandbox.reset()
      run(style, [[
        local c = style.new(options())
        good(style.all(c, times(1)))
        shift.monotonic(1600)
        sandbox.settings { hold = "token" }
        good(style.all(c, times(1)))
        wait_until(function() return count "token" == 2 end)
        sandbox.settings { hold = "" }
        wait_until(function() return #sandbox.mints() == 2 end)
        shift.monotonic(100)            -- the old one is good still
        good(style.all(c, times(1)))
        good(style.all(c, times(3)))
        same(2, #sandbox.mints())
        assert(tokens():find "2 2 2$", tokens())
      ]])
    end
  end)

  it("of a function is kept by the same clock", function()
    run(1, [[
      local asked, ends = 0, os.time() + 1000
      local c = style.new(options { client_id = false, api_key = false,
        token = function()
          asked = asked + 1
          return sandbox.token, ends
        end })
      for _, seconds in ipairs { 0, 1e7, -2e7, 1e7 } do
        shift.realtime(seconds)
        good(style.all(c, times(1)))
      end
      same(1, asked)
      shift.monotonic(930)
      good(style.all(c, times(1)))
      same(1, asked)
      shift.monotonic(20)
      good(style.all(c, times(1)))
      same(2, asked)
    ]])
  end)
end)
