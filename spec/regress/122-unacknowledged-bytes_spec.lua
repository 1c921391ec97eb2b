-- A peer that acknowledges nothing is dead, and the system knows that in seconds. A call
-- waited for its whole timeout. In a network of its own, where the system permits that:
-- there the client's first address stops to exist between two calls, for the peer or for
-- both.

local driver = require "spec.support.driver"

local enter = "ip link set lo up && "
  .. "ip route replace local 127.0.0.1 dev lo src 127.0.0.2 table local"

-- The sandbox is there, too.
local within = enter .. [[
   || exit 99
  dir=$(mktemp -d) && sh "$0" start "$dir" > "$dir.log" 2>&1 || exit 98
  env UQPAY_SANDBOX_ENV="$dir/env" "$@"
  status=$?
  sh "$0" stop "$dir"
  rm -f "$dir.log"
  exit $status]]

local prelude = [[
  local sandbox = require "spec.support.sandbox".start()
  local socket = require "socket"
  local uqpay = require "uqpay"
  local client
  local function begin(count)
    local calls = {}
    for n = 1, count do calls[n] = client:start_balance "USD" end
    return calls
  end
  local function finish(calls)
    for _, call in ipairs(calls) do
      while not call:step() do client:step(1) end
      assert(call:result())
    end
  end
  local function connect(version)
    client = uqpay.new { base_url = sandbox.url, ca_file = sandbox.ca_file,
      rate_limit = 0, token = sandbox.token, http_version = version, timeout = 60,
      max_retries = 0 }
    sandbox.fault { kind = "delay", hold = true, seconds = 20, times = 16 }
    local calls = begin(16)
    repeat client:step(0.01) until #sandbox.requests() >= 16
    sandbox.release()
    finish(calls)
  end
  local function ip(...)
    for _, command in ipairs { ... } do assert(os.execute("ip " .. command)) end
  end
  local ways = {}
  -- what the peer sends is lost
  function ways.unheard()
    ip("rule add pref 10 lookup local", "rule del pref 0",
      "rule add pref 5 to 127.0.0.2 blackhole")
  end
  -- the system sends nothing any more
  function ways.unsent() ip "route add blackhole 127.0.0.2 table local" end
  local function die(way)
    ip "route replace local 127.0.0.1 dev lo src 127.0.0.3 table local"
    ways[way]()
  end
]]

local function permitted()
  return driver.output(driver.command("unshare", "-n", "sh", "-c", enter)
    .. " 2>&1; echo $?") == "0\n"
end

describe("connections whose peer acknowledges nothing", function()
  local function run(code)
    return driver.output(driver.command("unshare", "-n", "sh", "-c", within,
      driver.here .. "/sandbox.sh", "LUA_PATH=" .. package.path,
      "LUA_CPATH=" .. package.cpath,
      "ASAN_OPTIONS=detect_leaks=0", os.getenv "UQPAY_LUA", "-e", prelude .. code)
      .. " 2>&1; echo \"exit $?\"")
  end

  local function survives(version, way, code)
    local before = "connect %q die %q local start = socket.gettime() "
    local text = run(before:format(version, way) .. code
      .. " print('took', socket.gettime() - start)")
    assert.matches("exit 0\n$", text)
    local took = driver.number(driver.pointed(text):match "took%s+([%d.]+)")
    assert.is_true(took < 18, text) -- a third of the timeout would be 20
  end

  for _, version in ipairs { "1.1", "2" } do
    for _, way in ipairs { "unheard", "unsent" } do
      local title = (", HTTP/%s, %s"):format(version, way)

      it("cost seconds and no call, one after another" .. title, function()
        if not permitted() then return pending "no network namespace of our own" end
        survives(version, way, "for _ = 1, 18 do assert(client:balance 'USD') end")
      end)

      it("cost seconds and no call, many at once" .. title, function()
        if not permitted() then return pending "no network namespace of our own" end
        survives(version, way, "finish(begin(32))")
      end)
    end
  end
end)
