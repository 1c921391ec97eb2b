-- A kept connection that died amid an answer (the headers had come, the body had not)
-- cost a call its whole timeout: only silence before the first byte was looked for.

local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"

local BODY = '{"balance_id":"b","currency":"USD","available_balance":1,'
  .. '"margin_balance":1,"frozen_balance":1,"balance_status":"ACTIVE"}'
local HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
  .. #BODY .. "\r\n\r\n"

local function answer(text, keep) return { read = true, send = text, keep = keep } end

describe("a kept connection that falls silent within an answer", function()
  after_each(faulty.stop)

  local function asked_twice(part, options)
    faulty.serve({ answer(HEAD .. BODY), answer(part, true) },
      { answer(HEAD .. BODY), answer(HEAD .. BODY, true) })
    local c = fixture.client { base_url = faulty.server.url, timeout = 60,
      token = "token-of-this-spec" }
    fixture.succeeded(c:balance "USD")
    local balance, message, err = c:balance("USD", options)
    local attempts = c:stats().attempts
    c:close()
    return balance, message, err, attempts
  end

  for name, part in pairs {
    ["behind its headers"] = HEAD, ["amid its body"] = HEAD .. BODY:sub(1, 20),
    ["amid its headers"] = HEAD:sub(1, 40),
  } do
    it("is given up: " .. name, function()
      local balance, message, _, attempts = asked_twice(part, { timeout = 6 })
      assert.is_table(balance, message)
      assert.equal(3, attempts)
    end)
  end

  it("is not, without retries", function()
    local _, _, err, attempts = asked_twice(HEAD, { timeout = 0.5, max_retries = 0 })
    assert.equal("timeout", err.kind)
    assert.equal(2, attempts)
  end)
end)
