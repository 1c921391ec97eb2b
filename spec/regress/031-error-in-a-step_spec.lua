-- A step that raised (out of memory, or a debug hook) behind the end of its call left the
-- call without a result but "the client was closed"; and any error was taken for a lack
-- of memory.

local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

local unpack = table.unpack or unpack

local function pack(...) return { n = select("#", ...), ... } end

-- Steps calls that run out of memory at their first, second, ... allocation, until one
-- does not, and each time makes another call. In a child that leaves without a word to
-- memory checkers: lua-cjson loses its buffer when it runs out of memory.
local starve = [[
  local fork, uqpay = require "fork", require "uqpay"
  local function hook() end
  local client = uqpay.new {
    base_url = %q, ca_file = %q, token = %q, on_request = hook, on_response = hook,
    on_retry = hook, max_retries = 0,
  }
  local ended, seen = 0, {}
  for n = 0, 300 do
    local call = client:start_balance(%q)
    while not call:dirty() do client:step(1) end
    collectgarbage "stop"
    local starved, ok, message = fork.starve(n, function() return call:step() end)
    collectgarbage "restart"
    assert(ok or message:find("not enough memory", 1, true), message)
    if not ok and call:done() then ended = ended + 1 end
    while not call:step() do client:step(1) end
    local balance, message, err = call:result()
    local again, same, table = call:result()
    assert(again == balance and same == message and table == err)
    assert(ok or ended == 0 or err.kind == "memory")
    seen[balance and "balance" or err.kind] = true
    assert(client:balance "SGD".available_balance == 10000)
    local stats = client:stats()
    assert(stats.calls == stats.succeeded + stats.failed)
    if not starved then break end
    assert(n < 300)
  end
  assert(ended > 3)
  local list = {}
  for kind in pairs(seen) do list[#list + 1] = kind end
  table.sort(list)
  print(table.concat(list, " "))
  io.stdout:flush()
  fork.leave(0)
]]

describe("an error raised in a step", function()
  local client

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    local function hook() end
    client = fixture.client {
      on_request = hook, on_response = hook, on_retry = hook, max_retries = 0,
    }
  end)
  after_each(function() client:close() end)

  -- Steps the call to its end, if it is not there. What it gives is the same when it is
  -- sent again, and the client's next call succeeds.
  local function results(call)
    while not call:step() do client:step(1) end
    local list = pack(call:result())
    assert.same(list, pack(call:result()))
    assert.equal(10000, fixture.succeeded(client:balance "SGD").available_balance)
    local stats = client:stats()
    assert.equal(stats.calls, stats.succeeded + stats.failed)
    return unpack(list, 1, list.n)
  end

  local cases = { USD = "balance memory", ZZZ = "invalid_request memory" }
  for currency, kinds in pairs(cases) do
    it("for lack of memory ends a call whose answer has come: " .. currency, function()
      local code = starve:format(sandbox.url, sandbox.ca_file, sandbox.token, currency)
      assert.equal(kinds .. "\n", driver.output(driver.command("env", "LUA_CPATH="
        .. package.cpath, os.getenv "UQPAY_LUA", "-e", code) .. " 2>&1"))
    end)
  end

  it("by a debug hook cancels the call", function()
    local seen = {}
    for n = 1, 200 do
      local call = client:start_balance "USD"
      client:step(5)
      local calls, armed = 0, true
      local ok, message = pcall(function()
        debug.sethook(function()
          calls = calls + 1
          if armed and calls == n then error "stop it" end
        end, "c")
        call:step()
        armed = false
      end)
      armed = false
      debug.sethook()
      if not ok then assert.matches("stop it", message, 1, true) end
      if ok or not call:done() then
        fixture.succeeded(results(call))
      else
        local err = fixture.failed("canceled", results(call))
        assert.equal("canceled", err.retry_stopped)
        seen.canceled = true
      end
      if ok and calls < n then break end
    end
    -- LuaJIT calls no debug hook for a C function that C calls
    assert.is_true(seen.canceled or jit ~= nil)
  end)
end)
