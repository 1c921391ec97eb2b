-- A stream that ends with HTTP_1_1_REQUIRED is asked for once more by libcurl, over
-- HTTP/1.1, also when a part of the answer has come already: that stayed in front of the
-- next answer, and the call failed with `decode`, or with `protocol` if the status was

local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local frames = require "spec.support.frames"
local sandbox = require "spec.sandbox.sandbox"

local body, http = fixture.body, fixture.http

describe("an answer over HTTP/1.1 after a part of one over HTTP/2", function()
  local server, client
  local closing = fixture.closing()

  setup(function() sandbox.start() end)

  local function connect(again)
    local part = frames.headers { ":status", "200", "x-request-id", "first" }
      .. frames.data(body(1):sub(1, 40), 0)
    server = closing(faulty.start({
      { read = "h2", send = { frames.hello .. part, frames.reset(13) }, pause = 0.05,
        keep = true },
      { read = true, send = again, keep = true },
    }, sandbox.tls("h2", "http/1.1")))
    client = closing(fixture.client { base_url = server.url, http_version = "2",
      rate_limit = 0, max_retries = 0 })
  end

  it("is the answer", function()
    connect(http(body(2)))
    assert.equal(2, fixture.succeeded(client:balance "USD").available_balance)
    assert.equal(2, #server:requests())
    assert.equal(2, client:stats().attempts)
  end)

  it("is the answer, if it is a refusal", function()
    connect(http('{"code":"x","message":"no"}', "404 Not Found",
      "x-request-id: second\r\n"))
    local err = fixture.failed("not_found", client:balance "USD")
    assert.equal("second", err.request_id)
    assert.equal(404, err.status)
    assert.equal('{"code":"x","message":"no"}', err.body)
  end)
end)
