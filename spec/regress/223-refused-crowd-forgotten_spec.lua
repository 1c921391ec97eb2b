-- A server that accepts one stream at a time refuses most of many concurrent calls.
-- libcurl 8.23 repeats the refused ones, sometimes forgets one until its connect timeout
-- (10 s), and gives up others after six times.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

describe("concurrent calls that are refused", function()
  local client

  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)
  after_each(function() client:close() end)

  local function together(count)
    local calls, going = {}, count
    for n = 1, count do calls[n] = client:start_balance "USD" end
    while going > 0 do
      going = 0
      for _, call in ipairs(calls) do going = going + (call:step() and 0 or 1) end
      if going > 0 then client:step(1) end
    end
    for _, call in ipairs(calls) do fixture.succeeded(call:result()) end
  end

  it("is answered, and at once", function()
    for _ = 1, 10 do -- each time it meets otherwise
      client = fixture.client { base_url = sandbox.one_stream_url, timeout = 60,
        connect_timeout = 20 }
      for _, count in ipairs { 30, 150 } do
        local began = socket.gettime()
        together(count)
        assert.is_true(socket.gettime() < began + 15, "a call was forgotten")
      end
      client:close()
    end
  end)
end)
