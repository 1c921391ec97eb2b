-- The `progress` of a batch could not yield under event loops and in nginx any more, as
-- that of a list can: its error was counted, and what it had to tell was lost.

local driver = require "spec.support.driver"
local nginx = require "spec.support.nginx"
local sandbox = require "spec.sandbox.sandbox"

local CODE = [[
  local c, told = client(), {}
  go(function()
    local next_balance = c:batch({ "USD", "SGD", "usd" }, { progress = function(info)
      sleep(0.01)
      told[#told + 1] = info.done .. "/" .. info.total .. " " .. info.failed
    end })
    local query = next_balance()
    while query do query = next_balance() end
    say(table.concat(told, ", "):match "3/3 1$", #told, c:stats().hook_errors)
  end)
  run()
]]

describe("the progress of a batch", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, loop in ipairs { "cqueues", "luv", "copas4" } do
    it("may yield under " .. loop, function()
      if loop ~= "copas4" and not driver.has_loop(loop) then
        return pending("no package of it for " .. _VERSION)
      elseif _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
        return pending "its pcall cannot be yielded across"
      end
      local env = os.getenv "UQPAY_SANDBOX_ENV" or driver.kept "sandbox".dir .. "/env"
      local text = driver.output(driver.command("env", "ASAN_OPTIONS=detect_leaks=0",
        "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath,
        "UQPAY_SANDBOX_ENV=" .. env, "timeout", "60", os.getenv "UQPAY_LUA",
        "spec/support/loops.lua", loop, CODE) .. " 2>&1")
      assert.equal("3/3 1\t3\t0\n", text)
    end)
  end

  it("may yield in nginx", function()
    if not rawget(_G, "jit") then return pending "nginx's Lua is LuaJIT" end
    local server = nginx.start { ["/batch"] = [[
      local c = uqpay.new(options())
      for _ in c:batch({ "USD", "SGD" }, { progress = function(info)
        ngx.sleep(0.001)
        ngx.say(info.done, "/", info.total)
      end }) do end
      ngx.say(c:stats().hook_errors)]] }
    local status, body = server:get "/batch"
    server:stop()
    assert.equal(200, status, body)
    assert.equal("1/2\n2/2\n0\n", body)
  end)
end)
