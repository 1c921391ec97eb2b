-- A server that answers late was asked twice by each call of a crowd when it refused one
-- request at once: "Request is processing" for the one that was sent again, or a 503. The
-- connections of the others were taken for dead, since a later request had its answer.
-- Refusals come faster than what was asked for, and say nothing of the other requests.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

local title = "a refusal beside slow answers"
local COUNT, SLOW = 8, 3
local options = { timeout = 7.5 } -- a third of it is silence for too long

describe(title, function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for name, fault in pairs {
    ["Request is processing"] = { kind = "processing" },
    ["a 503"] = { kind = "status", status = 503, store = false },
  } do
    for _, version in ipairs { "1.1", "2" } do
      it("gives no connection up: " .. name .. ", HTTP/" .. version, function()
        local client = fixture.client { http_version = version, rate_limit = 0 }
        sandbox.fault { kind = "delay", seconds = 0.3, times = COUNT }
        fixture.crowd(client, COUNT, options) -- each on a connection of its own
        sandbox.fault { kind = "delay", seconds = SLOW, times = COUNT }
        sandbox.fault(fault)
        sandbox.fault { kind = "delay", seconds = SLOW, times = 1000 }
        local before = #sandbox.requests()
        fixture.crowd(client, COUNT, options)
        local sent = #sandbox.requests() - before
        assert.is_true(sent >= COUNT + 2, sent) -- one was sent again, and refused
        assert.is_true(sent <= COUNT + 4, sent)
        client:close()
      end)
    end
  end
end)
