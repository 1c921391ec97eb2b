-- The child of an event loop spec: lua loops.lua LOOP CODE runs the code with the same
-- few words for every loop as globals, and clients of the sandbox.
--
--   go(f): runs f in a coroutine of the loop
--   begin(): lets the coroutines begin, if they have not yet
--   run(): runs the loop until it ends by itself, and says what it has left
--   sleep(seconds): lets other coroutines run
--   each(n, f): f(1) ... f(n), each in a coroutine
--   tick(): counts hundredths of a second from now on, until what it returns is called,
--     which returns the count
--   give_up(): another loop from now on; of cqueues
--   say(...): prints at once
--   yielding_pcall: a pcall that can be yielded across, in Lua 5.1 that of coxpcall
--   client(changes), options(changes): of the loop's module
--   queries, descriptors(), sandbox: see below

local name, code = ...

local loops = { name = name, begin = function() end }

function loops.say(...)
  print(...)
  io.stdout:flush()
end

loops.yielding_pcall = _VERSION == "Lua 5.1" and require("coxpcall").pcall or pcall

local made = {} -- by the loop's name

-- One controller, until it has ended or is given up.
function made.cqueues()
  local cqueues = require "cqueues"
  local controller
  loops.sleep = cqueues.sleep
  function loops.go(f)
    controller = controller or cqueues.new()
    controller:wrap(f)
  end
  function loops.begin()
    assert(controller:step(0))
  end
  function loops.run()
    repeat
      local ok, err = controller:loop()
      if not ok then loops.say("loop: " .. tostring(err)) end
    until ok
    controller = nil
  end
  function loops.give_up()
    controller = nil
  end
end

function made.luv()
  local uv = require "luv"
  function loops.go(f)
    local co = coroutine.create(f)
    local ok, err = coroutine.resume(co)
    if not ok then error(debug.traceback(co, err), 0) end
  end
  function loops.sleep(seconds)
    local co = coroutine.running()
    local timer = uv.new_timer()
    uv.update_time()
    timer:start(math.ceil(seconds * 1000), 0, function()
      timer:close()
      local ok, err = coroutine.resume(co)
      if not ok then error(err, 0) end
    end)
    coroutine.yield()
  end
  function loops.run()
    uv.run()
    uv.walk(function(handle) loops.say("left: " .. tostring(handle)) end)
  end
end

-- Copas 1 knows no sleep, and its loop no end: it has ended when no thread is left, and
-- nothing that select would wait for.
function made.copas()
  local socket = require "socket"
  local select, watched = socket.select, 0
  socket.select = function(reading, ...)
    watched = #reading
    return select(reading, ...)
  end
  local copas = require "copas"
  local threads = 0
  function loops.go(f)
    threads = threads + 1
    copas.addthread(function()
      local handler = function(...)
        print(...)
        threads = threads - 1
      end
      copas.setErrorHandler(handler)
      f()
      threads = threads - 1
    end)
  end
  loops.sleep = require "spec.support.copas_sleep"
  function loops.run()
    while threads > 0 do copas.step(0.005) end
    copas.step(0)
    copas.step(0)
    if watched > 0 then loops.say "left: a socket" end
  end
end

-- The real one if it is installed, else the stand-in after its manual.
function made.copas4()
  local ok, copas = pcall(require, "copas")
  if not ok or copas._VERSION:find "^Copas [1-3]%." then
    package.path, package.loaded.copas =
      "./spec/support/copas4/?.lua;" .. package.path, nil
    copas = require "copas"
  end
  loops.go, loops.run, loops.sleep = copas.addthread, copas.loop, copas.pause
  loops.begin = function() copas.step(0) end
end

made[name]()

loops.module = "uqpay." .. name:gsub("%d", "")
local sandbox = require("spec.sandbox.sandbox").start()
loops.sandbox = sandbox
local uqpay = require(loops.module)

function loops.options(changes)
  local options = {
    base_url = sandbox.url, ca_file = sandbox.ca_file, token = sandbox.token,
    retry_delay = 0.01, timeout = 30,
  }
  for key, value in pairs(changes or {}) do options[key] = value or nil end
  return options
end

function loops.client(changes)
  return uqpay.new(loops.options(changes))
end

function loops.each(n, f)
  for i = 1, n do loops.go(function() f(i) end) end
end

function loops.tick()
  local ticks, over = 0, false
  loops.go(function()
    while not over do
      loops.sleep(0.01)
      ticks = ticks + 1
    end
  end)
  return function()
    over = true
    return ticks
  end
end

-- Queries, each with its answer's available_balance; no two are alike.
loops.queries = {
  { { currency = "USD" }, 5000.25 },
  { { currency = "SGD" }, 10000 },
  { { currency = "USD", on_behalf_of = sandbox.sub_account }, 111.11 },
  { { currency = "SGD", on_behalf_of = sandbox.sub_account }, 222.2 },
  { { currency = "USD", on_behalf_of = sandbox.other_sub_account }, 0 },
  { { currency = "XUSD", on_behalf_of = sandbox.other_sub_account }, 44444.4 },
}

-- How many the process has open, after a collection.
function loops.descriptors()
  collectgarbage()
  collectgarbage()
  local path, count = os.tmpname(), 0
  os.execute("ls /proc/$PPID/fd > " .. path)
  for _ in io.lines(path) do count = count + 1 end
  os.remove(path)
  return count
end

for word, value in pairs(loops) do _G[word] = value end
assert((loadstring or load)(code, "=child"))()
