-- The options transport and clock within nginx: each request to the program's transport
-- has a light thread of its own, which may use cosockets, and which no request ends.

local sandbox = require "spec.sandbox.sandbox"

if not rawget(_G, "jit") then
  describe("the program's transport within nginx", function()
    pending "nginx's Lua is LuaJIT"
  end)
  return
end

local nginx = require "spec.support.nginx"

local init = [[
  local body = '{"balance_id":"x","currency":"%s","available_balance":%d,'
    .. '"margin_balance":0,"frozen_balance":0}'
  function ok(request, amount)
    local currency = request.body:match '"currency":"(%u+)"'
    return { status = 200, body = body:format(currency, amount or 7) }
  end
  local t = 1000
  clock = {
    now = function() return t end,
    sleep = function(seconds) t = t + seconds end,
  }
  function new(transport, changes)
    local all = { token = "any-token-of-the-program", transport = transport }
    for name, value in pairs(changes or {}) do all[name] = value or nil end
    return uqpay.new(all)
  end
]]

describe("the program's transport within nginx", function()
  local server
  local function start(handlers)
    handlers.init = init .. (handlers.init or "")
    server = nginx.start(handlers)
    return server
  end
  setup(sandbox.start)
  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  it("may yield, while other calls go on", function()
    start {
      init = [[
        active, most = 0, 0
        client = new(function(request)
          active = active + 1
          most = math.max(most, active)
          ngx.sleep(0.1)
          active = active - 1
          return ok(request)
        end)
      ]],
      ["/"] = [[
        local threads = {}
        for n = 1, 20 do
          threads[n] = ngx.thread.spawn(function() return client:balance "USD" end)
        end
        local right = 0
        for n = 1, 20 do
          local _, balance = ngx.thread.wait(threads[n])
          if balance and balance.available_balance == 7 then right = right + 1 end
        end
        ngx.say(right, " ", most > 1 and "together" or "one after the other")
      ]],
    }
    assert.equal("20 together\n", select(2, server:get "/"))
    assert.same({}, server:lines "error")
  end)

  it("may use cosockets: to the sandbox", function()
    start {
      init = [[
        local function fetch(request)
          local sock = ngx.socket.tcp()
          local host, port, path = sandbox.http_url:match "http://(.-):(%d+)(.*)"
          assert(sock:connect(host, tonumber(port)))
          local lines = { request.method .. " "
            .. request.url:gsub("^https?://[^/]*", "") .. " HTTP/1.1",
            "Host: sandbox", "Connection: close", "Content-Length: " .. #request.body }
          for name, value in pairs(request.headers) do
            lines[#lines + 1] = name .. ": " .. value
          end
          sock:send(table.concat(lines, "\r\n") .. "\r\n\r\n" .. request.body)
          local text = assert(sock:receive "*a")
          local head, body = text:match "^(.-)\r\n\r\n(.*)$"
          return { status = tonumber(head:match " (%d%d%d) "), body = body,
            headers = { ["X-Request-Id"] = "own" } }
        end
        client = new(fetch, { token = sandbox.token })
      ]],
      ["/"] = "answer(client:balance 'USD')",
      ["/wrong"] = [[
        answer(client:balance("USD", { on_behalf_of = sandbox.foreign_sub_account }))
      ]],
    }
    sandbox.reset()
    assert.equal("USD 5000.25\n", select(2, server:get "/"))
    assert.matches("request own", select(2, server:get "/wrong"))
    assert.same({}, server:lines "error")
  end)

  it("survives the end of the request that asked, and serves the login to all", function()
    start {
      init = [[
        logins = 0
        client = new(function(request)
          ngx.sleep(0.2)
          if request.endpoint == "token" then
            logins = logins + 1
            return { status = 200, body = '{"auth_token":"token-of-the-login"}' }
          end
          return ok(request)
        end, { client_id = "the-client", api_key = "the-api-key-of-the-client",
          token = false })
      ]],
      ["/leave"] = [[
        ngx.thread.spawn(function() client:balance "USD" end)
        ngx.sleep(0.05)
        ngx.say "gone"
        ngx.exit(200)
      ]],
      ["/"] = "answer(client:balance 'USD')",
      ["/logins"] = "ngx.say(logins)",
    }
    assert.equal("gone\n", select(2, server:get "/leave"))
    assert.equal("USD 7\n", select(2, server:get "/"))
    assert.equal("1\n", select(2, server:get "/logins"))
  end)

  it("fails calls by its errors, and is not called again", function()
    start {
      init = [[
        called = 0
        client = new(function()
          called = called + 1
          ngx.sleep(0)
          error "it broke"
        end)
      ]],
      ["/"] = "answer(client:balance 'USD')",
      ["/called"] = "ngx.say(called)",
    }
    assert.matches("^config: the option transport: .*it broke", select(2, server:get "/"))
    assert.equal("1\n", select(2, server:get "/called"))
  end)

  it("lets the program's clock take waits away", function()
    start {
      init = [[
        local n = 0
        client = new(function(request)
          n = n + 1
          if n % 3 ~= 0 then
            return { status = 503, headers = { ["retry-after"] = "9" }, body = "" }
          end
          return ok(request)
        end, { clock = clock, cache = { dict = "uqpay", ttl = 60 } })
      ]],
      ["/"] = [[
        local before = clock.now()
        local balance, message = client:balance "SGD"
        ngx.say(balance and balance.currency or message, " ", clock.now() - before)
      ]],
    }
    assert.equal("SGD 18\n", select(2, server:get "/"))
    assert.equal("SGD 0\n", select(2, server:get "/")) -- out of the cache
    assert.same({}, server:lines "error")
  end)

  it("batches, and lists, as ever", function()
    start {
      init = [[
        client = new(function(request)
          ngx.sleep(0.001)
          if request.method == "POST" then return ok(request, 3) end
          local page = tonumber(request.url:match "page_number=(%d+)")
          local item = ok({ body = '"currency":"EUR"' }, page).body
            :gsub('"x"', '"x' .. page .. '"')
          return { status = 200, body = ('{"total_pages":2,"total_items":2,"data":[%s]}')
            :format(item) }
        end)
      ]],
      ["/"] = [[
        local sum = 0
        for _, balance, message in client:batch { "USD", "SGD", "EUR" } do
          sum = sum + assert(balance, message).available_balance
        end
        for balance in client:each_balance() do sum = sum + balance.available_balance end
        ngx.say(sum)
      ]],
    }
    assert.equal("12\n", select(2, server:get "/"))
    assert.same({}, server:lines "error")
  end)
end)
