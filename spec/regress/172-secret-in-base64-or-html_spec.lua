-- A gateway's page quotes what it got: the token escaped as HTML does, or a header in
-- base64. Both went through to messages and err.body.

local fixture = require "spec.support.fixture"
local mime = require "mime"
local sandbox = require "spec.sandbox.sandbox"

local function base64(text) return mime.b64(text) or "" end

local ways = {
  ["as HTML does"] = function(text)
    return (text:gsub("%W", function(c) return ("&#x%02X;"):format(c:byte()) end))
  end,
  ["as HTML may"] = function(text)
    return (text:gsub(".", function(c) return ("&#%d;"):format(c:byte()) end))
  end,
  ["as JSON does HTML"] = function(text)
    return (text:gsub(".", function(c) return ("\\u0026#%d;"):format(c:byte()) end))
  end,
  ["in base64"] = base64,
  ["in base64 for URLs"] = function(text)
    return (base64(text):gsub(".", { ["+"] = "-", ["/"] = "_", ["="] = "" }))
  end,
  ["as Basic does"] = function(text) return "Basic " .. mime.b64("client:" .. text) end,
  ["as a header in base64"] = function(text)
    return mime.b64("x-auth-token: Bearer " .. text .. "\r\n")
  end,
}

describe("a secret that is sent back", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  -- No 12 characters of the secret's form may be in what comes out.
  local function check(way, secret, message, err)
    local form, before = way(secret), #way ""
    for _, text in ipairs { message, err.message, err.body } do
      for at = before + 1, #form - 11 do
        assert.is_nil(text:find(form:sub(at, at + 11), 1, true), text)
      end
      assert.is_truthy(text:find("[redacted]", 1, true), text)
    end
  end

  for name, way in pairs(ways) do
    it("by a balance, " .. name, function()
      local client = fixture.client { max_retries = 0 }
      sandbox.fault { kind = "answer", endpoint = "balance", status = 400,
        body = '{"message":"bad token ' .. way(sandbox.token) .. '"}' }
      local _, message, err = client:balance "USD"
      check(way, sandbox.token, message, err)
      client:close()
    end)

    it("by a login, " .. name, function()
      local client = fixture.client { max_retries = 0, token = false,
        client_id = sandbox.client_id, api_key = sandbox.api_key }
      sandbox.fault { kind = "answer", endpoint = "token", status = 403,
        body = '{"message":"bad key ' .. way(sandbox.api_key) .. '"}' }
      local _, message, err = client:balance "USD"
      check(way, sandbox.api_key, message, err)
      client:close()
    end)
  end
end)
