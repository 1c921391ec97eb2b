-- Servers that misbehave below HTTP, within TLS and over HTTP/2; servers that never end
-- an answer; a name server that never gives one. After each the same client works, and
-- nothing is left behind. What they do over plain HTTP/1.1 is in transport_spec.

local behaviours = require "spec.support.behaviours"
local driver = require "spec.support.driver"
local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local frames = require "spec.support.frames"
local libcurl = require "spec.support.libcurl"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local body, http = fixture.body, fixture.http
local failed, succeeded = fixture.failed, fixture.succeeded
local hello, answer, data = frames.hello, frames.answer, frames.data
local headers, goaway, reset = frames.headers, frames.goaway, frames.reset

-- Seconds that a deadline may be missed by: a quarter where nothing else runs.
local SLACK = tonumber(os.getenv "UQPAY_SLACK" or 20)

local server, client

local function serve(tls, ...)
  server = faulty.start({ ... }, tls and sandbox.tls((table.unpack or unpack)(tls)))
end

local function connect(changes)
  client = fixture.client({ base_url = server.url, max_retries = 0 }, changes)
end

local function finish()
  if client then client:close() end
  if server then server:stop() end
  client, server = nil, nil
end

local function failed_as(kinds, ...)
  local _, message, err = ...
  local kind = type(err) == "table" and err.kind or "none"
  assert.truthy(("|" .. kinds .. "|"):find("|" .. kind .. "|", 1, true), message)
  return failed(kind, ...)
end

-- The first call comes to one of these, the next ones to their own answers. "resent":
-- libcurl has sent it again by itself, and it got the next answer.
local function check(kinds, options)
  local function check_first(...)
    if not ... then return assert.equal(1, failed_as(kinds, ...).attempts) end
    local outcome = ({ "ok", "resent" })[succeeded(...).available_balance] or "none"
    assert.truthy(("|" .. kinds .. "|"):find("|" .. outcome .. "|", 1, true), outcome)
  end
  check_first(client:balance("USD", options))
  assert.equal(2, succeeded(client:balance "USD").available_balance)
end

local function entries(dir)
  return tonumber(driver.output("ls /proc/$PPID/" .. dir .. " | wc -l"))
end

-- For a group of specs: what they opened is closed again, and no thread is left.
local function with_nothing_left()
  local descriptors, threads
  setup(function()
    sandbox.reset()
    serve(nil, { close = true })      -- the process of the servers is there
    finish()
    collectgarbage()
    collectgarbage()
    descriptors, threads = entries "fd", entries "task"
  end)
  after_each(finish)
  teardown(function()
    -- fewer: other specs have left some, which are collected during this; and a thread
    -- takes a moment to end
    local ends = os.time() + 20
    local fds, tasks
    repeat
      collectgarbage()
      fds, tasks = entries "fd", entries "task"
    until fds <= descriptors and tasks <= threads or os.time() > ends
    assert.is_true(fds <= descriptors, fds .. " open, " .. descriptors .. " before")
    assert.is_true(tasks <= threads, tasks .. " threads, " .. threads .. " before")
  end)
end

