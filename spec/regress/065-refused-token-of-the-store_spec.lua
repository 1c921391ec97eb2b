-- A token out of the store counted as a login of the call: when the API refused it, since
-- another program had got a newer one, the call failed instead of logging in.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local styles = require "spec.support.styles"

local unpack = table.unpack or unpack

for _, style in ipairs(styles) do
  describe("a token of the store that is refused, " .. style.name .. ",", function()
    setup(function() sandbox.start() end)
    before_each(function() sandbox.reset() end)

    local function new(store)
      return style.new(fixture.options { token = false, base_url = sandbox.http_url,
        client_id = sandbox.client_id, api_key = sandbox.api_key, token_store = store })
    end

    local function store_of(token)
      local store = { token = token }
      function store.get() return store.token, os.time() + 1000 end
      function store.set(_, _, fresh) store.token = fresh end
      return store
    end

    it("leads to a login, and no call fails", function()
      local store = store_of(sandbox.expired_token)
      for _, result in ipairs(style.all(new(store), {
        { "balance", "USD" }, { "balance", "SGD" }, { "balance", "USD" },
      })) do
        fixture.succeeded(unpack(result, 1, result.n))
      end
      assert.equal(1, #sandbox.mints())
      assert.equal(sandbox.mints()[1].minted, store.token)
    end)

    it("leads to a login for each refusal, max_retries at most", function()
      sandbox.fault { kind = "status", status = 401, shape = "C", message = "jwt expired",
        endpoint = "balance", times = 9 }
      local result = style.all(new(store_of(sandbox.expired_token)),
        { { "balance", "USD" } })[1]
      assert.equal(3, fixture.failed("auth", unpack(result, 1, result.n)).attempts)
      assert.same({ token = 2, balance = 3 }, sandbox.counts().endpoints)
    end)
  end)
end
