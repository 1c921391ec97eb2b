-- A request that ended in the iteration of the event loop in which it began its worker's
-- first call (an HTTP/2 request that is reset at once, a sibling thread's ngx.exit) ended
-- the driver, too: an error was logged, and all calls of the client waited for a second.

local fixture = require "spec.support.fixture"
local nginx = require "spec.support.nginx"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"
local unix = require "socket.unix"

local init = [[
  cache = { dict = "uqpay", ttl = 60 }
  clients = {
    plain = uqpay.new(options()),
    cached = uqpay.new(options { cache = cache }),
    login = uqpay.new(options { token = false, client_id = sandbox.client_id,
      api_key = sandbox.api_key, shared = "uqpay" }),
    login_cached = uqpay.new(options { token = false, client_id = sandbox.client_id,
      api_key = sandbox.api_key, shared = "uqpay", cache = { ttl = 60 } }),
  }
]]
local balance = "ask(clients[ngx.var.arg_client])"

-- A frame of HTTP/2.
local function frame(kind, flags, stream, payload)
  return string.char(0, 0, #payload, kind, flags, 0, 0, 0, stream) .. payload
end

-- Requests that are reset in the write that sends them.
local function reset(server, path)
  local peer = assert(unix())
  assert(peer:connect(server.dir .. "/h2.sock"))
  local head = "\130\134\4" .. string.char(#path) .. path .. "\1\1x"
  assert(peer:send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" .. frame(4, 0, 0, "")
    .. frame(1, 5, 1, head) .. frame(3, 0, 1, "\0\0\0\8")))
  return peer
end

nginx.describe("a request that ends as it begins its worker's first call", function(start)
  local server

  local function serve(workers)
    server = start {
      workers = workers, init = init,
      http = ([[
        server {
          listen unix:@dir@/h2.sock http2;
          lua_check_client_abort on;
          location = /balance {
            content_by_lua_block { %s }
            log_by_lua_block { note "ended" }
          }
        }
      ]]):format(balance),
      ["/balance"] = balance,
      ["/exit"] = { content = [[
        ngx.thread.spawn(function()
          coroutine.yield()
          ngx.say "x"
          ngx.exit(200)
        end)
      ]] .. balance, log = [[note "ended"]] },
    }
  end

  -- How one of those ends. Returns behind its end.
  local ways = {
    ["reset at once"] = function(path)
      local peer = reset(server, "/balance" .. path)
      return function() peer:close() end
    end,
    ["ended by a sibling thread"] = function(path)
      server:get("/exit" .. path)
    end,
  }
  local function end_early(how, path)
    local before = server:noted "ended"
    local close = ways[how](path)
    nginx.wait_until(function() return server:noted "ended" > before end, "it has ended")
    if close then close() end
  end

  -- Seconds that a call takes behind such a request with the same question.
  local function next_call(how, client, n)
    local account = "CB000000000" .. n
    sandbox.fault { kind = "answer", body = fixture.body(n), times = 9,
      match = { ["x-on-behalf-of"] = account } }
    local query = ("?client=%s&account=%s"):format(client, account)
    end_early(how, query)
    local begun = socket.gettime()
    local status, body = server:get("/balance" .. query)
    assert.equal(200, status, body)
    assert.matches(("^USD %d number "):format(n), body)
    return socket.gettime() - begun
  end

  for how in pairs(ways) do
    it("and is " .. how .. " delays no other", function()
      serve(1)
      for _, client in ipairs { "plain", "cached", "login", "login_cached" } do
        local quickest, n = math.huge, 0
        while quickest > 0.5 and n < 3 do -- others use the machine, too
          n = n + 1
          quickest = math.min(quickest, next_call(how, client, n))
        end
        assert.is_true(quickest < 0.5, client .. " takes " .. quickest .. " s")
      end
      assert.same({}, server:lines("error", "crit", "alert"))
    end)
  end

  for _, workers in ipairs { 1, 2, 4 } do
    it("and others at the same time get their answers, " .. workers .. " worker(s)",
      function()
        serve(workers)
        for _, client in ipairs { "plain", "cached", "login" } do
          for _ = 1, 10 do end_early("reset at once", "?client=" .. client) end
          local _, bodies = server:many(20, "/balance?client=" .. client)
          for n = 1, 20 do assert.matches("^USD 5000.25 number ", bodies[n]) end
        end
        assert.same({}, server:lines("error", "crit", "alert"))
      end)
  end
end)
