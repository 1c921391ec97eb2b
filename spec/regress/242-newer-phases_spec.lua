-- Phases of OpenResty's that can wait, but were refused as if they could not: precontent,
-- proxy_ssl_cert, proxy_ssl_verify; and two that cannot in any other nginx, but were
-- tried. Debian's nginx has none of the first three: here a stand-in for nginx's API says
-- which phase it is, and runs light threads one after the other.

local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local unpack = table.unpack or unpack

describe("resty.uqpay in the phase", function()
  local ours = { "ffi", "ngx.semaphore", "resty.uqpay", "resty.uqpay.cache",
    "resty.uqpay.driver", "resty.uqpay.lock", "resty.uqpay.shared", "uqpay.loop",
    "uqpay.hub", "uqpay.batch", "uqpay.pages" }
  local loaded, ngx, phase, threads, symbols, uqpay

  -- Runs all light threads, those of timers too, until none is left.
  local function run(f)
    threads = { coroutine.create(f) }
    local give_up = socket.gettime() + 60
    while threads[1] do
      assert(socket.gettime() < give_up, "a light thread never ends")
      for n = #threads, 1, -1 do
        assert(coroutine.resume(threads[n]))
        if coroutine.status(threads[n]) == "dead" then table.remove(threads, n) end
      end
    end
  end

  local Semaphore = {}
  Semaphore.__index = Semaphore
  function Semaphore:count() return self.posted - self.waiters end
  function Semaphore:post(n) self.posted = self.posted + (n or 1) end
  function Semaphore:wait(seconds)
    local ends = socket.gettime() + seconds
    self.waiters = self.waiters + 1
    while self.posted == 0 and socket.gettime() < ends do coroutine.yield() end
    self.waiters = self.waiters - 1
    if self.posted == 0 then return nil, "timeout" end
    self.posted = self.posted - 1
    return true
  end

  local function stand_in()
    return {
      get_phase = function() return phase end,
      worker = { pid = function() return 1 end },
      shared = {},
      now = socket.gettime,
      update_time = function() end,
      sleep = function(seconds)
        local ends = socket.gettime() + seconds
        repeat coroutine.yield() until socket.gettime() >= ends
      end,
      timer = { at = function(_, f, ...)
        local arguments, count = { ... }, select("#", ...)
        table.insert(threads, 1, coroutine.create(function()
          f(false, unpack(arguments, 1, count))
        end))
        return true
      end },
    }
  end

  -- The symbols of a program, as LuaJIT's ffi finds them.
  local function ffi()
    local declared = {}
    return {
      cdef = function(text)
        local name, symbol = text:match '^extern char (%S+) __asm__%("(%S+)"%);$'
        assert(name, text)
        declared[name] = symbol
      end,
      C = setmetatable({}, { __index = function(_, name)
        return symbols[assert(declared[name], name)] or error("missing symbol", 0)
      end }),
    }
  end

  local function load(...)
    symbols = {}
    for _, name in ipairs { ... } do symbols[name] = 1 end
    uqpay = require "resty.uqpay"
  end

  before_each(function()
    sandbox.reset()
    loaded = {}
    for _, name in ipairs(ours) do
      loaded[name], package.loaded[name] = package.loaded[name], nil
    end
    package.loaded.ffi = ffi()
    package.loaded["ngx.semaphore"] = { new = function()
      return setmetatable({ posted = 0, waiters = 0 }, Semaphore)
    end }
    ngx = rawget(_G, "ngx")
    rawset(_G, "ngx", stand_in())
    phase = "init_worker"
  end)

  after_each(function()
    for _, name in ipairs(ours) do package.loaded[name] = loaded[name] end
    rawset(_G, "ngx", ngx)
  end)

  -- Asks for a balance in that phase: the amount, or the error's kind and message.
  local function balance_in(where)
    local found
    phase = "init_worker"
    local client = uqpay.new {
      base_url = sandbox.url, ca_file = sandbox.ca_file, token = sandbox.token,
    }
    phase = where
    run(function()
      local balance, message, err = client:balance "USD"
      found = balance and balance.available_balance or err.kind .. ": " .. message
    end)
    client:close()
    return found
  end

  for _, name in ipairs { "precontent", "proxy_ssl_cert", "proxy_ssl_verify", "content",
    "ssl_cert", "preread" } do
    it(name .. ", waits", function()
      load()
      assert.equal(5000.25, balance_in(name))
    end)
  end

  for _, name in ipairs { "ssl_client_hello", "ssl_session_fetch" } do
    it(name .. ", waits with OpenResty's patches", function()
      load("ngx_posted_delayed_events", "SSL_magic_pending_session_ptr")
      assert.equal(5000.25, balance_in(name))
    end)

    it(name .. ", says without them that it cannot", function()
      load()
      assert.equal("config: balance would have to wait, which " .. name .. "_by_lua "
        .. "cannot without OpenResty's patches of nginx: call it in rewrite, access or "
        .. "content, or through ngx.timer.at(0, f)", balance_in(name))
      assert.equal(0, #sandbox.requests())
    end)
  end

  it("ssl_session_fetch, says so with an OpenSSL that has none", function()
    load "ngx_posted_delayed_events"
    assert.equal(5000.25, balance_in "ssl_client_hello")
    assert.matches("^config: balance .* ssl_session_fetch_by_lua cannot without ",
      balance_in "ssl_session_fetch")
  end)

  it("log, cannot wait anywhere", function()
    load("ngx_posted_delayed_events", "SSL_magic_pending_session_ptr")
    assert.equal("config: balance would have to wait, which log_by_lua cannot: call it "
      .. "in rewrite, access or content, or through ngx.timer.at(0, f)", balance_in "log")
  end)
end)
