-- The rockspecs, one a release and scm, against each other and against the tree.

local driver = require "spec.support.driver"
local uqpay = require "uqpay"

-- Runs a rockspec, which is Lua that sets globals.
local function load_rockspec(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  local globals = {}
  if rawget(_G, "setfenv") then
    setfenv(assert(loadstring(text, path)), globals)() -- luacheck: ignore
  else
    assert(load(text, path, "t", globals))()
  end
  return globals
end

local function find(folder, pattern)
  local list = driver.lines(driver.output(driver.command("find", folder, "-name",
    pattern)))
  table.sort(list)
  return list
end

local paths = find("rockspec", "*.rockspec")

describe("a rockspec", function()
  it("is there for scm and for this release, under its name", function()
    local seen = {}
    for _, path in ipairs(paths) do
      local rockspec = load_rockspec(path)
      assert.equal("rockspec/uqpay-" .. rockspec.version .. ".rockspec", path)
      seen[rockspec.version] = rockspec
    end
    assert.is_nil(seen["scm-1"].source.tag)
    assert.equal("v" .. uqpay._VERSION, seen[uqpay._VERSION .. "-1"].source.tag)
  end)

  it("says the same as the others, but for the version and the tag", function()
    local first
    for _, path in ipairs(paths) do
      local rockspec = load_rockspec(path)
      rockspec.version, rockspec.source.tag = nil, nil
      first = first or rockspec
      assert.same(first, rockspec, path)
    end
  end)

  for _, path in ipairs(paths) do
    local build = load_rockspec(path).build

    it("names the sources that there are, " .. path, function()
      local sources = {}
      for n, name in ipairs(build.modules.uqpay.sources) do sources[n] = name end
      table.sort(sources)
      assert.same(find("src", "*.c"), sources)
    end)

    it("names the Lua files that there are, where `require` looks, " .. path, function()
      local expected = { uqpay = build.modules.uqpay }
      for _, file in ipairs(find("src", "*.lua")) do
        local name = file:gsub("^src/", ""):gsub("%.lua$", ""):gsub("/", ".")
        expected[(name:gsub("^types%.", "uqpay.types."))] = file
      end
      assert.same(expected, build.modules)
    end)

    it("has the command and the files that it needs, " .. path, function()
      assert.same({ "src/bin/uqpay-sandbox" }, build.install.bin)
      local folder = "src/uqpay/testing/launcher"
      local files = {}
      for key, file in pairs(build.install.lua) do
        -- LuaRocks takes the folder from the key and the name from the file
        assert.equal(folder, "src/" .. key:gsub("%.[^.]*$", ""):gsub("%.", "/"))
        files[#files + 1] = file
      end
      table.sort(files)
      assert.same(find(folder, "*.*"), files)
    end)

    it("has the examples and the manuals, " .. path, function()
      assert.same({ "examples" }, build.copy_directories)
      local installed = {}
      for place, name in pairs(build.install.conf) do
        assert.equal("../doc/" .. name, place)
        installed[#installed + 1] = name
      end
      table.sort(installed)
      local files = find(".", "*.md")
      local expected = { "LICENSE" }
      for _, name in ipairs(files) do
        if name:match "^%./[^/]+$" then expected[#expected + 1] = name:sub(3) end
      end
      table.sort(expected)
      assert.same(expected, installed)
    end)
  end

  describe("has its tests", function()
    local dir
    before_each(function() dir = driver.directory "rockspec" end)
    after_each(function() driver.output(driver.command("rm", "-rf", dir)) end)

    -- The arguments of `make` when LuaRocks runs the tests, and the exit status.
    local function run(path, code, ...)
      local test = load_rockspec(path).test
      assert.equal("command", test.type)
      local make = assert(io.open(dir .. "/make", "w"))
      make:write("#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit ", code, "\n")
      make:close()
      driver.output(driver.command("chmod", "+x", dir .. "/make"))
      return driver.output(driver.command("env", "MAKE=" .. dir .. "/make",
        os.getenv "UQPAY_LUA_BIN", test.script, ...) .. '; echo "exit $?"')
    end

    it("run by the Lua that LuaRocks is for", function()
      local name = rawget(_G, "jit") and "jit" or _VERSION:match "5%.%d"
      for _, path in ipairs(paths) do
        local text = run(path, 0, "spec/a_spec.lua", "spec/b_spec.lua")
        assert.matches("^spec\nLUA=" .. name .. "\nLUA_BIN="
          .. os.getenv "UQPAY_LUA_BIN" .. "\n", text)
        assert.matches("\nSPEC=spec/a_spec.lua spec/b_spec.lua\nexit 0\n$", text)
        assert.not_matches("SPEC", run(path, 0))
      end
    end)

    it("fail as they do", function()
      for _, path in ipairs(paths) do assert.matches("\nexit 1\n$", run(path, 2)) end
    end)
  end)
end)
