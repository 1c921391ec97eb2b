-- A worker that was killed while it logged in kept all others from a login for up to 15
-- seconds, and a login that took longer was made twice: the lock was not renewed.

local nginx = require "spec.support.nginx"
local sandbox = require "spec.sandbox.sandbox"

local init = [[
  client = uqpay.new(options { token = false, client_id = sandbox.client_id,
    api_key = sandbox.api_key, shared = "uqpay", timeout = 10, max_retries = 0,
    on_request = function(info)
      if info.endpoint == "token" then
        ngx.shared.spec:set("who logs in", ngx.worker.pid())
      end
    end })
]]

nginx.describe("a login of several workers", function(start)
  local server

  local function serve(workers)
    server = start {
      workers = workers, init = init,
      ["/balance"] = "note('worker' .. ngx.worker.pid()) ask(client)",
      ["/owner"] = 'ngx.say(ngx.shared.spec:get "who logs in")',
      -- the lives of the locks, in seconds
      ["/locks"] = [[
        for _, key in ipairs(ngx.shared.uqpay:get_keys(0)) do
          if key:find "lock" or key:find "^uqpay login" then
            local life = ngx.shared.uqpay:ttl(key)
            if life then ngx.say(life) end
          end
        end
      ]],
    }
  end

  local function get(path)
    return (select(2, server:get(path)))
  end

  -- Requests, of which each worker has five or more, while the login does not end.
  local function begin_many()
    nginx.hold "token"
    local peers = { server:begin "/balance" }
    sandbox.until_arrived(1)
    nginx.wait_until(function()
      for _ = 1, 10 do peers[#peers + 1] = server:begin "/balance" end
      for _, pid in ipairs(server:workers()) do
        if server:noted("worker" .. pid) < 5 then return false end
      end
      return true
    end, "each worker has some")
    assert.equal(1, #sandbox.requests "token")
    return peers
  end

  local function answers(peers)
    local good, lost = 0, 0
    for _, peer in ipairs(peers) do
      local status, body = server:finish(peer)
      if not status then
        lost = lost + 1
      else
        assert.equal("USD 5000.25 number asked\n", body)
        good = good + 1
      end
    end
    return good, lost
  end

  for _, workers in ipairs { 2, 4 } do
    it("is made by another when the one that makes it is killed, " .. workers, function()
      serve(workers)
      local peers = begin_many()
      local owner = tonumber(get "/owner")
      server:signal("KILL", owner)
      nginx.wait_until(function()
        return server:log():find("worker process " .. owner .. " exited on signal 9", 1,
          true)
      end, "it is dead")
      nginx.go()
      local good, lost = answers(peers) -- each within its timeout, 10 s
      assert.is_true(good > 0 and lost > 0, good .. " good, " .. lost .. " lost")
      assert.equal(2, #sandbox.requests "token")
      assert.equal("USD 5000.25 number asked\n", get "/balance")
      assert.equal(2, #sandbox.requests "token")
      assert.equal("", get "/locks")
    end)
  end

  for _, workers in ipairs { 1, 2, 4 } do
    it("is one, however long it takes, " .. workers .. " worker(s)", function()
      serve(workers)
      local peers = begin_many()
      local before, renewed = nil, 0
      nginx.wait_until(function()
        local lives = {}
        for life in get "/locks":gmatch "%S+" do lives[#lives + 1] = tonumber(life) end
        assert.equal(1, #lives)
        assert.is_true(lives[1] <= 2.01, "a lock lives for " .. lives[1] .. " s")
        if before and lives[1] > before then renewed = renewed + 1 end
        before = lives[1]
        return renewed == 3
      end, "the lock is renewed three times")
      assert.equal(1, #sandbox.requests "token")
      nginx.go()
      assert.equal(#peers, (answers(peers)))
      assert.equal(1, #sandbox.requests "token")
      assert.equal("", get "/locks")
      assert.same({}, server:lines("error", "crit", "alert"))
    end)
  end
end)
