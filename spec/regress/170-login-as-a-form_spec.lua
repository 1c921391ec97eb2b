-- A login has no body, and libcurl called that a form. A gateway that takes JSON only
-- answered 415, and no login succeeded.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

describe("a login", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  for _, url in ipairs { "url", "http_url", "http1_url" } do
    for _, version in ipairs { "1.1", "auto", "2" } do
      it(("names no content type at %s with http_version %s"):format(url, version),
        function()
          local client = fixture.client { token = false, client_id = sandbox.client_id,
            api_key = sandbox.api_key, base_url = sandbox[url], http_version = version }
          fixture.succeeded(client:balance "USD")
          local login = sandbox.requests "token"[1]
          assert.is_nil(login.headers["content-type"])
          assert.equal("0", login.headers["content-length"])
          assert.equal("", login.body)
          client:close()
        end)
    end
  end
end)
