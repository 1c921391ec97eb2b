-- Kept connections that die without a word cost a call each its whole timeout: 16 in a
-- row in nginx.

local driver = require "spec.support.driver"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"

if not rawget(_G, "jit") then
  describe("kept connections that die", function()
    pending "nginx's Lua is LuaJIT"
  end)
  return
end

local nginx = require "spec.support.nginx"

local KEPT = 16

describe("kept connections that die", function()
  local relay, server

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    relay = relays.start(sandbox.url)
  end)
  after_each(function()
    server:stop()
    relay:stop()
  end)

  for _, version in ipairs { "1.1", "auto", "2" } do
    it("cost no call within nginx, http_version " .. version, function()
      server = nginx.start {
        workers = 1,
        init = ([[client = uqpay.new(options {
          base_url = %q, http_version = %q, timeout = 4.5 })]])
          :format(relay.url, version),
        ["/usd"] = "answer(client:balance 'USD')",
      }
      local function all_right()
        local _, bodies = server:many(KEPT, "/usd")
        for n = 1, KEPT do assert.equal("USD 5000.25\n", bodies[n]) end
      end
      sandbox.fault { kind = "delay", seconds = 0.3, times = KEPT }
      all_right()
      relay:order "strand"
      for _ = 1, KEPT + 2 do
        local status, body = server:get "/usd"
        assert.equal(200, status, body)
      end
      relay:order "strand"
      all_right()
      assert.same({}, driver.lines(server:log():match "%[error%].*" or ""))
    end)
  end
end)
