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
  for _, listed in client:balances { "SGD" } do print(listed.currency) end
  client:close()
  for _, loop in ipairs { "cqueues", "luv", "copas" } do
    if pcall(require, loop) then
      local other = require("uqpay." .. loop).new {
        base_url = url, ca_file = ca_file, token = token,
      }
      print(loop, other:balance "USD".currency)
    end
  end
  for _, name in ipairs { "resty.uqpay", "resty.uqpay.cache", "resty.uqpay.shared" } do
    assert(package.searchpath == nil or package.searchpath(name, package.path), name)
  end
]]

local function run_smoke(dir)
  local script = dir .. "/smoke.lua"
  local file = assert(io.open(script, "w"))
  file:write(smoke)
  file:close()
  return driver.output(driver.command("env", "LUA_INIT=",
    "LUA_PATH=" .. dir .. "/share/lua/" .. version .. "/?.lua;;",
    "LUA_CPATH=" .. dir .. "/lib/lua/" .. version .. "/?.so;;", os.getenv "UQPAY_LUA_BIN",
    script, sandbox.url, sandbox.ca_file, sandbox.token) .. " 2>&1")
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

describe("installed", function()
  local dir
  setup(sandbox.start)
  before_each(function()
    sandbox.reset()
    dir = driver.directory "install"
  end)
  after_each(function() driver.output(driver.command("rm", "-rf", dir)) end)

  local has_copas = driver.copas() ~= nil
  local works = "^0%.1%.0\t5000%.25\nnil\tstring\tinvalid_request\nSGD\n"
    .. "cqueues\tUSD\nluv\tUSD\n" .. (has_copas and "copas\tUSD\n$" or "$")
  local types = "/share/lua/" .. version .. "/uqpay/types/uqpay/copas.lua"
  local module = "/lib/lua/" .. version .. "/uqpay.so"

  -- The copy keeps objects out of the tree, and the plain build apart from a sanitizer's.
  -- Nothing here needs what an optimizer makes, and all other specs run on that: -O0.
  local function copy_tree()
    driver.output("cp -r Makefile src rockspec spec " .. driver.quote(dir))
    return "cd " .. driver.quote(dir)
      .. " && env -u MAKEFLAGS -u MAKELEVEL -u VARIANT -u CFLAGS -u CC "
  end

  it("by make, the module works, and uninstall leaves nothing", function()
    local make = copy_tree() .. "make -s LUA=" .. make_lua
      .. " CFLAGS=-O0 DESTDIR=" .. dir .. " PREFIX= "
    local output = driver.output(make .. "install 2>&1")
    assert.is_truthy(run_smoke(dir):find(works), output)
    assert.is_true(exists(dir .. types))
    driver.output(make .. "uninstall 2>&1")
    assert.is_false(exists(dir .. module))
    assert.is_false(exists(dir .. types))
  end)

  -- What make would run is enough: the spec above runs it.
  it("by make, every variable of the caller's holds", function()
    local commands = driver.output(copy_tree() .. "make -n LUA=" .. make_lua
      .. " LUA_CMOD=/here LUA_LMOD=/there DESTDIR=" .. dir .. "/root CC=/no/cc"
      .. " CFLAGS='-O0 -DUQ_SPEC=1' LDFLAGS='-Wl,-z,now' LIBFLAG=-bundle INSTALL=put"
      .. " LUA_INCDIR=/headers install 2>&1"):gsub("\\\n%s*", "")
    local compiled, linked, installed = 0, 0, 0
    for _, line in ipairs(driver.lines(commands)) do
      local function has(text) assert.matches(text, line, 1, true) end
      if line:find "^/no/cc .* %-c " then
        compiled = compiled + 1
        has " -O0 -DUQ_SPEC=1 "
        has " -I/headers "
      elseif line:find "^/no/cc " then
        linked = linked + 1
        has " -bundle "
        has " -O0 -DUQ_SPEC=1 "
        has " -Wl,-z,now "
      elseif line:find "^put " then
        installed = installed + 1
        has(dir .. "/root/" .. (line:find("uqpay.so", 1, true) and "here" or ""))
        assert.matches("/root/t?here", line)
      else
        assert.matches("^mkdir ", line)
      end
    end
    assert.is_true(compiled > 40, commands)
    assert.equal(1, linked)
    assert.is_true(installed > 4, commands)
  end)

  it("as a rock, the module works and exports nothing but its entry", function()
    local output = driver.output(copy_tree()
      .. "env -u LUA_INIT LC_ALL=C luarocks --lua-version=" .. version
      .. " --tree=" .. driver.quote(dir)
      .. " make --deps-mode=none CFLAGS='-O0 -fPIC' 2>&1")
    assert.is_truthy(run_smoke(dir):find(works), output)
    assert.is_true(exists(dir .. types))
    local symbols = driver.output("nm -D --defined-only " .. driver.quote(dir .. module))
    assert.equal("luaopen_uqpay luaopen_uqpay_internal ",
      (symbols:gsub("%x+ T (%S+)\n", "%1 ")))
  end)
end)
