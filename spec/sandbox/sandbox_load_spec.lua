-- The sandbox under load: rate windows, delays, a thousand at once, connections that end.

local curl = require "spec.support.curl"
local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

-- The command line of one curl that asks for so many lists of balances and prints status
-- and new connections of each; options are for curl.
local function crowd(url, count, options)
  return driver.command("curl", "-q", "-s", "--noproxy", "*", "--max-time", 60,
    "--cacert", sandbox.ca_file, "-H", "x-auth-token: Bearer " .. sandbox.token,
    "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n",
    url .. "/v1/issuing/balances?page_size=10&page_number=[1-" .. count .. "]")
    .. " " .. options .. " 2> /dev/null"
end

local function tally(text)
  local connections, statuses = 0, {}
  for status, connects in text:gmatch "(%d+) (%d+)\n" do
    statuses[status] = (statuses[status] or 0) + 1
    connections = connections + connects
  end
  return statuses, connections
end

local function get(name, headers)
  local paths = { balances = "/v1/issuing/balances", accounts = "/v1/accounts" }
  return curl.ask { method = "GET", headers = headers,
    path = paths[name] .. "?page_size=10&page_number=1" }
end

local function login(how)
  return (how or curl.ask) { path = "/v1/connect/token", headers = {
    ["x-client-id"] = sandbox.client_id, ["x-api-key"] = sandbox.api_key } }
end

-- Waits for the sandbox, for as long as a slow machine may take.
local function wait_until(what, check)
  local give_up = socket.gettime() + 60
  repeat
    if check() then return end
    socket.sleep(0.02)
  until socket.gettime() > give_up
  error("waited in vain for " .. what)
end

local function arrived(count)
  return function() return sandbox.counts().requests >= count end
end

local function milliseconds(seconds)
  return math.floor(seconds * 1000 + 0.5)
end

