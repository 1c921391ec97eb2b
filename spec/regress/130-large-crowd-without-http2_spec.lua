-- From a hundred calls in flight on, connections were limited as for HTTP/2 until an
-- answer showed the version: for ever without TLS, where no request offers HTTP/2, and
-- over TLS until the first answer, which a few hanging calls delayed.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local CROWD, HANGING = 150, 3

describe("many concurrent calls without HTTP/2", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  -- Starts the calls and steps them until all but those that hang are done.
  local function run(client)
    local calls, left = {}, CROWD - HANGING
    local deadline = socket.gettime() + 40
    sandbox.fault { kind = "hang", times = HANGING }
    for _ = 1, CROWD do
      calls[#calls + 1] = client:start_balance "USD" -- keeps it
    end
    while left > 0 do
      assert.is_true(socket.gettime() < deadline, left .. " calls still wait")
      client:step(0.1)
      for call in function() return client:ready() end do
        if call:step() then
          fixture.succeeded(call:result())
          left = left - 1
        end
      end
    end
  end

  for _, url in ipairs { "http_url", "http1_url" } do
    for _, version in ipairs { "auto", "2" } do
      for _, warm in ipairs { false, true } do
        it(("waits for no call that hangs: %s, %s, %s"):format(url, version,
          warm and "warm" or "cold"), function()
          local client = fixture.client { base_url = sandbox[url], timeout = 50,
            http_version = version }
          if warm then fixture.succeeded(client:balance "USD") end
          run(client)
          local opened = sandbox.connections()
          client:close()
          assert.is_true(opened <= CROWD + 1, opened)
        end)
      end
    end
  end
end)
