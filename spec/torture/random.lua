-- random.lua RUNS: so many storms (random_storm.lua), each with a seed and an interpreter
-- of its own, against random_server.lua. The first seed is that of spec.support.random. A
-- storm fails with a crash, a sanitizer's report, a leak, a call that hangs, or what it
-- reports as broken. Its seed is printed then, and the command that repeats it.

local driver = require "spec.support.driver"
local random = require "spec.support.random"

local RUNS = tonumber(arg[1])
local AT_ONCE = 12      -- storms; they wait more than they work
local LIMIT = 60        -- seconds for one
local SHOWN = 60        -- lines of one that failed
local ENOUGH = 40       -- storms that reach every place

local places = {}
for place in ("program on_request on_response on_retry token get set lock unlock source "
  .. "progress finalizer coroutine"):gmatch "%S+" do
  places[#places + 1] = place
  places[place] = 0
end

-- The server ends with its input, that is with this process.
local function start_server()
  local dir = driver.directory "random"
  os.execute(driver.command("mkfifo", dir .. "/port"))
  local server = io.popen(([["${UQPAY_FAULTY_LUA:-lua5.4}" %s > %s]]):format(
    driver.quote "spec/torture/random_server.lua", driver.quote(dir .. "/port")), "w")
  local file = io.open(dir .. "/port")
  local port = file:read "*l"
  file:close()
  os.execute(driver.command("rm", "-rf", dir))
  return server, assert(port, "the server did not start")
end

-- A storm that has ended; counts what it did.
local function has_passed(output)
  for place, n in output:gmatch "operations\t(%S+)\t(%d+)" do
    places[place] = places[place] + tonumber(n)
  end
  return output:find "\ncalm\nexit 0\n$"
end

local function show(seed, output)
  local lines = driver.lines(output)
  print(("FAILED: seed %d; once more: make torture-random RANDOM_LUAS=%s SEED=%d"):format(
    seed, os.getenv "UQPAY_RANDOM_LUA", seed))
  for n = 1, math.min(#lines, SHOWN) do print("  " .. lines[n]) end
  if #lines > SHOWN then print(("  (%d more)"):format(#lines - SHOWN)) end
  io.stdout:flush()
end

local server, port = start_server()
local first = random.seed
print(("seeds %d to %d"):format(first, first + RUNS - 1))

local storms, passed, failed = {}, 0, 0

local function launch(seed)
  storms[#storms + 1] = { seed = seed, pipe = assert(io.popen(driver.command("timeout",
    "-s", "ABRT", "-k", "5", LIMIT, os.getenv "UQPAY_LUA",
    "spec/torture/random_storm.lua", ("%d"):format(seed), port)
    .. " 2>&1 < /dev/null; echo \"exit $?\"")) }
end

for n = 1, RUNS + AT_ONCE do
  if n <= RUNS then launch(first + n - 1) end
  local storm = (n > RUNS or #storms == AT_ONCE) and table.remove(storms, 1)
  if storm then
    local output = storm.pipe:read "*a"
    storm.pipe:close()
    if has_passed(output) then
      passed = passed + 1
    else
      failed = failed + 1
      show(storm.seed, output)
    end
  end
end
server:close()

local counts = {}
for n, place in ipairs(places) do
  counts[n] = place .. " " .. places[place]
  if RUNS >= ENOUGH and places[place] == 0 then
    failed = failed + 1
    print("FAILED: no operation was made within " .. place)
  end
end
print("operations: " .. table.concat(counts, ", "))
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and 0 or 1)
