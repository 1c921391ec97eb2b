-- Newer versions of libcurl (8.4 for one) take a status line of an odd version ("HTTP/2.0
-- 503" over HTTP/1.1) for status 200, whatever it says; all take "HTTP/1.1 2000" for 200.
-- So a refusal was read as a balance.

local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"

describe("a status line", function()
  after_each(faulty.stop)

  local function ask(line)
    local server = faulty.serve { read = true,
      send = fixture.http(fixture.body(99)):gsub("^[^\r\n]*", line) }
    return fixture.client { base_url = server.url, ca_file = false, token = "t",
      max_retries = 0 }:balance "USD"
  end

  for _, line in ipairs { "HTTP/2.0 503 Busy", "HTTP/3.7 503 Busy", "HTTP/2.0 401 No",
    "HTTP/3.7", "HTTP/2x 429 Slow", "HTTP/3.7 20", "HTTP/1.1 2000 OK",
    "HTTP/2 2000 OK", "HTTP/3.7 OK" } do
    it("that libcurl misreads gives no balance: " .. line, function()
      local balance, _, err = ask(line)
      assert.is_nil(balance)
      -- libcurl 7.88 reads HTTP/2.0 correctly
      local status = tonumber(line:match "^HTTP/2.0 (%d+)")
      if err.status then assert.equal(status, err.status)
      else assert.equal("protocol", err.kind) end
    end)
  end

  for _, line in ipairs { "HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 200",
    "HTTP/1.1 200 ", "HTTP/1.1 200 2000 OK" } do
    it("that is valid is read: " .. line, function()
      assert.equal(99, fixture.succeeded(ask(line)).available_balance)
    end)
  end
end)
