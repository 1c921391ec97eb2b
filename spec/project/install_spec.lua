-- An installed module works in its place: by make, and as a rock.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

local jit = rawget(_G, "jit")
local version = _VERSION:match "5%.%d"
local make_lua = jit and "jit" or version

-- Lua 5.1 and LuaJIT find their modules in the same folder: what is built for one is
-- loaded by the other.
local interpreters = { os.getenv "UQPAY_LUA_BIN" }
local other = version == "5.1" and (jit and "lua5.1" or "luajit")
if other and driver.output("command -v " .. other) ~= "" then
  interpreters[2] = other
end

-- A program that needs nothing but the installed module.
local smoke = [[
  local uqpay = require "uqpay"
  local url, ca_file, token = ...
  local client = uqpay.new { base_url = url, ca_file = ca_file, token = token }
  print(uqpay._VERSION, assert(client:balance "USD").available_balance)
  local balance, message, err = client:balance "ZZZ"
  print(balance, type(message), err.kind)
  for _, listed in client:batch { "SGD" } do print(listed.currency) end
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

local function run_smoke(dir, interpreter)
  local cjson = os.getenv "UQPAY_OUT" .. "/cjson.so" -- the specs' own, see the Makefile
  if driver.exists(cjson) then
    driver.output(driver.command("cp", cjson, dir .. "/lib/lua/" .. version))
  end
  local script = dir .. "/smoke.lua"
  local file = assert(io.open(script, "w"))
  file:write(smoke)
  file:close()
  return driver.output(driver.command("env", "LUA_INIT=",
    "LUA_PATH=" .. dir .. "/share/lua/" .. version .. "/?.lua;;",
    "LUA_CPATH=" .. dir .. "/lib/lua/" .. version .. "/?.so;;", interpreter, script,
    sandbox.url, sandbox.ca_file, sandbox.token) .. " 2>&1")
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
    .. (driver.has_loop "cqueues" and "cqueues\tUSD\n" or "")
    .. (driver.has_loop "luv" and "luv\tUSD\n" or "")
    .. (has_copas and "copas\tUSD\n$" or "$")
  local types = "/share/lua/" .. version .. "/uqpay/types/uqpay/copas.lua"
  local module = "/lib/lua/" .. version .. "/uqpay.so"
  local command = "/bin/uqpay-sandbox"

  -- The command starts a server with the files that were installed, and nothing of ours.
  local function check_command(output)
    local server = dir .. "/server"
    local printed = driver.output("cd / && " .. driver.command("env", "-u", "LUA_PATH",
      dir .. command, "start", server, "--plain") .. " 2>&1")
    local lua = driver.output("readlink " .. driver.quote(server .. "/lua"))
    local answer = driver.output(driver.command("sh", "-c", '. "$0"; curl -q -s '
      .. '"$UQPAY_BASE_URL/v1/issuing/balances?page_size=10&page_number=1" '
      .. '-H "x-auth-token: Bearer $UQPAY_TOKEN"', server .. "/exports") .. " 2>&1")
    driver.output(driver.command(dir .. command, "stop", server))
    assert.equal(dir .. "/share/lua/" .. version .. "\n", lua, printed .. output)
    assert.matches('"currency":"USD"', answer, 1, true)
    assert.is_false(driver.exists(server))
  end

  local function check_smoke(output)
    for _, interpreter in ipairs(interpreters) do
      local printed = run_smoke(dir, interpreter)
      assert.is_truthy(printed:find(works), interpreter .. ": " .. printed .. output)
    end
  end

  -- The tests of a user, with nothing of ours but what was installed in the folder.
  local function check_example()
    local example = driver.output "pwd":match "[^\n]+" .. "/examples/testing_spec.lua"
    for _, interpreter in ipairs(interpreters) do
      local printed = driver.output("cd / && " .. driver.command("env", "-u", "LUA_INIT",
        "LUA_PATH=" .. dir .. "/share/lua/" .. version .. "/?.lua;;",
        "LUA_CPATH=" .. dir .. "/lib/lua/" .. version .. "/?.so;;", interpreter,
        driver.output "command -v busted":match "%S+", "--ignore-lua", example)
        .. " 2>&1")
      assert.matches("7 successes / 0 failures / 0 errors / 0 pending", printed, 1, true)
    end
  end

  -- The copy keeps objects out of the tree, and the plain build apart from a sanitizer's.
  -- Nothing here needs what an optimizer makes, and all other specs run on that: -O0.
  local function copy_tree()
    driver.output("cp -r Makefile README.md CHANGELOG.md LICENSE src rockspec spec "
      .. "examples " .. driver.quote(dir))
    return "cd " .. driver.quote(dir)
      .. " && env -u MAKEFLAGS -u MAKELEVEL -u VARIANT -u CFLAGS -u CC "
  end

  it("by make, the module works, and uninstall leaves nothing", function()
    local make = copy_tree() .. "make -s LUA=" .. make_lua
      .. " CFLAGS=-O0 DESTDIR=" .. dir .. " PREFIX= "
    local output = driver.output(make .. "install 2>&1")
    check_smoke(output)
    check_command(output)
    assert.is_true(driver.exists(dir .. types))
    driver.output(make .. "uninstall 2>&1")
    for _, file in ipairs { module, types, command } do
      assert.is_false(driver.exists(dir .. file))
    end
  end)

  -- What make would run is enough: the spec above runs it.
  it("by make, every variable of the caller's holds", function()
    local commands = driver.output(copy_tree() .. "make -n LUA=" .. make_lua
      .. " LUA_CMOD=/here LUA_LMOD=/there BINDIR=/where"
      .. " DESTDIR=" .. dir .. "/root CC=/no/cc"
      .. " CFLAGS='-O0 -DUQ_SPEC=1' LDFLAGS='-Wl,-z,now' LIBFLAG=-bundle INSTALL=put"
      .. " LUA_INCDIR=/headers install 2>&1"):gsub("\\\n%s*", "")
    local compiled, linked, installed = 0, 0, 0
    for _, line in ipairs(driver.lines(commands)) do
      local function has(text) assert.matches(text, line, 1, true) end
      if line:find "^/no/cc .* %-c " then
        compiled = compiled + 1
        has " -O0 -DUQ_SPEC=1 "
        assert.equal(not line:find "src/engine/", line:find " %-I/headers " ~= nil, line)
      elseif line:find "^/no/cc " then
        linked = linked + 1
        has " -bundle "
        has " -O0 -DUQ_SPEC=1 "
        has " -Wl,-z,now "
      elseif line:find "^put " then
        installed = installed + 1
        has(dir .. "/root/" .. (line:find("uqpay.so", 1, true) and "here" or ""))
        assert.matches("/root/[tw]?here", line)
      elseif line:find "^sed " then
        has 'installed="/there"'
      else
        assert.matches("^mkdir ", line)
      end
    end
    assert.is_true(compiled > 40, commands)
    assert.equal(1, linked)
    assert.is_true(installed > 4, commands)
  end)

  -- Checks only the commands that LuaRocks would run: the specs below run them.
  it("as a rock, libcurl is that of the folder CURL_DIR", function()
    driver.output(("cd %s && mkdir -p curl/lib curl/include && touch curl/lib/libcurl.so")
      :format(driver.quote(dir)))
    local output = driver.output(copy_tree()
      .. "env -u LUA_INIT LC_ALL=C luarocks --lua-version=" .. version
      .. " --tree=" .. driver.quote(dir) .. " make --deps-mode=none CC=true LD=true"
      .. " CURL_DIR=" .. driver.quote(dir .. "/curl") .. " 2>&1")
    local compiled = 0
    for _, line in ipairs(driver.lines(output)) do
      if line:find "^true .* %-c " then
        compiled = compiled + 1
        assert.matches("-I" .. dir .. "/curl/include", line, 1, true)
      end
    end
    -- LuaRocks' error message may stand within the long line that links
    local linked = select(2, output:gsub("%-lcurl", ""))
    assert.matches("-L" .. dir .. "/curl/lib", output, 1, true)
    assert.is_true(compiled > 40, output)
    assert.equal(1, linked, output)
  end)

  -- The rock of scm, which `luarocks make` uses; those of releases have the same files,
  -- see rockspec_spec.
  it("as a packed rock, works and exports nothing but its entry", function()
    local luarocks = copy_tree() .. "env -u LUA_INIT LC_ALL=C luarocks --lua-version="
      .. version .. " --tree=" .. driver.quote(dir)
    local output = driver.output(luarocks .. " make --deps-mode=none --pack-binary-rock"
      .. " CFLAGS='-O0 -fPIC' 2>&1")
    local rock = output:match "Packed: ([^\n]+%.rock)"
    assert.is_truthy(rock, output)
    output = driver.output(luarocks .. " install --deps-mode=none " .. rock
      .. " 2>&1")
    check_smoke(output)
    check_command(output)
    check_example()
    assert.is_true(driver.exists(dir .. types))
    local symbols = driver.output("nm -D --defined-only "
      .. driver.quote(dir .. module))
    assert.equal("luaopen_uqpay luaopen_uqpay_internal ",
      (symbols:gsub("%x+ T (%S+)\n", "%1 ")))
    -- examples and manuals are in the rock's own folder, where `luarocks doc` looks
    local own = dir .. "/lib/luarocks/rocks-" .. version .. "/uqpay/scm-1"
    assert.equal("", driver.output("diff -r examples " .. own .. "/examples 2>&1"))
    for _, name in ipairs { "README.md", "CHANGELOG.md", "LICENSE" } do
      assert.equal("", driver.output("cmp " .. name .. " " .. own .. "/doc/" .. name
        .. " 2>&1"))
    end
    driver.output(luarocks .. " remove uqpay 2>&1")
    assert.equal("", driver.output("find " .. driver.quote(dir .. "/lib")
      .. " -path '*/uqpay/*' -o -name uqpay.so"))
    assert.is_false(driver.exists(dir .. command))
  end)
end)
