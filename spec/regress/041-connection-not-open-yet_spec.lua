-- libcurl 7.88 gives a request a connection of HTTP/2 whose tunnel through a proxy is
-- still being dug, and fails it with "no filter connected" under the code of a failed
-- set-up: the call ended at once with the kind `config`.

local fixture = require "spec.support.fixture"
local relays = require "spec.support.relay_driver"
local sandbox = require "spec.sandbox.sandbox"

describe("calls that libcurl sends before a proxy's tunnel is open", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("are sent again", function()
    local relay = relays.start(sandbox.one_stream_url)
    local client = fixture.client {
      base_url = sandbox.one_stream_url, proxy = "http://127.0.0.1:" .. relay.port,
      retry_delay = 0.2, retry_delay_max = 0.4, max_retries = 5,
    }
    local left = 150
    local function source()
      left = left - 1
      return left >= 0 and "USD" or nil
    end
    for _, balance, message in client:batch(source, { concurrency = 150 }) do
      assert.is_truthy(balance, message)
    end
    client:close()
    relay:stop()
  end)
end)
