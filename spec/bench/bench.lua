-- bench.lua DIR: measures all contenders against the server that bench.sh has started in
-- the folder DIR, prints the tables and writes them into the README. For Lua 5.4.
--
-- LONG=1 makes a million calls where it is a hundred thousand otherwise.
-- BENCH_CLIENT_WRAP stands before each contender: taskset.

local measure = require "spec.bench.measure"
local report = require "spec.bench.report"

local output = measure.output
local dir = arg[1]
local long = (os.getenv "LONG" or "") ~= ""
local wrap = os.getenv "BENCH_CLIENT_WRAP" or ""

local ROUNDS = 3                        -- of everything that is timed
local CROWD, MOST = 64, 256             -- calls in flight, where it is not one
local DELAY, MANY = 0.05, 10000         -- of the server, in seconds; calls, MOST at once

local server = {}
for name, value in measure.content(dir .. "/env"):gmatch "([%w_]+)=([^\n]*)" do
  server[name] = value
end

local function say(...)
  io.stderr:write("bench: ", string.format(...), "\n")
end

-- --------------------------------------------------------------------------------
-- contenders
-- --------------------------------------------------------------------------------

local plain = { run = "lua5.4", env = "LUA_CPATH='build/5.4/?.so;;' " }
local jit = { run = "luajit", env = "LUA_CPATH='build/jit/?.so;;' " }

-- The output of a Lua.
local function ask(lua, code)
  return output(lua.env .. lua.run .. " -e '" .. code .. "'"):match "[^\n]*"
end

local function script(lua, name)
  return lua.env, lua.run .. " spec/bench/" .. name .. ".lua"
end

-- A client without client:batch can make its calls one after another only.
local function crowds(lua)
  local code = 'print(require "uqpay".new { token = "x" }.balances)'
  return ask(lua, code) ~= "nil" and "crowds" or nil
end

-- crowds: it can have several calls in flight; slow: it opens a connection for each.
local function contender(name, env, command, kind)
  return { name = name, env = env, command = command, crowds = kind == "crowds",
    slow = kind == "slow" }
end

local bare = contender("(a) C on libcurl", "", "build/bench/bare", "crowds")
local ours = contender("**uqpay**, Lua 5.4", script(plain, "client"))
local ours_jit = contender("**uqpay**, LuaJIT", script(jit, "client"))
ours.crowds, ours_jit.crowds = crowds(plain), crowds(jit)

local function other(name, file, kind)
  local env, command = script(jit, file)
  return contender(name, env, command, kind)
end

local everybody = {
  bare, ours, ours_jit,
  other("lua-curl, lua-cjson [1]", "lua_curl"),
  other("lua-http, lua-cjson [2]", "lua_http", "crowds"),
  other("LuaSocket/LuaSec, lua-cjson, HTTP by hand [3]", "luasec"),
  other("the same, their `request` [4]", "luasec_request", "slow"),
}
local pair = { ours, ours_jit }
local three = { bare, ours, ours_jit }

local notes = {
  "[1] Debian's lua-curl: it has no multi handle, and its libcurl is built with GnuTLS, "
    .. "that of (a) with OpenSSL.",
  "[2] Its `request:go` opens a connection for each call; here the bench reuses "
    .. "connections, one for each call in flight.",
  "[3] Some lines that write and read HTTP/1.1 on a reused connection: no deadline, no "
    .. "limit of sizes, no check of the host's name.",
  "[4] `socket.http` and `ssl.https` open a connection for each call.",
  "All of [1] to [4] run on LuaJIT, where they are fastest.",
}

-- base: "http", "https" (HTTP/1.1 only) or "h2", with the client's http_version behind a
-- blank if it is "auto"; path: "/api" answers at once, "/soon" after 5 ms, "/slow" after
-- 50, "/stall/..." the same, but the first three of each name after 5 s. Returns what the
-- functions of measure take.
local function call(c, base, path, in_flight, ...)
  local name, version = base:match "^(%w+) ?(%w*)$"
  if version == "" then version = name == "h2" and "2" or "1.1" end
  local words = table.concat({ c.command, server[name] .. path, server.ca_file, version,
    in_flight, ... }, " ")
  return function(before) return c.env .. before .. " " .. words end
