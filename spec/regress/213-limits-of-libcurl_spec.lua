-- libcurl from 8.6 on has limits of its own on headers, which it reports as
-- CURLE_TOO_LARGE (100): that was kind `protocol`, and its message did not name headers.

local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local frames = require "spec.support.frames"
local libcurl = require "spec.support.libcurl"
local sandbox = require "spec.sandbox.sandbox"

-- A limit on the number of lines came with 8.6.
local counts = libcurl.at_least(8, 6)

describe("headers beyond libcurl's limits", function()
  local server, client
  local closing = fixture.closing()

  setup(function() sandbox.start() end)

  -- Where libcurl has no such limit the answer is taken: 2.
  local function check(limited, changes)
    client = closing(fixture.client({ base_url = server.url, max_retries = 2 }, changes))
    if limited then
      local err = fixture.failed("too_large", client:balance "USD")
      assert.equal(1, err.attempts)
      assert.is_false(err.retryable)
      assert.matches("header", err.message, 1, true)
    end
    assert.equal(2, fixture.succeeded(client:balance "USD").available_balance)
  end

  for name, case in pairs {
    ["many lines"] = { ("x: y\r\n"):rep(6000), counts },
    ["a long line"] = { "x: " .. ("y"):rep(600000) .. "\r\n", true },
  } do
    it("are too large: " .. name, function()
      server = closing(faulty.start { { read = true, keep = true,
        send = fixture.http(fixture.body(2), nil, case[1]) },
        { read = true, send = fixture.http(fixture.body(2)), keep = true } })
      check(case[2], { ca_file = false })
    end)
  end

  if not counts then return end

  it("are too large over HTTP/2", function()
    local block = frames.block { ":status", "200" } .. frames.block { "x", "y" }:rep(6000)
    local size = 15000
    local said = frames.frame(1, 0, 1, block:sub(1, size))
    for at = size + 1, #block, size do
      said = said .. frames.frame(9, at + size > #block and 4 or 0, 1,
        block:sub(at, at + size - 1))
    end
    said = said .. frames.data(fixture.body(2))
    server = closing(faulty.start({ { { read = "h2", send = frames.hello .. said },
      { read = "h2", send = frames.answer(fixture.body(2), 200, 3), keep = true } },
      { read = "h2", keep = true,
        send = frames.hello .. frames.answer(fixture.body(2)) } },
      sandbox.tls "h2"))
    check(true, { http_version = "2" })
  end)
end)
