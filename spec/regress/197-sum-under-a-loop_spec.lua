-- uqpay.sum of what an iterator gives raised "attempt to yield across a C-call boundary"
-- under event loops and in nginx.

local driver = require "spec.support.driver"
local nginx = require "spec.support.nginx"
local sandbox = require "spec.sandbox.sandbox"

local CODE = [[
  local uqpay, c = require(loops_module), client { amounts = "exact" }
  go(function()
    local next_item, n = c:each_transaction { page_size = 10 }, 0
    local total = uqpay.sum(function()
      local item = next_item()
      n = n + (item and 1 or 0)
      return item and item.amount
    end)
    local next_again, right = c:each_transaction { page_size = 100 }, uqpay.amount(0)
    local item = next_again()
    while item do right, item = right + item.amount, next_again() end
    say(n > 10, total == right)
    local failing = c:each_transaction { start_time = "x", on_error = "return" }
    local sum, _, err = uqpay.sum(failing)
    say(sum, err.kind)
  end)
  run()
  say(uqpay.sum { "0.1", "0.2" }, uqpay.sum(function() end))
  say(select(2, pcall(uqpay.sum, function() return {} end)))
  say(select(2, pcall(uqpay.sum, { {} })))
  say(select(2, pcall(uqpay.sum, 5)))
]]

local EXPECTED = table.concat({
  "true\ttrue", "nil\tinvalid_request", "0.3\t0",
  "bad element 1 to 'sum' (amount, decimal string or whole number expected, got table)",
  "bad element 1 to 'sum' (amount, decimal string or whole number expected, got table)",
  "bad argument #1 to 'sum' (table expected, got number)", "",
}, "\n")

describe("a sum of what an iterator gives", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, loop in ipairs { "cqueues", "luv", "copas4" } do
    it("is waited for under " .. loop, function()
      if loop ~= "copas4" and not driver.has_loop(loop) then
        return pending("no package of it for " .. _VERSION)
      end
      local env = os.getenv "UQPAY_SANDBOX_ENV" or driver.kept "sandbox".dir .. "/env"
      local text = driver.output(driver.command("env", "ASAN_OPTIONS=detect_leaks=0",
        "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath,
        "UQPAY_SANDBOX_ENV=" .. env, "timeout", "60", os.getenv "UQPAY_LUA",
        "spec/support/loops.lua", loop, 'loops_module = "uqpay.'
          .. loop:gsub("%d", "") .. '" ' .. CODE) .. " 2>&1")
      assert.equal(EXPECTED, (text:gsub("[^\n]-%.lua:%d+: ", "")
        :gsub("%[string [^\n]-%]:%d+: ", "")))
    end)
  end

  it("is waited for in nginx", function()
    if not rawget(_G, "jit") then return pending "nginx's Lua is LuaJIT" end
    local server = nginx.start { ["/sum"] = [[
      local c, n = uqpay.new(options { amounts = "exact" }), 0
      local next_item = c:each_transaction { page_size = 10 }
      local total, message = uqpay.sum(function()
        local item = next_item()
        n = n + (item and 1 or 0)
        return item and item.amount
      end)
      ngx.say(tostring(total), " ", n > 10, message or "")]] }
    local status, body = server:get "/sum"
    server:stop()
    assert.equal(200, status, body)
    assert.matches("^%-?[%d.]+ true\n$", body)
  end)
end)
