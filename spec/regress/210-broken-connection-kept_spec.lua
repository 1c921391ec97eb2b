-- From libcurl 8.14 on a connection over HTTP/2 with a protocol error of the server (a
-- window overflow, an answer to no request) stayed in use: every later call failed on it
-- with `connect`.

local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local frames = require "spec.support.frames"
local libcurl = require "spec.support.libcurl"
local sandbox = require "spec.sandbox.sandbox"

local body, failed, succeeded = fixture.body, fixture.failed, fixture.succeeded
local hello, answer = frames.hello, frames.answer

-- Bytes that break the protocol, in place of an answer or within it.
local faults = {
  ["a window too large"] = frames.window(2 ^ 31 - 1):rep(2) .. answer(body(9)),
  ["an answer to a request that was never made"] = answer(body(9), 200, 99),
  ["headers that cannot be unpacked"] = frames.frame(1, 4, 1, "\255\255\255\255"),
  ["a push"] = frames.frame(5, 4, 1, "\0\0\0\2" .. frames.block { ":method", "GET" }),
}
-- libcurl 8 reports these to all requests on the connection
local all_are_told = { "a window too large",
  "an answer to a request that was never made" }

if not libcurl.at_least(8) then -- the others would wait until their timeout
  all_are_told = {}
else
  faults["a fault within the body"] = frames.headers { ":status", "200" }
    .. frames.data(body(9):sub(1, 30), 0) .. frames.frame(1, 4, 1, "\255\255\255\255")
end

local token = '{"auth_token":"%s","expired_at":%d}'
local list = '{"total_pages":1,"total_items":1,"data":[' .. body(2) .. "]}"

describe("connections on which the protocol was broken", function()
  local server, client
  local closing = fixture.closing()

  setup(function() sandbox.start() end)

  -- The first connections, `broken` of them, break after so many requests; the last one
  -- answers all of them with `good`.
  local function serve(fault, broken, good, requests)
    local first, last = {}, {}
    for n = 1, requests or 1 do
      first[n] = { read = "h2", send = n == 1 and hello or nil }
    end
    first[#first].send = (first[#first].send or "") .. fault
    first[#first].keep = true
    for n = 1, 40 do
      last[n] = { read = "h2",
        send = (n == 1 and hello or "") .. answer(good, 200, 2 * n - 1) }
    end
    last[#last].keep = true
    local behaviours = {}
    for n = 1, broken do behaviours[n] = first end
    behaviours[broken + 1] = last
    server = closing(faulty.start(behaviours, sandbox.tls "h2"))
  end

  local function connect(changes)
    client = closing(fixture.client(
      { base_url = server.url, http_version = "2", max_retries = 0 }, changes))
  end

  for name, fault in pairs(faults) do
    it("are not used by the next call: " .. name, function()
      serve(fault, 2, body(2))
      connect()
      for _ = 1, 2 do
        local err = failed("connect", client:balance "USD")
        assert.equal(1, err.attempts)
        assert.is_true(err.retryable)
      end
      for _ = 1, 3 do succeeded(client:balance "USD") end
      assert.equal(3, #server:requests())
    end)

    it("are not used by the next attempt: " .. name, function()
      serve(fault, 2, body(2))
      local kinds, keys = {}, {}
      connect { max_retries = 2,
        on_request = function(info) keys[info.idempotency_key] = true end,
        on_response = function(info) kinds[#kinds + 1] = info.kind or "good" end }
      succeeded(client:balance "USD")
      succeeded(client:balance "USD")
      assert.same({ "connect", "connect", "good", "good" }, kinds)
      local count = 0
      for _ in pairs(keys) do count = count + 1 end
      assert.equal(2, count) -- one a call
      assert.equal(3, #server:requests())
    end)

    it("are not used by a list, an iterator or a login: " .. name, function()
      serve(fault, 1, list)
      connect { max_retries = 1 }
      assert.equal(1, #succeeded(client:balances()).data)
      client:close()
      server:stop()
      serve(fault, 1, list)
      connect { max_retries = 1 }
      local count = 0
      for item, message in client:each_balance() do
        assert.truthy(item, message)
        count = count + 1
      end
      assert.equal(1, count)
      client:close()
      server:stop()
      serve(fault, 1, token:format(("t"):rep(50), os.time() + 1000))
      connect { max_retries = 1, token = false, client_id = "x", api_key = "y" }
      assert.equal(("t"):rep(50), (client:token()))
      assert.equal(2, #server:requests())
    end)
  end

  for _, name in ipairs(all_are_told) do
    it("are given up by concurrent calls: " .. name, function()
      local CROWD = 8
      serve(faults[name], 1, body(2), CROWD)
      connect { max_retries = 1, http_version = "auto" }
      local calls = {}
      for n = 1, CROWD do calls[n] = client:start_balance("USD", { timeout = 60 }) end
      fixture.finish(client, calls)
      for _, call in ipairs(calls) do succeeded(call:result()) end
      succeeded(client:balance "USD")
      assert.is_true(#server:requests() <= 4, #server:requests())
    end)
  end
end)
