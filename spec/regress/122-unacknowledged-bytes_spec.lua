-- A peer that acknowledges nothing is dead, and the system knows that in seconds. A call
-- waited for its whole timeout. In a network namespace, where the system permits that:
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

-- The clients beside each other: over both versions, with one call after another and with
-- many at once.
local code = [[
  local way = %q
  local sandbox = require "spec.sandbox.sandbox".start()
  local socket = require "socket"
  local uqpay = require "uqpay"
  local runs, KEPT = {}, 16
  for _, version in ipairs { "1.1", "2" } do
    for _, at_once in ipairs { 1, 32 } do
      runs[#runs + 1] = { version = version, at_once = at_once, calls = {},
        client = uqpay.new { base_url = sandbox.url, ca_file = sandbox.ca_file,
          rate_limit = 0, token = sandbox.token, http_version = version, timeout = 60,
          max_retries = 0 } }
    end
  end
  local function begin(run)
    run.calls[#run.calls + 1] = run.client:start_balance "USD"
    run.left = run.left - 1
  end
  local function ask(run)
    while run.left > 0 and #run.calls < run.at_once do begin(run) end
    run.client:step(0.002)
    for n = #run.calls, 1, -1 do
      if run.calls[n]:step() then
        local balance, message = table.remove(run.calls, n):result()
        if not balance then
          error(("HTTP/%%s, %%d at once: %%s"):format(run.version,
            run.at_once, message))
        end
      end
    end
    return #run.calls > 0
  end
  local function finish()
    local going
    repeat
      going = false
      for _, run in ipairs(runs) do going = ask(run) or going end
    until not going
  end
  local function connect()
    sandbox.fault { kind = "delay", hold = true, seconds = 20, times = #runs * KEPT }
    for _, run in ipairs(runs) do
      run.left = KEPT
      for _ = 1, KEPT do begin(run) end
    end
    repeat
      for _, run in ipairs(runs) do run.client:step(0.002) end
    until #sandbox.requests() >= #runs * KEPT
    sandbox.release()
    finish()
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
  connect()
  ip "route replace local 127.0.0.1 dev lo src 127.0.0.3 table local"
  ways[way]()
  local start = socket.gettime()
  for _, run in ipairs(runs) do run.left = math.max(run.at_once, KEPT + 2) end
  finish()
  print("took", socket.gettime() - start)
]]

local function permitted()
  return driver.output(driver.command("unshare", "-n", "sh", "-c", enter)
    .. " 2>&1; echo $?") == "0\n"
end

describe("connections whose peer acknowledges nothing", function()
  for _, way in ipairs { "unheard", "unsent" } do
    it("cost seconds and no call: " .. way, function()
      if not permitted() then return pending "no network namespace of our own" end
      local text = driver.output(driver.command("unshare", "-n", "sh", "-c", within,
        driver.here .. "/../../src/bin/uqpay-sandbox", "LUA_PATH=" .. package.path,
        "LUA_CPATH=" .. package.cpath, "ASAN_OPTIONS=detect_leaks=0",
        os.getenv "UQPAY_LUA", "-e", code:format(way)) .. " 2>&1; echo \"exit $?\"")
      assert.matches("exit 0\n$", text)
      local took = driver.number(driver.pointed(text):match "took%s+([%d.]+)")
      assert.is_true(took < 18, text) -- a third of the timeout would be 20
    end)
  end
end)
