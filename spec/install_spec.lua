-- What is installed works where it was put: by make, and as a rock.

local driver = require "spec.support.driver"
local sandbox = require "spec.support.sandbox"

local jit = rawget(_G, "jit")
local version = _VERSION:match "5%.%d"
local make_lua = jit and "jit" or version

-- A program that needs nothing but the installed module.
local smoke = [[
  local uqpay = require "uqpay"
  local url, ca_file, token = ...
  local client = uqpay.new { base_url = url, ca_file = ca_file, token = token }
  print(uqpay._VERSION, assert(client:balance "USD").available_balance)
  local balance, message, err = client:balance "ZZZ"
  print(balance, type(message), err.kind)
  client:close()
]]

local function run_smoke(dir)
  local script = dir .. "/smoke.lua"
  local file = assert(io.open(script, "w"))
  file:write(smoke)
  file:close()
  return driver.output(driver.command("env", "LUA_PATH=;;", "LUA_INIT=",
    "LUA_CPATH=" .. dir .. "/lib/lua/" .. version .. "/?.so;;", os.getenv "UQPAY_LUA_BIN",
    script, sandbox.url, sandbox.ca_file, sandbox.token) .. " 2>&1")
end

describe("installed", function()
  local dir, tree

  -- The copy keeps objects out of the tree, and the plain build apart from a sanitizer's.
  -- Unoptimized, for a compiler's time is most of it.
  local function run(command)
    return driver.output("cd " .. driver.quote(tree)
      .. " && env -u MAKEFLAGS -u MAKELEVEL -u VARIANT -u CFLAGS -u CC " .. command
      .. " 2>&1")
  end

  local function make(words)
    return run("make -s LUA=" .. make_lua .. " CC=gcc CFLAGS='-O0 -DUQ_SPEC=1'"
      .. " LDFLAGS=-Wl,-z,now DESTDIR=" .. dir .. " " .. words)
  end

  setup(function()
    sandbox.start()
    tree = driver.directory "tree"
    driver.output("cp -r Makefile src rockspec spec " .. driver.quote(tree))
  end)
  teardown(function() driver.output(driver.command("rm", "-rf", tree)) end)
  before_each(function()
    sandbox.reset()
    dir = driver.directory "install"
  end)
  after_each(function() driver.output(driver.command("rm", "-rf", dir)) end)

  local works = "^0%.1%.0\t5000%.25\nnil\tstring\tinvalid_request\n$"
  local types = "/share/lua/" .. version .. "/uqpay/types/uqpay.lua"
  local module = "/lib/lua/" .. version .. "/uqpay.so"

  it("by make, the module works, and uninstall leaves nothing", function()
    local output = make "PREFIX= install"
    assert.is_truthy(run_smoke(dir):find(works), output)
    assert.is_true(driver.exists(dir .. types))
    make "PREFIX= uninstall"
    assert.is_false(driver.exists(dir .. module))
    assert.is_false(driver.exists(dir .. types))
  end)

  it("by make, every variable of the caller's holds", function()
    make "LUA_CMOD=/here LUA_LMOD=/there install"
    assert.is_true(driver.exists(dir .. "/here/uqpay.so"))
    assert.is_true(driver.exists(dir .. "/there/uqpay/types/uqpay.lua"))
    local flags = driver.output("readelf -d " .. driver.quote(dir .. "/here/uqpay.so"))
    assert.is_truthy(flags:find("NOW", 1, true))
  end)

  it("as a rock, the module works and exports nothing but its entry", function()
    local output = run("luarocks --lua-version=" .. version .. " --tree="
      .. driver.quote(dir) .. " make --deps-mode=none CFLAGS='-O0 -fPIC'")
    assert.is_truthy(run_smoke(dir):find(works), output)
    assert.is_true(driver.exists(dir .. types))
    local symbols = driver.output("nm -D --defined-only " .. driver.quote(dir .. module))
    assert.equal("luaopen_uqpay", symbols:match "^%x+ T (%S+)\n$")
  end)
end)