describe("within TLS a server that misbehaves", function()
  with_nothing_left()

  -- An end of TCP without TLS's close_notify ends an answer for libcurl before 8.14.1,
  -- and is an error for later ones.
  local half_close = "no length, to the half-close"
  for _, case in ipairs(behaviours.list) do
    local name, kinds, behaviour = case[1], case[2], case[3]
    if name == half_close and libcurl.at_least(8, 14, 1) then kinds = "ok|connect" end

    it("does no harm to the next call: " .. name, function()
      serve({ "http/1.1" }, behaviour,
        { read = true, send = http(body(2)), keep = true })
      connect { http_version = "1.1" }
      check(kinds)
    end)
  end

  for name, send in pairs {
    ["headers"] = "HTTP/1.1 200 OK\r\n" .. ("x: y\r\n"):rep(100000),
    ["a header"] = "HTTP/1.1 200 OK\r\nx: " .. ("y"):rep(600000),
    ["informational answers"] = ("HTTP/1.1 103 Hints\r\nx: y\r\n\r\n"):rep(20000),
    ["a body"] = "HTTP/1.1 200 OK\r\n\r\n" .. (" "):rep(1200000),
    ["chunks"] = behaviours.chunked .. behaviours.chunk((" "):rep(1000)):rep(1200),
  } do
    it("cannot send without end: " .. name, function()
      serve({ "http/1.1" }, { read = true, send = send, keep = true },
        { read = true, send = http(body(2)), keep = true })
      connect { http_version = "1.1" }
      check "too_large"
    end)
  end

  -- libcurl before 8.14.1 takes the end of TCP for an end of TLS. A cut body is not JSON.
  it("cannot pass off a cut for the end of an answer", function()
    serve({ "http/1.1" }, { read = true, cut = true,
      send = "HTTP/1.1 200 OK\r\n\r\n" .. body(99):sub(1, -2) },
      { read = true, send = http(body(2)), keep = true })
    connect { http_version = "1.1" }
    check "connect|decode"
  end)
end)

