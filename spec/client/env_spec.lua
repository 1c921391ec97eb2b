-- uqpay.from_env: a client from environment variables. A process gets its variables when
-- it starts, so each case runs one.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

local names = { "UQPAY_TOKEN", "UQPAY_CLIENT_ID", "UQPAY_API_KEY", "UQPAY_ENV",
                "UQPAY_BASE_URL", "UQPAY_CA_FILE" }

-- The output of a program with these variables, and no others that begin with UQPAY_.
local function run(variables, code)
  local script = os.tmpname()
  local file = assert(io.open(script, "w"))
  file:write(code)
  file:close()
  local words = { "env" }
  for _, name in ipairs(names) do
    words[#words + 1] = "-u"
    words[#words + 1] = name
  end
  for name, value in pairs(variables) do words[#words + 1] = name .. "=" .. value end
  for _, word in ipairs { "SCRIPT=" .. script, "LUA_CPATH=" .. package.cpath,
    os.getenv "UQPAY_LUA", script } do words[#words + 1] = word end
  local output = driver.output(driver.command((table.unpack or unpack)(words)) .. " 2>&1")
  os.remove(script)
  return driver.pointed(output)
end

local nothing_set =
  "no credentials: set UQPAY_TOKEN, or UQPAY_CLIENT_ID and UQPAY_API_KEY"

local colon =
  "bad call of 'from_env' (use uqpay.from_env{...}, not uqpay:from_env{...})"

local show = [[
  local uqpay = require(os.getenv "MODULE" or "uqpay")
  local options = %s
  local client = uqpay.from_env(options)
  local balance, message, err = client:balance "USD"
  print(balance and balance.available_balance or err.kind .. " " .. message)
  client:close()
]]

-- The variables for the sandbox, with changes; false removes one.
local function variables(changes)
  local all = { UQPAY_BASE_URL = sandbox.url, UQPAY_CA_FILE = sandbox.ca_file }
  for name, value in pairs(changes or {}) do all[name] = value or nil end
  return all
end

local function balance(changes, options)
  return run(variables(changes), show:format(options or "nil"))
end

-- The error of from_env without its position, which must be in the program.
local function raised(changes, options)
  local output = run(variables(changes), ([[
    local uqpay = require(os.getenv "MODULE" or "uqpay")
    local ok, message = pcall(function()
      local client = uqpay.from_env(%s)
      return client
    end)
    local place, rest = message:match "^(.-:3): (.*)$"
    print(not ok and (place and place:find(os.getenv "SCRIPT", 1, true) and rest
      or "elsewhere: " .. message))
  ]]):format(options or ""))
  return (output:gsub("\n$", ""))
end

describe("a client from the environment", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  local function login()
    return { UQPAY_CLIENT_ID = sandbox.client_id, UQPAY_API_KEY = sandbox.api_key }
  end

  local function logins() return #sandbox.requests "token" end

  it("has the token", function()
    assert.equal("5000.25\n", balance { UQPAY_TOKEN = sandbox.token })
    assert.equal(0, logins())
  end)

  it("logs in", function()
    assert.equal("5000.25\n", balance(login()))
    assert.equal(1, logins())
  end)

  it("prefers the token", function()
    local all = login()
    all.UQPAY_TOKEN = sandbox.token
    assert.equal("5000.25\n", balance(all))
    assert.equal(0, logins())
  end)

  it("ignores an empty variable", function()
    local all = login()
    all.UQPAY_TOKEN, all.UQPAY_ENV = "", ""
    assert.equal("5000.25\n", balance(all))
    assert.equal(1, logins())
  end)

  describe("gives precedence to options:", function()
    it("a token", function()
      local all = login()
      all.UQPAY_TOKEN = "nonsense"
      local option = ("{ token = %q }"):format(sandbox.other_token)
      assert.matches("^66666.6", balance(all, option))
      assert.equal(0, logins())
    end)

    it("a login", function()
      local option = ("{ client_id = %q, api_key = %q }"):format(sandbox.client_id,
        sandbox.api_key)
      assert.equal("5000.25\n", balance({ UQPAY_TOKEN = "nonsense" }, option))
      assert.equal(1, logins())
    end)

    it("a token store, which is for logins", function()
      local all = login()
      all.UQPAY_TOKEN = "nonsense"
      assert.equal("5000.25\n", balance(all, [[{ token_store = {
        get = function() end, set = function() return true end } }]]))
      assert.equal(1, logins())
    end)

    it("an address", function()
      local option = ("{ base_url = %q }"):format(sandbox.url)
      assert.equal("5000.25\n", balance({ UQPAY_TOKEN = sandbox.token,
        UQPAY_BASE_URL = "https://127.0.0.1:1/api", UQPAY_ENV = "production" }, option))
    end)

    it("an environment", function()
      local output = run(variables { UQPAY_TOKEN = "x" }, [[
        local client = require "uqpay".from_env { environment = "production" }
        print(client)
      ]])
      assert.equal("uqpay.client (api.uqpay.com)\n", output)
    end)

    it("a CA file", function()
      local option = ("{ ca_file = %q }"):format(sandbox.ca_file)
      assert.equal("5000.25\n", balance({ UQPAY_TOKEN = sandbox.token,
        UQPAY_CA_FILE = "/nonexistent" }, option))
    end)

    it("and leaves the table as it is", function()
      local output = run(variables { UQPAY_TOKEN = sandbox.token }, [[
        local options = { timeout = 10 }
        require "uqpay".from_env(options)
        for name in pairs(options) do print(name) end
      ]])
      assert.equal("timeout\n", output)
    end)
  end)

  it("is for the environment that UQPAY_ENV names", function()
    for name, host in pairs { sandbox = "api-sandbox.uqpaytech.com",
                              production = "api.uqpay.com" } do
      local output = run({ UQPAY_TOKEN = "x", UQPAY_ENV = name },
        'print(require "uqpay".from_env())')
      assert.equal("uqpay.client (" .. host .. ")\n", output)
    end
    assert.equal("uqpay.client (api-sandbox.uqpaytech.com)\n",
      run({ UQPAY_TOKEN = "x" }, 'print(require "uqpay".from_env {})'))
  end)

  describe("raises", function()
    it("without credentials", function()
      assert.equal(nothing_set,
        raised())
      assert.equal("no credentials: set UQPAY_CLIENT_ID and UQPAY_API_KEY",
        raised({ UQPAY_TOKEN = sandbox.token }, "{ token_store = {} }"))
    end)

    it("with half a login", function()
      assert.equal("UQPAY_API_KEY is not set, but needed with UQPAY_CLIENT_ID",
        raised { UQPAY_CLIENT_ID = "x" })
      assert.equal("UQPAY_CLIENT_ID is not set, but needed with UQPAY_API_KEY",
        raised { UQPAY_API_KEY = "x" })
      assert.equal("UQPAY_API_KEY is not set, but needed with the option client_id",
        raised({ UQPAY_TOKEN = "x" }, '{ client_id = "x" }'))
    end)

    it("with two addresses", function()
      assert.matches("^UQPAY_BASE_URL and UQPAY_ENV are both set",
        raised { UQPAY_TOKEN = "x", UQPAY_ENV = "production" })
    end)

    it("on a bad value, naming the variable and no secret", function()
      for name, value in pairs { UQPAY_TOKEN = "se cret", UQPAY_BASE_URL = "ftp://x" }
      do
        local message = raised { UQPAY_TOKEN = "x", [name] = value }
        assert.matches("^bad option '[%w_]+' to 'from_env' %(.*%): it comes from " .. name
          .. "$", message)
        assert.is_nil(message:find("cret", 1, true))
      end
      local message = raised { UQPAY_TOKEN = "x", UQPAY_BASE_URL = false,
        UQPAY_ENV = "prod" }
      assert.matches("^bad option 'environment' to 'from_env' .*: it comes from "
        .. "UQPAY_ENV$", message)
    end)

    it("on bad options", function()
      assert.matches("^bad option 'timeout' to 'from_env' %([^:]+%)$",
        raised({ UQPAY_TOKEN = "x" }, "{ timeout = -1 }"))
      assert.matches("^unknown option 'tiemout' to 'from_env'",
        raised({ UQPAY_TOKEN = "x" }, "{ tiemout = 1 }"))
      assert.equal("bad argument #1 to 'from_env' (table expected, got string)",
        raised({ UQPAY_TOKEN = "x" }, "'x'"))
      assert.equal(colon, raised({}, "uqpay"))
      assert.equal(colon, raised({ UQPAY_TOKEN = "x" }, "uqpay, { timeout = 3 }"))
      assert.matches("__index", raised({ UQPAY_TOKEN = "x" },
        "setmetatable({}, { __index = { timeout = 1 } })"))
    end)
  end)

  for _, loop in ipairs { "cqueues", "luv" } do
    it("works under " .. loop, function()
      if not driver.has_loop(loop) then
        return pending("no package of it for " .. _VERSION)
      end
      local code = show:format "{ timeout = 20 }"
      assert.equal("5000.25\n", run(variables { UQPAY_TOKEN = sandbox.token,
        MODULE = "uqpay." .. loop }, code))
      assert.equal(nothing_set,
        raised { MODULE = "uqpay." .. loop })
      assert.equal(colon, raised({ MODULE = "uqpay." .. loop }, "uqpay"))
    end)
  end
end)