end

local function marks(...)
  return measure.marks(wrap, call(...))
end

local function instructions(...)
  return measure.instructions(wrap, call(...))
end

-- Instructions a call: the difference between two numbers of calls, divided. The server
-- takes a moment for each, so that none finds its answer there already, which would be a
-- matter of chance.
local function per_call(c, base, in_flight, from, to)
  return (instructions(c, base, "/soon", in_flight, to)
    - instructions(c, base, "/soon", in_flight, from)) / (to - from)
end

-- --------------------------------------------------------------------------------
-- the tables
-- --------------------------------------------------------------------------------

local scenarios = {}
for _, base in ipairs { "https", "http" } do
  for _, in_flight in ipairs { 1, CROWD } do
    local s = { base = base, in_flight = in_flight, who = {} }
    s.samples = measure.samples()
    s.title = base:upper() .. ", "
      .. (in_flight == 1 and "one call after another" or in_flight .. " calls at once")
    for _, c in ipairs(everybody) do
      if in_flight == 1 or c.crowds then table.insert(s.who, c) end
    end
    scenarios[#scenarios + 1] = s
  end
end

-- Between the marks no connection is opened any more.
local function time_calls(s, c)
  local from, to = 500, 4500
  if c.slow then from, to = 20, 220 end
  local m = marks(c, s.base, "/api", s.in_flight, from, to)
  s.samples.add(c.name .. "calls", (to - from) / (m[to].wall - m[from].wall))
  s.samples.add(c.name .. "cpu", (m[to].cpu - m[from].cpu) / (to - from))
  s.samples.add(c.name .. "peak", m[to].peak)
end

local function time_delayed(s, c)
  local from, to = s.in_flight * 2, s.in_flight * 14
  local m = marks(c, s.base, "/slow", s.in_flight, from, to)
  s.samples.add(c.name .. "slow_calls", (to - from) / (m[to].wall - m[from].wall))
  s.samples.add(c.name .. "slow_cpu", (m[to].cpu - m[from].cpu) / (to - from))
end

local function count(s, c)
  local from, to = 300, 1000
  if c.slow then
    from, to = 5, 25
  elseif s.in_flight > 1 then
    from, to = 10 * s.in_flight, 30 * s.in_flight
  end
  s.samples.add(c.name .. "instructions", per_call(c, s.base, s.in_flight, from, to))
end

local function measure_tables()
  for round = 1, ROUNDS do
    for _, s in ipairs(scenarios) do
      say("%s, round %d of %d", s.title, round, ROUNDS)
      for _, c in ipairs(s.who) do
        time_calls(s, c)
        time_delayed(s, c)
      end
    end
  end
  local tables = {}
  for n, s in ipairs(scenarios) do
    say("%s, instructions", s.title)
    local rows = {}
    for i, c in ipairs(s.who) do
      count(s, c)
      rows[i] = { name = c.name }
      for _, what in ipairs { "calls", "cpu", "instructions", "peak", "slow_calls",
        "slow_cpu" } do
        rows[i][what] = s.samples.median(c.name .. what)
      end
    end
    tables[n] = { title = s.title, rows = rows }
  end
  return tables
end

-- --------------------------------------------------------------------------------
-- the targets
-- --------------------------------------------------------------------------------

local targets = {}
local function target(what, c, limit, unit, value, detail)
  targets[#targets + 1] = { what = what, who = c.name:gsub("^.*, ", ""), limit = limit,
    unit = unit, value = value, detail = value and detail }
end

-- The ratio to (a) of what the tables say.
local function target_of_table(what, s, field, limit)
  for _, c in ipairs(pair) do
    local mine = s.samples.median(c.name .. field)
    local theirs = s.samples.median(bare.name .. field)
    target(what, c, limit, "×", mine and mine / theirs)
  end
end

-- The instructions that it takes to load the module: nearly all are the dynamic linker's,
-- which binds each symbol of each library at once when an interpreter loads them.
local function loading(lua)
  local function run(code)
    return measure.instructions(wrap, function(before)
      return ("%s%s %s -e '%s'"):format(lua.env, before, lua.run, code)
    end)
  end
  return run 'require "uqpay"' - run ""
end

-- From exec to the first answer over HTTPS.
local function measure_cold()
  say "cold start"
  local samples = measure.samples()
  for _ = 1, 15 do
    for _, c in ipairs(three) do
      samples.add(c.name .. "time", marks(c, "https", "/api", 1, 1)[1].wall)
    end
  end
  for _ = 1, 3 do
    for _, c in ipairs(three) do
      samples.add(c.name .. "count", instructions(c, "https", "/api", 1, 1))
    end
  end
  for n, c in ipairs(pair) do
    local mine = samples.median(c.name .. "count")
    target("cold start to the first HTTPS answer, instructions", c, 1.15, "×",
      mine / samples.median(bare.name .. "count"),
      ("%s, of which `require` takes %s to load libcurl and what that needs"):format(
        report.whole(mine), report.whole(loading(n == 1 and plain or jit))))
  end
  for _, c in ipairs(pair) do
    local mine = samples.median(c.name .. "time")
    target("cold start to the first HTTPS answer, time", c, 1.15, "×",
      mine / samples.median(bare.name .. "time"), ("%.1f ms"):format(mine * 1000))
  end
end

-- Many calls, each of which takes the server a while; their connections are open. Memory
-- is looked at in their midst. Returns the samples, for HTTP/1.1 and HTTP/2.
local function measure_crowd()
  say("%d calls at once", MOST)
  local samples, half = measure.samples(), MOST + MANY // 2
  for _ = 1, ROUNDS do
    for _, base in ipairs { "https", "h2" } do
      for _, c in ipairs(three) do
        if c.crowds then
          local one = marks(c, base, "/slow", 1, 10)
          local m = marks(c, base, "/slow", MOST, MOST, half, MOST + MANY)
          samples.add(base .. c.name .. "time", m[MOST + MANY].wall - m[MOST].wall)
          samples.add(base .. c.name .. "memory",
            (m[half].rss - one[10].rss) / (MOST - 1))
        end
      end
    end
  end
  local ideal = MANY / MOST * DELAY
  for _, c in ipairs(three) do
    local took = samples.median("https" .. c.name .. "time")
    target(("%s calls of 50 ms, %d at once, to the ideal time"):format(report.whole(MANY),
      MOST), c, 1.10, "×", took and took / ideal, took and ("%.2f s"):format(took))
  end
  for _, c in ipairs(pair) do
    local mine = samples.median("https" .. c.name .. "memory")
    local theirs = samples.median("https" .. bare.name .. "memory")
    target(("memory for each of %d calls in flight, above (a)"):format(MOST), c, 16,
      "KiB", mine and mine - theirs,
      mine and ("%.1f KiB, (a) %.1f KiB"):format(mine, theirs))
  end
  return samples
end

-- The same where HTTP/2 is not on offer, and the client does not know it: in clear, and
-- over TLS. Then cold crowds there, three calls of which stall: the others do not wait.
local function measure_crowd_without_http2()
  say("%d calls at once, HTTP/2 not on offer", MOST)
  local samples, runs = measure.samples(), 0
  for _ = 1, ROUNDS do
    for _, c in ipairs(pair) do
      for _, base in ipairs { "http auto", "https auto" } do
        local m = marks(c, base, "/slow", MOST, MOST, MOST + MANY)
        samples.add(base .. c.name, m[MOST + MANY].wall - m[MOST].wall)
      end
      for _, base in ipairs { "http", "http auto", "https", "https auto" } do
        runs = runs + 1
        local m = marks(c, base, "/stall/" .. runs, MOST, MOST - 3, MOST)
        samples.add("stall" .. base .. c.name, m[MOST - 3].wall)
      end
    end
  end
  for _, base in ipairs { "http", "https" } do
    local where = base == "http" and "HTTP" or "HTTPS, a server of HTTP/1.1 only"
    for _, c in ipairs(pair) do
      local took = samples.median(base .. " auto" .. c.name)
      target(("%s calls of 50 ms, %d at once, %s, http_version auto, to the ideal time")
        :format(report.whole(MANY), MOST, where), c, 1.10, "×",
        took / (MANY / MOST * DELAY), ("%.2f s"):format(took))
    end
    for _, c in ipairs(pair) do
      local took = samples.median("stall" .. base .. " auto" .. c.name)
      local plain_took = samples.median("stall" .. base .. c.name)
      target(("cold crowd of %d, 3 stall: the others, %s, http_version auto, to 1.1")
        :format(MOST, where), c, 1.50, "×", took / plain_took,
        ("%.2f s"):format(took))
    end
  end
end

local function measure_growth()
  local from, to = 10000, long and 1000000 or 100000
  for _, c in ipairs(pair) do
    say("%d calls, %s", to, c.name)
    local m = marks(c, "https", "/api", c.crowds and CROWD or 1, from, to)
    target(("memory after %s calls, to that after %s"):format(report.whole(to),
      report.whole(from)), c, 1.02, "×", m[to].rss / m[from].rss,
      ("%.1f MiB"):format(m[to].rss / 1024))
  end
end

-- --------------------------------------------------------------------------------
-- HTTP/1.1 or HTTP/2
-- --------------------------------------------------------------------------------

local function measure_http(crowd)
  say "HTTP/1.1 and HTTP/2"
  local function row(what, value)
    return { what = what, one = value "https", two = value "h2" }
  end
  local alone = row("instructions a call, one after another", function(base)
    return per_call(ours, base, 1, 300, 1000)
  end)
  local connection = row("instructions of a new client, its connection and a call",
    function(base) return per_call(ours, base, 0, 5, 25) end)
  local together = row(("instructions a call, %d at once"):format(CROWD), function(base)
    return ours.crowds and per_call(ours, base, CROWD, 10 * CROWD, 30 * CROWD)
  end)
  local first = row(("instructions of a program that makes %d calls, all at once")
    :format(CROWD), function(base)
    return ours.crowds and instructions(ours, base, "/api", CROWD, CROWD)
  end)
  local memory = row(("bytes for each of %d calls in flight"):format(MOST), function(base)
    local kib = crowd.median(base .. ours.name .. "memory")
    return kib and kib * 1024
  end)
  return {
    rows = { alone, together, first, connection, memory },
    per_connection = connection.one - alone.one,
    dearer = together.one and together.two - together.one,
  }
end

-- --------------------------------------------------------------------------------
-- the whole
-- --------------------------------------------------------------------------------

local function versions()
  return {
    "libcurl " .. ask(plain, 'print(require "uqpay".info().libcurl)'),
    ask(plain, 'print(require "uqpay".info().tls)'),
    ask(plain, "print(_VERSION)"),
    ask(jit, "print(jit.version)"),
    "lua-cjson " .. ask(plain, 'print(require "cjson"._VERSION)'),
    (output "nginx -v 2>&1":match "nginx/%S+"),
    "lua-curl " .. ask(jit, 'print(require "curl"._VERSION)')
      .. " with " .. ask(jit, 'print(require "curl".version())'):match "%S+ %S+",
    "lua-http " .. ask(jit, 'print(require "http.version".version)'),
    ask(jit, 'print(require "socket"._VERSION)'),
    "LuaSec " .. ask(jit, 'print(require "ssl"._VERSION)'),
  }
end

local cpu = measure.content "/proc/cpuinfo":match "model name%s*:%s*([^\n]+)"
local figures = {
  date = os.date "!%Y-%m-%d",
  cpu = cpu or output "uname -m":match "%S+",
  cores = tonumber(output "nproc"),
  kernel = output "uname -sr":match "[^\n]+",
  pinned = wrap ~= "",
  versions = versions(),
  tables = measure_tables(),
  notes = notes,
  targets = targets,
}
target_of_table("instructions a call, HTTPS, one after another", scenarios[1],
  "instructions", 1.05)
target_of_table(("CPU a call, HTTPS, %d at once"):format(CROWD), scenarios[2], "cpu",
  1.05)
measure_cold()
local crowd = measure_crowd()
measure_crowd_without_http2()
measure_growth()
figures.http = measure_http(crowd)

local block = report.markdown(figures)
io.write(block)
local readme = assert(report.replace(measure.content "README.md", block))
local file = assert(io.open("README.md", "w"))
assert(file:write(readme))
assert(file:close())
