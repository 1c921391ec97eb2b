-- The headers of each kind of request, over HTTP/1.1 and HTTP/2: these names, each once,
-- and no others.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

local login = "content-length x-api-key x-client-id"
local balance = "content-length content-type x-auth-token x-idempotency-key"

-- The client's method, the endpoint and the names of its headers.
local requests = {
  { "balance", "balance", balance, behalf = true },
  { "balances", "balances", "x-auth-token", behalf = true },
  { "transactions", "transactions", "x-auth-token", behalf = true },
  { "accounts", "accounts", "x-auth-token" },
  { "token", "token", login },
}

-- The names in a text and those that all requests have, sorted.
local function names(text)
  local list = {}
  for name in (text .. " host user-agent"):gmatch "%S+" do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- The names that a request had, as often as it had them.
local function names_of(request)
  local list = {}
  for name, value in pairs(request.headers) do
    for _ = 1, type(value) == "table" and #value or 1 do list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

describe("the headers of", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  -- Makes a call by a client with these options, and returns its request.
  local function send(row, options, arguments)
    if row[1] == "token" then
      options.token, options.client_id, options.api_key =
        false, sandbox.client_id, sandbox.api_key
    elseif row[1] == "balance" then
      options.currency = "USD"
    end
    local client = fixture.client(options)
    assert(client[row[1]](client, arguments or {}))
    client:close()
    local request = sandbox.requests(row[2])[1]
    assert.equal(options.http_version, request.http)
    return request
  end

  for _, version in ipairs { "1.1", "2" } do
    local over = " over HTTP/" .. version

    for _, row in ipairs(requests) do
      it(row[1] .. over, function()
        local request = send(row, { http_version = version })
        assert.same(names(row[3]), names_of(request))
        assert.equal("lua-uqpay/" .. uqpay._VERSION, request.headers["user-agent"])
        assert.equal(("%d"):format(request.body_bytes),
          request.headers["content-length"] or "0")
        if version == "1.1" then
          local _, lines = request.raw_headers:gsub("\r\n[^\r\n:]+:", "")
          assert.equal(#names(row[3]), lines)
        end
      end)

      it(row[1] .. " with app_info" .. over, function()
        local request = send(row, { http_version = version,
          app_info = { name = "shop", version = "2" } })
        assert.same(names(row[3]), names_of(request))
        assert.equal(("lua-uqpay/%s shop/2"):format(uqpay._VERSION),
          request.headers["user-agent"])
      end)

      if row.behalf then
        it(row[1] .. " on behalf of another account" .. over, function()
          local request = send(row, { http_version = version },
            { on_behalf_of = sandbox.sub_account })
          assert.same(names(row[3] .. " x-on-behalf-of"), names_of(request))
        end)
      end
    end

    it("a balance with a key of the caller's" .. over, function()
      local key = uqpay.uuid()
      local request = send(requests[1], { http_version = version },
        { idempotency_key = key })
      assert.same(names(balance), names_of(request))
      assert.equal(key, request.headers["x-idempotency-key"])
    end)

    it("the login before a balance, and of the balance" .. over, function()
      local request = send(requests[1], { http_version = version, token = false,
        client_id = sandbox.client_id, api_key = sandbox.api_key,
        on_behalf_of = sandbox.sub_account })
      assert.same(names(login), names_of(sandbox.requests "token"[1]))
      assert.same(names(balance .. " x-on-behalf-of"), names_of(request))
    end)
  end
end)
