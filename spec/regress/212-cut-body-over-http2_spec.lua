-- From libcurl 8.3 on RST_STREAM without an error ends a body of no announced length like
-- the end of the stream: half an answer was `decode`, and not retried. An answer that may
-- have been cut is an unknown outcome: `connect`, sent again with the same key.

local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local frames = require "spec.support.frames"
local sandbox = require "spec.sandbox.sandbox"

local body, failed, succeeded = fixture.body, fixture.failed, fixture.succeeded
local hello, answer, data = frames.hello, frames.answer, frames.data

local list = '{"total_pages":1,"total_items":1,"data":[' .. body(2) .. "]}"
local token =
  ('{"auth_token":"%s","expired_at":%d}'):format(("t"):rep(50), os.time() + 1000)

describe("a body that was cut over HTTP/2", function()
  local server, client
  local closing = fixture.closing()

  setup(function() sandbox.start() end)

  -- An answer of no announced length that ends by RST_STREAM, or by its last frame.
  local function cut(text, status)
    return frames.headers { ":status", status or "200" } .. data(text, 0)
      .. frames.reset(0)
  end

  local function whole(text, status)
    return frames.headers { ":status", status or "200" } .. data(text)
  end

  local function serve(first, good, changes)
    local second = { read = "h2", send = answer(good or body(2), 200, 3), keep = true }
    server = closing(faulty.start({ { { read = "h2", send = hello .. first }, second },
      { { read = "h2", send = hello .. answer(good or body(2)) }, second } },
      sandbox.tls "h2"))
    client = closing(fixture.client(
      { base_url = server.url, http_version = "2", max_retries = 0 }, changes))
  end

  for name, text in pairs {
    ["within a name"] = body(99):sub(1, 10),
    ["within an amount"] = body(99.5):match '^.-"available_balance":9',
    ["within a string, after a brace"] = '{"balance_id":"}',
    ["after a backslash"] = '{"balance_id":"\\',
    ["before its last byte"] = body(99):sub(1, -2),
    ["at its beginning"] = "",
  } do
    it("is an unknown outcome: " .. name, function()
      serve(cut(text))
      local err = failed("connect", client:balance "USD")
      assert.is_true(err.retryable)
      assert.equal("max_retries", err.retry_stopped)
      assert.equal(2, succeeded(client:balance "USD").available_balance)
      client:close()
      server:stop()
      local keys, kinds = {}, {}
      serve(cut(text), nil, { max_retries = 1,
        on_request = function(info) keys[#keys + 1] = info.idempotency_key end,
        on_response = function(info) kinds[#kinds + 1] = info.kind or "good" end })
      assert.equal(2, succeeded(client:balance "USD").available_balance)
      assert.same({ "connect", "good" }, kinds)
      assert.equal(2, #keys)
      assert.equal(keys[1], keys[2])
    end)
  end

  it("is an unknown outcome for lists, iterators and logins", function()
    serve(cut(list:sub(1, -2)), list, { max_retries = 1 })
    assert.equal(1, #succeeded(client:balances()).data)
    client:close()
    server:stop()
    serve(cut(list:sub(1, 30)), list, { max_retries = 1 })
    local count = 0
    for item, message in client:each_balance() do
      assert.truthy(item, message)
      count = count + 1
    end
    assert.equal(1, count)
    client:close()
    server:stop()
    serve(cut(token:sub(1, 30)), token, { max_retries = 1, token = false, client_id = "x",
      api_key = "y" })
    assert.equal(("t"):rep(50), (client:token()))
  end)

  -- Only the body tells "Request is processing" from a refusal.
  it("is an unknown outcome for a status whose body decides", function()
    serve(cut('{"type":"invalid_request_error","message":"Request is pro', "400"))
    assert.is_true(failed("connect", client:balance "USD").retryable)
    client:close()
    server:stop()
    serve(whole("Bad Request", "400"))
    assert.is_false(failed("invalid_request", client:balance "USD").retryable)
    client:close()
    server:stop()
    serve(frames.headers({ ":status", "403" }, 5))
    assert.is_false(failed("permission", client:balance "USD").retryable)
  end)

  -- A text that cannot be the beginning of an answer is `decode`, and not retried.
  for name, text in pairs {
    ["a page"] = "<html>\n<body>Under maintenance</body></html>\n",
    ["an answer and more"] = body(99) .. "}",
    ["a wrong word"] = body("nil"),
    ["a byte order mark"] = "\239\187\191" .. body(99),
    ["text"] = '"unfinished',
  } do
    it("is not confused with " .. name, function()
      serve(whole(text), nil, { max_retries = 2 })
      local err = failed("decode", client:balance "USD")
      assert.equal(1, err.attempts)
      assert.is_false(err.retryable)
      assert.equal(1, #server:requests())
    end)
  end

  it("is no balance if it is valid JSON", function()
    serve(cut "12345")
    local _, _, err = client:balance "USD"
    -- libcurl before 8.3 knows that it was cut
    assert.truthy(err.kind == "schema" or err.kind == "connect", err.message)
  end)
end)
