-- Messages that did not say what was the matter: with another currency not which, with a
-- packed or marked body not that it is so, "HTTP 200: Success" for an answer of the API
-- of 2023, "items of the pages before it" for an id that one page has twice.

local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

local failed = fixture.failed
local gzip = "\31\139\8\0\0\0\0\0\0\3\171\174\5\0\67\191\166\163\2\0\0\0"

describe("what an answer is refused for is named:", function()
  local client

  fixture.with_client(function(made) client = made end, { max_retries = 0 })

  local function refused(kind, text, body, order)
    order = order or {}
    order.kind, order.body = "answer", body
    sandbox.fault(order)
    local err = failed(kind, client:balance "USD")
    assert.matches(text, err.message, 1, true)
    return err
  end

  local function of_currency(currency)
    return fixture.body(1, currency)
  end

  it("another currency", function()
    refused("schema", "the answer's currency: asked for USD, got SGD [",
      of_currency "SGD")
    refused("schema", "asked for USD, got usd [", of_currency "usd")
    refused("schema", "asked for USD, got USDT [", of_currency "USDT")
    -- cut, and without the token
    local err = refused("schema", "asked for USD, got ", of_currency(("X"):rep(5000)))
    assert.is_true(#err.message < 250, err.message)
    refused("schema", "asked for USD, got [redacted]", of_currency(sandbox.token))
    sandbox.fault { kind = "answer", body = '{"total_pages":1,"total_items":1,"data":[{'
      .. '"transaction_id":"1","transaction_type":"FEE","amount":1,"currency":"SGD"}]}' }
    err = failed("schema", client:transactions { currency = "USD" })
    assert.matches("data[1].currency: asked for USD, got SGD [", err.message, 1, true)
  end)

  it("a string that is empty, or has control bytes", function()
    refused("schema", "the answer's currency: a string that is not empty expected, got "
      .. "an empty string", of_currency "")
    refused("schema", "the answer's currency: a string without control bytes expected, "
      .. "got a string with control bytes", of_currency "USD\\n")
  end)

  it("a packed body", function()
    for _, name in ipairs { "gzip", "br", "deflate, gzip" } do
      local err = refused("decode", "Content-Encoding: " .. name, gzip,
        { headers = { ["Content-Encoding"] = name } })
      assert.matches("HTTP 200", err.message, 1, true)
      refused("api", "HTTP 502 with a body that is no JSON object (Content-Encoding: "
        .. name .. ")", gzip, { status = 502, headers = { ["Content-Encoding"] = name } })
    end
    -- readable all the same, or not packed by its header
    sandbox.fault { kind = "answer", body = of_currency "USD",
      headers = { ["Content-Encoding"] = "gzip" } }
    fixture.succeeded(client:balance "USD")
    local err = refused("decode", "no JSON", "balance: 5",
      { headers = { ["Content-Encoding"] = "identity" } })
    assert.is_nil(err.message:find("Encoding", 1, true))
  end)

  it("a compressed body without a header for it", function()
    faulty.serve { read = true, send = fixture.http(gzip) }
    local one = uqpay.new { base_url = faulty.server.url, token = "t", max_retries = 0 }
    local err = failed("decode", one:balance "USD")
    assert.matches("gzip", err.message, 1, true)
    one:close()
    faulty.stop()
  end)

  it("a byte order mark", function()
    refused("decode", "byte order mark, BOM", "\239\187\191" .. of_currency "USD")
    refused("invalid_request", "HTTP 400 with a body that is no JSON object (it begins "
      .. "with a byte order mark, BOM)", "\239\187\191{}", { status = 400 })
  end)

  it("the form of the API of 2023", function()
    for _, body in ipairs {
      '{"code":200,"message":"Success","data":%s}', '{"code":0,"message":"ok","data":%s}',
      '{"code":"","message":"","data":%s}', '{"code":"SUCCESS","message":"Success",'
      .. '"data":%s}', '{"message":"success","data":%s}',
      '{"code":"200","message":"Success","data":%s}',
    } do
      local inner = '{"currency":"USD","available_balance":"1.00"}'
      local err = refused("schema", "{code, message, data}", body:format(inner))
      assert.matches("base_url", err.message, 1, true)
      assert.is_nil(err.message:find("HTTP 200: ", 1, true))
      assert.is_false(err.retryable)
      for _, method in ipairs { "balances", "transactions", "accounts" } do
        sandbox.fault { kind = "answer", body = body:format("[" .. inner .. "]") }
        err = failed("schema", client[method](client))
        assert.matches("{code, message, data}", err.message, 1, true)
      end
    end
    refused("schema", "{code, message, data}",
      '{"code":200,"message":"Success","data":null}')
  end)

  it("an error in that form stays one", function()
    for body, kind in pairs {
      ['{"code":400,"message":"no","data":{}}'] = "invalid_request",
      ['{"code":401,"message":"success","data":null}'] = "auth",
      ['{"code":"no_balance","message":"no such thing","data":{}}'] = "api",
      ['{"code":200,"message":"no such thing","data":null}'] = "api",
      ['{"code":200,"message":"Request is processing, try again"}'] = "conflict",
      ['{"error":"Success","data":{}}'] = "api",
    } do
      local err = refused(kind, "HTTP 200", body)
      assert.is_nil(err.message:find("{code", 1, true), body)
    end
  end)

  it("an id that is in two rows of one page", function()
    for method, item in pairs {
      each_account = '{"account_id":"a%d"}',
      each_transaction = '{"transaction_id":"a%d","transaction_type":"FEE","amount":1,'
        .. '"currency":"USD"}',
    } do
      local items = {}
      for n, id in ipairs { 1, 2, 3, 2 } do items[n] = item:format(id) end
      sandbox.fault { kind = "answer", body = ('{"total_pages":1,"total_items":4,"data":'
        .. "[%s]}"):format(table.concat(items, ",")) }
      local next_item = client[method](client, { on_error = "return" })
      local first, message, err = next_item()
      assert.is_false(first)
      failed("schema", nil, message, err)
      assert.matches(method .. ": page 1 has one ", message, 1, true)
      assert.matches("_id in two rows, 2 and 4", message, 1, true)
      assert.is_false(err.retryable)
    end
  end)
end)