describe("the sandbox under load", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  describe("limits the rate", function()
    -- The log must show that the rule holds: nothing here depends on speed.
    local function expected(requests, limit, length)
      local statuses, count, ends = {}, 0, 0
      for n, request in ipairs(requests) do
        local now = milliseconds(request.time)
        if now >= ends then count, ends = 0, now + length end
        count = count + 1
        statuses[n] = count > limit and "429" or "200"
      end
      return statuses
    end

    local function statuses_of(requests)
      local list = {}
      for n, request in ipairs(requests) do list[n] = ("%d"):format(request.status) end
      return list
    end

    local function statuses_text()
      return table.concat(statuses_of(sandbox.requests()), " ")
    end

    it("in windows as short as set", function()
      sandbox.settings { rate_limit = 3, rate_window = 0.25 }
      local line = crowd(sandbox.http_url, 5, "")
      wait_until("an answer after a 429", function()
        driver.output(line)
        return statuses_text():find "429 200"
      end)
      local requests = sandbox.requests()
      assert.same(expected(requests, 3, 250), statuses_of(requests))
      local counts, refused = sandbox.counts(), 0
      for _ in statuses_text():gmatch "429" do refused = refused + 1 end
      assert.equal(refused, counts.statuses["429"])
      assert.equal(#requests, counts.requests)
    end)

    it("in windows of a minute", function()
      sandbox.settings { rate_limit = 2 }
      driver.output(crowd(sandbox.http_url, 4, ""))
      local requests = sandbox.requests()
      assert.same(expected(requests, 2, 60000), statuses_of(requests))
    end)

    it("of logins, too", function()
      sandbox.settings { token_rate_limit = 1, rate_window = 1 }
      assert.equal(200, login().status)
      wait_until("a login after a 429", function()
        login()
        return statuses_text():find "429 200"
      end)
      local requests = sandbox.requests()
      assert.same(expected(requests, 1, 1000), statuses_of(requests))
    end)

    it("and sends Retry-After, if set so", function()
      sandbox.settings { rate_limit = 1, rate_window = 40.5, retry_after = "seconds" }
      get "balances"
      local seconds = get("balances").headers["retry-after"]
      sandbox.settings { retry_after = "date" }
      local date = get("balances").headers["retry-after"]
      local requests = sandbox.requests()
      local ends = milliseconds(requests[1].time) + 40500
      local left = ends - milliseconds(requests[2].time)
      assert.equal(("%d"):format(math.ceil(left / 1000)), seconds)
      assert.equal(driver.http_date(math.ceil(ends / 1000)), date)
      sandbox.settings { retry_after = "-1" }
      assert.equal("-1", get("balances").headers["retry-after"])
      sandbox.settings { retry_after = "" }
      assert.is_nil(get("balances").headers["retry-after"])
    end)

    it("by a fault alike", function()
      sandbox.settings { rate_window = 5, retry_after = "seconds" }
      sandbox.fault { { kind = "rate_limit" }, { kind = "rate_limit", retry_after = "" } }
      assert.equal("5", curl.ask().headers["retry-after"])
      assert.is_nil(curl.ask().headers["retry-after"])
    end)
  end)

  describe("delays its answer, if set so,", function()
    it("for every request", function()
      sandbox.settings { delay = 0.2 }
      curl.ask()
      login()
      get "balances"
      get "accounts"
      sandbox.fault { kind = "html" }
      curl.ask()
      local requests = sandbox.requests()
      assert.equal(5, #requests)
      for _, request in ipairs(requests) do
        assert.is_true(request.ended - request.time > 0.1)
      end
    end)

    it("for an endpoint, until it is let go", function()
      sandbox.settings { hold = "token" }
      local pipe = io.popen(login(curl.command))
      wait_until("the login", arrived(1))
      assert.equal(200, curl.ask().status)
      assert.is_nil(sandbox.requests "token"[1].status)
      assert.equal(0, sandbox.counts().mints)
      sandbox.settings { hold = "" }
      assert.equal(200, curl.parse(pipe:read "*a").status)
      pipe:close()
      assert.equal(1, sandbox.counts().mints)
    end)

    it("but forgets what is on its way at a reset", function()
      sandbox.settings { hold = "all", rate_limit = 1 }
      local pipe = io.popen(curl.command {})
      wait_until("the request", arrived(1))
      sandbox.reset()
      assert.not_equal(0, curl.parse(pipe:read "*a").exit)
      pipe:close()
      assert.same({}, sandbox.requests())
      assert.equal(0, sandbox.counts().requests)
    end)
  end)

  it("holds a thousand at once", function()
    sandbox.settings { hold = "all" }
    local pipes = {}
    for n = 1, 4 do
      pipes[n] = io.popen(crowd(sandbox.http_url, 250,
        "-Z --parallel-immediate --parallel-max 250"))
    end
    wait_until("a thousand", arrived(1000))
    assert.same({}, sandbox.counts().statuses)
    sandbox.settings { hold = "" }
    for _, pipe in ipairs(pipes) do
      assert.same({ ["200"] = 250 }, (tally(pipe:read "*a")))
      pipe:close()
    end
    assert.same({ ["200"] = 1000 }, sandbox.counts().statuses)
  end)

  it("takes a thousand streams of one connection, if a client wants them", function()
    -- HTTP/2's greeting, no settings, then a frame that makes the server hang up.
    local hello = "PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n"
      .. ("\\000"):rep(3) .. "\\004" .. ("\\000"):rep(5)
      .. ("\\000"):rep(3) .. "\\000" .. ("\\000"):rep(5)
    local answer = driver.output("printf '" .. hello .. "' | "
      .. driver.command("timeout", 20, "openssl", "s_client", "-quiet", "-alpn", "h2",
        "-connect", sandbox.url:match "//([^/]+)") .. " 2> /dev/null")
    -- the server's settings begin with the most streams (3)
    assert.equal("\4\0\0\0\0\0", answer:sub(4, 9))
    assert.equal("\0\3\0\0\3\232", answer:sub(10, 15))
  end)

  it("closes connections after five requests, if set so", function()
    for _, version in ipairs { "--http2", "--http1.1" } do
      sandbox.reset()
      local statuses, connections = tally(driver.output(
        crowd(sandbox.goaway_url, 12, version)))
      assert.same({ ["200"] = 12 }, statuses)
      assert.equal(3, connections)
      local numbers = {}
      for n, request in ipairs(sandbox.requests()) do
        numbers[n] = request.connection_requests
        assert.equal("goaway", request.server)
      end
      assert.same({ 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2 }, numbers)
    end
  end)
end)