describe("a bomb", function()
  with_nothing_left()

  local function resident()
    local file = assert(io.open "/proc/self/statm")
    local pages = file:read "*a":match "^%d+ (%d+)"
    file:close()
    return pages * 4096
  end

  for header, kinds in pairs {
    ["Content-Encoding"] = "decode",      -- not asked for, so not decoded
    ["Transfer-Encoding"] = "too_large|protocol|decode",
  } do
    it("is not set off: " .. header, function()
      -- 100 MB of blanks
      local bytes = driver.output "head -c 100000000 /dev/zero | tr '\\0' ' ' | gzip -9"
      assert.is_true(#bytes < 200000)
      serve(nil, { read = true, send = "HTTP/1.1 200 OK\r\n" .. header
        .. ": gzip\r\n\r\n" .. bytes },
        { read = true, send = http(body(2)), keep = true })
      connect { ca_file = false }
      local before = resident()
      check(kinds)
      assert.is_true(resident() - before < 20e6)
    end)
  end
end)

describe("over HTTP/2", function()
  with_nothing_left()

  local ok = { ":status", "200" }
  local all = body(99)
  local long = { ":status", "200", "content-length", tostring(#all) }
  local half = all:sub(1, 50)

  -- libcurl from 8.5 on resends a request that GOAWAY says was not processed, on a new
  -- connection; and for it RST_STREAM without an error ends a body.
  local unseen = libcurl.at_least(8, 5) and "connect|resent" or "connect"
  local ended = libcurl.at_least(8, 5) and "connect|ok" or "connect"

  -- The bytes after the hello, the outcome, and how the server ends it (keep is the
  -- default).
  local cases = {
    { "GOAWAY", unseen, goaway(0) },
    { "GOAWAY, then close", unseen, goaway(0), "close" },
    { "GOAWAY, then reset", unseen, goaway(0), "reset" },
    { "GOAWAY: calm down", unseen, goaway(0, 11) },
    { "GOAWAY, then the answer", "ok", goaway(1) .. answer(body(1)) },
    { "the answer, then GOAWAY", "ok", answer(body(1)) .. goaway(1) },
    { "GOAWAY amid the body", "ok", headers(ok) .. data(body(1):sub(1, 9), 0) .. goaway(1)
      .. data(body(1):sub(10)) },
    { "GOAWAY of the far future", "ok", goaway(0x7fffffff) .. answer(body(1)) },
    { "RST_STREAM: no error", "connect", reset(0) },
    { "RST_STREAM: internal error", "connect", reset(2) },
    { "RST_STREAM: cancel", "connect", reset(8) },
    { "RST_STREAM: calm down", "connect", reset(11) },
    { "RST_STREAM: unknown", "connect", reset(4242) },
    { "RST_STREAM behind the head", "connect", headers(long) .. reset(2) },
    { "RST_STREAM amid the body", "connect", headers(long) .. data(half, 0) .. reset(2) },
    { "RST_STREAM amid a body of no length", "connect",
      headers(ok) .. data(half, 0) .. reset(0) },
    { "RST_STREAM where the end belongs", ended,
      headers(ok) .. data(body(1), 0) .. reset(0) },
    { "RST_STREAM behind the end", "ok", answer(body(1)) .. reset(0) },
    { "a body too short", "connect", headers(long) .. data(half) },
    { "a body too long", "connect",
      headers { ":status", "200", "content-length", "50" } .. data(all) },
    { "a body cut", "connect", headers(long) .. data(half, 0), "cut" },
    { "a body of no length cut", "connect", headers(ok) .. data(all, 0), "cut" },
    { "a body of no length closed", "connect", headers(ok) .. data(all, 0), "close" },
    { "a body half-closed", "connect", headers(long) .. data(half, 0), "half_close" },
    { "a body reset", "connect", headers(long) .. data(half, 0), "reset" },
    { "half a frame", "connect", (headers(long) .. data(all)):sub(1, -20), "close" },
    { "informational answers", "ok", headers { ":status", "100" }
      .. headers { ":status", "103", "link", "x" } .. answer(body(1)) },
    { "status 101", "connect|protocol", headers { ":status", "101" } .. answer(all) },
    { "an informational end", "connect|protocol", headers({ ":status", "100" }, 5) },
    { "no status", "connect|protocol", headers { "x", "y" } .. data(all) },
    { "a status of letters", "connect|protocol",
      headers { ":status", "abc" } .. data(all) },
    { "two statuses", "connect|protocol",
      headers { ":status", "200", ":status", "500" } .. data(all) },
    { "a name in upper case", "connect|protocol",
      headers { ":status", "200", "X-Y", "z" } .. data(all) },
    { "a line break in a header", "connect|protocol|ok",
      headers { ":status", "200", "x", "a\r\nb: c" } .. data(body(1)) },
    { "a negative length", "connect|protocol",
      headers { ":status", "200", "content-length", "-5" } .. data(all) },
    { "a body before its head", "connect|protocol", data(all) },
    -- which libcurl 7.88 passes over in silence
    { "a body of nobody's", "connect|protocol|timeout", headers(ok) .. data(all, 1, 0),
      "keep", { timeout = 1 } },
    { "an answer to another request", "connect|protocol", answer(all, 200, 3) },
    { "two answers", "ok", answer(body(1)) .. answer(all) },
    { "trailers", "ok", headers(ok) .. data(body(1), 0) .. headers({ "x", "y" }, 5) },
    { "status 204", "protocol", headers({ ":status", "204" }, 5) },
    -- which libcurl from 8.3 on cannot tell from one that was cut
    { "no body", "decode|connect", headers({ ":status", "200" }, 5) },
    { "a push", "connect|protocol", frames.frame(5, 4, 1, "\0\0\0\2"
      .. frames.block { ":method", "GET" }) .. answer(all) },
    { "a frame of no known kind", "ok",
      frames.frame(99, 255, 1, "x") .. answer(body(1)) },
    -- which libcurl 7.88 takes for the end
    { "a frame too large", "connect|protocol|decode",
      headers(ok) .. data((" "):rep(20000) .. all) },
    { "a window too large", "connect|protocol",
      frames.window(2 ^ 31 - 1) .. frames.window(2 ^ 31 - 1) .. answer(all) },
    { "headers that cannot be unpacked", "connect|protocol",
      frames.frame(1, 4, 1, "\255\255\255\255") },
    { "another protocol", "connect|protocol", http(all), "close" },
    { "endless continuations", "connect|too_large", frames.frame(1, 0, 1,
      frames.block(ok)) .. frames.frame(9, 0, 1, frames.block { "x", ("y"):rep(99) })
      :rep(5000) },
    { "endless informational answers", "too_large",
      headers { ":status", "103", "x", ("y"):rep(99) }:rep(5000) .. answer(all) },
    { "an endless body", "too_large",
      headers(ok) .. data((" "):rep(16384), 0):rep(100) },
    { "many pings", "ok", frames.ping:rep(500) .. answer(body(1)) },
  }

  for _, case in ipairs(cases) do
    local name, kinds, said, ending = case[1], case[2], case[3], case[4] or "keep"

    it("a server does no harm to the next call: " .. name, function()
      local first = { read = "h2", send = hello .. said, [ending] = true }
      if ending == "keep" then
        first = { first, { read = "h2", send = answer(body(2), 200, 3), keep = true } }
      end
      serve({ "h2" }, first, { { read = "h2", send = hello .. answer(body(2)) },
        { read = "h2", send = answer(body(2), 200, 3), keep = true } })
      connect { http_version = "2" }
      check(kinds, case[5])
    end)
  end

  it("a refused stream is asked for again, unasked", function()
    serve({ "h2" }, { read = "h2", send = hello .. reset(7), keep = true },
      { { read = "h2", send = hello .. answer(body(1)) },
        { read = "h2", send = answer(body(2), 200, 3), keep = true } })
    connect { http_version = "2" }
    check "ok"
  end)
end)

describe("the deadline is kept", function()
  with_nothing_left()

  local whole = http(body(1))
  local chunked = behaviours.chunked
  local plain = {
    ["silence"] = { keep = true },
    ["silence after the request"] = { read = true, keep = true },
    ["dripping headers"] = { read = true, send = whole, chunk = 1, pause = 0.05 },
    ["a dripping body"] = { read = true, pause = 0.05, send = { whole:sub(1, -200),
      whole:sub(-199, -199), whole:sub(-198, -198) }, keep = true },
    ["informational answers"] = { read = true, pause = 0.05, chunk = 25,
      send = ("HTTP/1.1 100 Continue\r\n\r\n"):rep(1000) },
    ["a chunk without an end"] = { read = true, keep = true,
      send = chunked .. "fff\r\n{" },
    ["half a head, half-closed later"] = { { read = true, send = whole:sub(1, 20) },
      { hold = true, half_close = true } },
  }
  local two = {
    ["no hello"] = { keep = true },
    ["silence"] = { read = "h2", send = hello, keep = true },
    ["no window for the request"] = { send = frames.settings { [4] = 0 } .. frames.ack,
      keep = true },
    ["a window for half of the request"] = { keep = true,
      send = frames.settings { [4] = 10 } .. frames.ack },
    ["no stream for the request"] = { send = frames.settings { [3] = 0 } .. frames.ack,
      keep = true },
    ["a head alone"] = { read = "h2", keep = true,
      send = hello .. headers { ":status", "200" } },
    ["half a frame"] = { read = "h2", keep = true,
      send = hello .. answer(body(1)):sub(1, -20) },
    ["empty frames"] = { read = "h2", pause = 0.05, keep = true, chunk = 9,
      send = hello .. headers { ":status", "200" } .. data("", 0):rep(1000) },
    ["pings"] = { read = "h2", pause = 0.05, chunk = 17, keep = true,
      send = hello .. frames.ping:rep(1000) },
  }

  -- in the ways of a program to wait
  local waits = {
    blocking = function() return client:balance("USD", { timeout = 0.15 }) end,
    ["call object"] = function()
      local call = client:start_balance("USD", { timeout = 0.15 })
      repeat client:step(call:timeout()) until call:step()
      return call:result()
    end,
  }

  local function expires(tls, version, behaviour, good)
    for _, wait in pairs(waits) do
      serve(tls, behaviour, good)
      connect { http_version = version, ca_file = tls and sandbox.ca_file or false,
        max_retries = 3 }
      local start = socket.gettime()
      failed("timeout", wait())
      local took = socket.gettime() - start
      assert.is_true(took >= 0.149 and took < 0.15 + SLACK, took)
      assert.equal(2, succeeded(client:balance "USD").available_balance)
      finish()
    end
  end

  local good = { read = true, send = http(body(2)), keep = true }
  for name, behaviour in pairs(plain) do
    for _, tls in ipairs { false, { "http/1.1" } } do
      it((tls and "within TLS: " or "without: ") .. name, function()
        expires(tls, "1.1", behaviour, good)
      end)
    end
  end
  for name, behaviour in pairs(two) do
    it("over HTTP/2: " .. name, function()
      expires({ "h2" }, "2", behaviour,
        { read = "h2", send = hello .. answer(body(2)), keep = true })
    end)
  end
end)

-- In a network and a view of the files of its own, where the system permits that.
describe("a name server that never answers", function()
  local script = [[
    ip link set lo up
    echo 'nameserver 127.0.0.1' > "$0" && mount --bind "$0" /etc/resolv.conf || exit 99
    exec "$@"]]

  local function run(code)
    local file = driver.output "mktemp":match "%S+"
    local text = driver.output(driver.command("unshare", "-nm", "sh", "-c", script, file,
      "env", "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath,
      "ASAN_OPTIONS=detect_leaks=0", os.getenv "UQPAY_LUA", "-e", [[
      local socket = require "socket"
      local uqpay = require "uqpay"
      local deaf = socket.udp()
      assert(deaf:setsockname("127.0.0.1", 53))
      local function new(version)
        return uqpay.new { base_url = "https://nobody.example/api", token = "t",
          timeout = 0.3, http_version = version }
      end
      local start = socket.gettime()
      local function lap()
        local took = socket.gettime() - start
        start = start + took
        return took
      end
      ]] .. code) .. " 2>&1; echo \"exit $?\"")
    os.remove(file)
    return text
  end

  local function permitted()
    return driver.output "unshare -nm true 2>&1; echo $?" == "0\n"
  end

  it("keeps no call beyond its deadline, and no client from its end", function()
    if not permitted() then return pending "no namespaces of our own" end
    local text = run [[
      for _, version in ipairs { "1.1", "2" } do
        local client = new(version)
        for n = 1, 2 do print(select(3, client:balance "USD").kind, lap()) end
        local call = client:start_balance "USD"
        repeat client:step(call:timeout()) until call:step()
        print(select(3, call:result()).kind, lap())
        client:start_balance "USD"
        client:step(0)
        client:close()
        print("closed", lap())
        client = new(version)
        print(select(3, client:balance "USD").kind, lap())
        client, call = nil, nil
        collectgarbage()
        collectgarbage()
        print("closed", lap())
      end]]
    local n = 0
    for what, took in driver.pointed(text):gmatch "(%a+)\t([%d.e-]+)\n" do
      n = n + 1
      local wanted = what == "timeout" and 0.3 or 0
      assert.equal((n % 6 == 4 or n % 6 == 0) and "closed" or "timeout", what, text)
      assert.is_true(driver.number(took) < wanted + math.min(SLACK, 4), text)
    end
    assert.equal(12, n, text)
    assert.matches("exit 0\n$", text)
  end)

  it("keeps no program from its end, calls in flight or not", function()
    if not permitted() then return pending "no namespaces of our own" end
    for _, ending in ipairs { "", "os.exit(0)", "os.exit(0, true)",
      "Client:close() os.exit(0, true)" } do
      local start = socket.gettime()
      local text = run([[
        Client = new()
        Call = Client:start_balance "USD"
        Client:step(0)
        Client:balance "USD"
        ]] .. ending)
      assert.equal("exit 0\n", text, ending)
      assert.is_true(socket.gettime() - start < 4, ending)   -- the system's resolver: 5
    end
  end)
end)
