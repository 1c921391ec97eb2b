-- Interpreters of their own, run by the Lua that runs the specs: for what may go wrong in
-- one, for what takes several, and for clocks that a spec moves.

local assert = require "luassert"
local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

local child = {}
local unpack = table.unpack or unpack

-- The prelude of each. It joins the sandbox of the specs, logs in to it, and has the
-- styles of calls; good(results) raises unless all are balances.
local prelude = [[
  local sandbox = require "spec.sandbox.sandbox".start()
  local styles = require "spec.support.styles"
  local uqpay = require "uqpay"
  local unpack = table.unpack or unpack
  local function options(changes)
    local all = {
      base_url = sandbox.http_url, ca_file = sandbox.ca_file,
      client_id = sandbox.client_id, api_key = sandbox.api_key,
      timeout = 30, retry_delay = 0.002, retry_delay_max = 0.004,
    }
    for name, value in pairs(changes or {}) do all[name] = value or nil end
    return all
  end
  local function times(n)
    local list = {}
    for i = 1, n do list[i] = { "balance", "USD" } end
    return list
  end
  local function good(results)
    for _, result in ipairs(results) do
      if result.n > 1 then error(result[2], 2) end
    end
  end
  local function count(endpoint)
    return sandbox.counts().endpoints[endpoint] or 0
  end
  local function tokens()
    return table.concat(sandbox.mint_numbers(), " ")
  end
  local function same(expected, got)
    if expected ~= got then
      error(("expected %s, got %s"):format(tostring(expected), tostring(got)), 2)
    end
  end
  local clock = require "uqpay.internal".clock
  local function wait_until(condition, step)
    local ends = clock() + 60
    while not condition() do
      assert(clock() < ends, "timed out")
      if step then step() end
    end
  end
  local function say(...)
    print(...)
    io.stdout:flush()
  end
]]

local function sandbox_env()
  return os.getenv "UQPAY_SANDBOX_ENV" or driver.kept "sandbox".dir .. "/env"
end

-- The command that runs code. library: one of the specs that is preloaded, and a local of
-- the child: "shift" moves its clocks, "disk" has its disk fail, "scarce" denies memory
-- (support/*.c).
function child.command(code, library)
  local words = { "env", "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath,
    "UQPAY_SANDBOX_ENV=" .. sandbox_env(), "ASAN_OPTIONS=detect_leaks=0" }
  if library then
    words[#words + 1] = "UQPAY_WRAP=" .. driver.preload(library)
    code = ("local %s = require '%s' "):format(library, library) .. code
  end
  words[#words + 1] = os.getenv "UQPAY_LUA"
  words[#words + 1] = "-e"
  words[#words + 1] = prelude .. code
  return driver.command(unpack(words))
end

-- Runs code to its good end, and returns what it printed. before: what stands before the
-- command in the shell.
function child.run(code, library, before)
  sandbox.start()
  local text = driver.output((before or "") .. child.command(code, library)
    .. " 2>&1; echo \"exit $?\"")
  local output, status = text:match "^(.*)exit (%d+)\n$"
  assert.equal("0", status, output)
  return output
end

return child
