-- HTTP/2: when it is spoken, how many calls share a connection, and what becomes of them
-- when the server ends a stream, a connection, or does not answer at all.

local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local libcurl = require "spec.support.libcurl"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local failed, succeeded = fixture.failed, fixture.succeeded

-- Four questions, no two of which have the same answer.
local function questions()
  return {
    { "USD", nil, 5000.25 }, { "SGD", nil, 10000 },
    { "USD", sandbox.sub_account, 111.11 }, { "SGD", sandbox.sub_account, 222.2 },
  }
end

-- Starts n calls, with options that may be a function of their number.
local function start(client, n, options)
  local asked, calls = questions(), {}
  for i = 1, n do
    local question = asked[i % #asked + 1]
    local all = { on_behalf_of = question[2] }
    local more = options
    if type(options) == "function" then more = options(i) end
    for name, value in pairs(more or {}) do all[name] = value end
    calls[i] = client:start_balance(question[1], all)
  end
  return calls
end

-- Steps the calls whose names are called until done() says so, for half a minute at most.
local function drive(client, calls, done)
  local by_id, deadline = {}, socket.gettime() + 30
  for _, call in ipairs(calls) do by_id[call:id()] = call end
  while not done() do
    assert.is_true(socket.gettime() < deadline, "the calls do not end")
    client:step(0.1)
    for call in function() return client:ready() end do
      if by_id[call:id()] then call:step() end
    end
  end
end

local function count_done(calls)
  local n = 0
  for _, call in ipairs(calls) do
    if call:done() then n = n + 1 end
  end
  return n
end

-- Each answer is the one to its own question.
local function check(calls)
  local asked = questions()
  for i, call in ipairs(calls) do
    local question = asked[i % #asked + 1]
    local balance = succeeded(call:result())
    assert.equal(question[3], balance.available_balance)
    assert.equal(question[1], balance.currency)
  end
end

local function finish(client, calls)
  drive(client, calls, function() return count_done(calls) == #calls end)
  check(calls)
end

local function together(client, n, options)
  finish(client, start(client, n, options))
end

-- Waits until so many requests have arrived.
local function until_arrived(client, n)
  local deadline = socket.gettime() + 20
  repeat
    client:step(0.01)
    assert.is_true(socket.gettime() < deadline, "the requests do not arrive")
  until #sandbox.requests() >= n
end

-- The sandbox's log: the number of connections, and the versions in order, each once if
-- they follow one another.
local function seen()
  local versions = {}
  for _, request in ipairs(sandbox.requests()) do
    if versions[#versions] ~= request.http then versions[#versions + 1] = request.http end
  end
  return sandbox.connections(), table.concat(versions, " ")
end

describe("HTTP/2", function()
  local client, relay, server

  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)
  after_each(function()
    for _, thing in pairs { client, relay } do
      if thing.close then thing:close() else thing:stop() end
    end
    if server then server:stop() end
    client, relay, server = nil, nil, nil
  end)

  describe("is spoken", function()
    it("from the first call on, if it is asked for", function()
      client = fixture.client { http_version = "2" }
      succeeded(client:balance "USD")
      succeeded(client:balance "USD")
      together(client, 20)
      local connections, versions = seen()
      assert.equal("2", versions)
      assert.equal(1, connections)
    end)

    it("never, if 1.1 is asked for", function()
      client = fixture.client { http_version = "1.1" }
      succeeded(client:balance "USD")
      together(client, 20)
      succeeded(client:balance "USD")
      local _, versions = seen()
      assert.equal("1.1", versions)
    end)

    it("by itself from the first call on that others may join", function()
      client = fixture.client()
      succeeded(client:balance "USD")
      succeeded(client:balance "USD")
      local connections, versions = seen()
      assert.equal("1.1", versions)
      assert.equal(1, connections)
      together(client, 20)
      succeeded(client:balance "USD")
      connections, versions = seen()
      assert.equal("1.1 2", versions)
      assert.equal(2, connections)
    end)

    it("never without encryption", function()
      for _, version in ipairs { "auto", "2" } do
        client = fixture.client { base_url = sandbox.http_url, http_version = version }
        succeeded(client:balance "USD")
        together(client, 20)
        client:close()
      end
      local _, versions = seen()
      assert.equal("1.1", versions)
    end)
  end)

  describe("saves connections:", function()
    it("up to a hundred concurrent calls need one", function()
      client = fixture.client()
      together(client, 99)
      assert.equal(1, (seen()))
      together(client, 99)
      assert.equal(1, (seen()))
    end)

    it("300 at once share at most five, and none gets another's answer", function()
      client = fixture.client()
      succeeded(client:balance "USD")
      together(client, 300)
      local connections, versions = seen()
      assert.equal("1.1 2", versions)
      assert.is_true(connections <= 1 + 5, connections)
    end)

    for _, version in ipairs { "auto", "2" } do
      it("so do 256 whose client is new, http_version " .. version, function()
        client = fixture.client { http_version = version }
        for _ = 1, 2 do together(client, 256) end
        local connections, versions = seen()
        assert.equal("2", versions)
        assert.is_true(connections <= 4, connections)
      end)
    end

    it("so they do when there is room for few on each", function()
      client = fixture.client { base_url = sandbox.one_stream_url, timeout = 60 }
      together(client, 30)
      local before = seen()
      together(client, 300)
      local connections, versions = seen()
      assert.equal("2", versions)
      -- libcurl closes a connection that refused a stream, and from 8.10 on wakes those
      -- that wait one by one: they meet on the next one before it says what it takes
      local spared = libcurl.at_least(8, 10) and 300 or 5
      assert.is_true(connections <= before + spared, connections - before)
    end)

    it("so does a batch", function()
      client = fixture.client()
      local asked, n = questions(), 0
      local queries, expected = {}, {}
      for i = 1, 200 do
        local question = asked[i % #asked + 1]
        queries[i] = { currency = question[1], on_behalf_of = question[2] }
        expected[queries[i]] = question[3]
      end
      for query, balance, message in client:batch(queries, { concurrency = 60 }) do
        assert.is_truthy(balance, message)
        assert.equal(expected[query], balance.available_balance)
        n = n + 1
      end
      assert.equal(200, n)
      local connections, versions = seen()
      assert.equal("2", versions)
      assert.is_true(connections <= 2, connections)
    end)
  end)

  describe("on a server with HTTP/1.1 only", function()
    it("gives way to it", function()
      client = fixture.client { base_url = sandbox.http1_url, http_version = "2" }
      succeeded(client:balance "USD")
      together(client, 20)
      local _, versions = seen()
      assert.equal("1.1", versions)
    end)

    for _, url in ipairs { "http1_url", "http_url" } do
      it("keeps no call waiting for another's answer: " .. url, function()
        client = fixture.client { base_url = sandbox[url] }
        sandbox.fault { kind = "hang", times = 3 }
        local calls = start(client, 12)
        drive(client, calls, function() return count_done(calls) == 9 end)
        for _, call in ipairs(calls) do
          if call:done() then succeeded(call:result()) end
        end
      end)
    end
  end)

  describe("loses no call", function()
    it("when the server says GOAWAY", function()
      client = fixture.client { base_url = sandbox.goaway_url, http_version = "2" }
      for _ = 1, 12 do succeeded(client:balance "USD") end
      together(client, 30)
      for _, balance in client:batch(function() return "USD" end,
        { concurrency = 8 }) do
        assert.is_truthy(balance)
        if #sandbox.requests() >= 80 then break end
      end
      local _, versions = seen()
      assert.equal("2", versions)
    end)

    it("when a stream is reset, before or after the work was done", function()
      for _, kind in ipairs { "drop_before", "drop_after" } do
        client = fixture.client { http_version = "2" }
        sandbox.fault { kind = kind }
        together(client, 20)
        local stats = client:stats()
        assert.equal(1, stats.retries)
        assert.equal(1, stats.connections)
        client:close()
      end
    end)

    it("when a connection ends with all its streams", function()
      relay = relays.start(sandbox.url)
      client = fixture.client { base_url = relay.url }
      for n, how in ipairs { "cut", "close" } do
        sandbox.reset()
        sandbox.fault { kind = "hang", times = 40 }
        local calls = start(client, 40)
        until_arrived(client, 40)
        assert.is_true(relay:order "count" <= n) -- a cut may leave two
        relay:order(how)
        finish(client, calls)
        assert.equal(80, #sandbox.requests())
        assert.is_true(relay:order "total" <= 1 + 3 * n, relay:order "total")
      end
    end)

    it("when the server takes one stream at a time", function()
      for _, version in ipairs { "2", "auto" } do
        client = fixture.client { base_url = sandbox.one_stream_url,
          http_version = version }
        together(client, 20)
        together(client, 20)
        client:close()
      end
    end)
  end)

  it("reports a reset stream as a lost answer", function()
    client = fixture.client { http_version = "2", max_retries = 0 }
    sandbox.fault { kind = "drop_before" }
    local err = failed("connect", client:balance "USD")
    assert.equal("CURLE_HTTP2_STREAM", err.curl_name)
    assert.equal("max_retries", err.retry_stopped)
    assert.is_true(err.retryable)
    assert.is_nil(err.status)
    succeeded(client:balance "USD")
    assert.equal(1, (seen()))
  end)

  describe("does not affect the other streams", function()
    -- Six calls that wait for their answers; the first is ended. The others and a
    -- further one succeed, on the one connection.
    local function end_first(options, stop)
      client = fixture.client()
      sandbox.fault { kind = "hang" }
      local first = client:start_balance("USD", options)
      until_arrived(client, 1)
      sandbox.fault { kind = "delay", seconds = 0.6, times = 5 }
      local calls = start(client, 5)
      stop(first)
      finish(client, calls)
      succeeded(client:balance "USD")
      assert.equal(0, client:stats().retries)
      assert.equal(1, (seen()))
      return first
    end

    it("when one is cancelled", function()
      local first = end_first({}, function(call) call:cancel() end)
      failed("canceled", first:result())
    end)

    it("when one runs out of time", function()
      local first = end_first({ timeout = 0.3 }, function(call)
        drive(client, { call }, function() return call:done() end)
      end)
      failed("timeout", first:result())
    end)
  end)

  describe("without a connection that comes to anything", function()
    -- A client of such a server.
    local function of(behaviour, changes)
      server = faulty.start { behaviour }
      local all = { base_url = server.url:gsub("^http:", "https:"), max_retries = 1 }
      for name, value in pairs(changes) do all[name] = value end
      client = fixture.client(all)
    end

    it("fails each call in its own time", function()
      of({ keep = true }, { connect_timeout = 30, timeout = 30 })
      local calls = start(client, 4, function(i)
        return i == 3 and { timeout = 0.3 } or nil
      end)
      drive(client, calls, function() return count_done(calls) > 0 end)
      assert.is_true(calls[3]:done())
      assert.equal(1, count_done(calls))
      local err = failed("timeout", calls[3]:result())
      assert.equal("deadline", err.retry_stopped)
      assert.is_true(err.retryable)
    end)

    it("fails all calls if the handshake takes too long", function()
      of({ keep = true }, { connect_timeout = 0.2, timeout = 1, max_retries = 0 })
      local calls = start(client, 8)
      drive(client, calls, function() return count_done(calls) == 8 end)
      for _, call in ipairs(calls) do
        local err = failed("timeout", call:result())
        assert.is_nil(err.message:find "resolve", err.message)
      end
    end)

    it("fails all when the server closes at once", function()
      for _, behaviour in ipairs { { close = true }, { reset = true } } do
        of(behaviour, {})
        local calls = start(client, 20)
        drive(client, calls, function() return count_done(calls) == 20 end)
        for _, call in ipairs(calls) do
          assert.equal(2, failed("connect", call:result()).attempts)
        end
        client:close()
        server:stop()
      end
    end)
  end)

  describe("through a proxy", function()
    local function through()
      relay = relays.start(sandbox.url)
      client = fixture.client { proxy = "http://127.0.0.1:" .. relay.port }
    end

    it("shares connections as well", function()
      through()
      succeeded(client:balance "USD")
      together(client, 200)
      local connections, versions = seen()
      assert.equal("1.1 2", versions)
      assert.is_true(connections <= 1 + 4, connections)
      assert.equal(connections, relay:order "total")
    end)

    it("loses no call when the proxy ends them", function()
      through()
      sandbox.fault { kind = "hang", times = 30 }
      local calls = start(client, 30)
      until_arrived(client, 30)
      relay:order "cut"
      finish(client, calls)
      assert.equal(60, #sandbox.requests())
    end)

    it("fails each call in its own time when the proxy is silent", function()
      server = faulty.start { { keep = true } }
      client = fixture.client { proxy = "http://127.0.0.1:" .. server.port,
        connect_timeout = 30, timeout = 30 }
      local calls = start(client, 4, function(i)
        return i == 3 and { timeout = 0.3 } or nil
      end)
      drive(client, calls, function() return count_done(calls) > 0 end)
      failed("timeout", calls[3]:result())
    end)
  end)
end)
