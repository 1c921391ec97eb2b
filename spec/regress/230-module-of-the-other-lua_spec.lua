-- Lua 5.1 and LuaJIT find their modules in the same folder. LuaJIT's build did not load
-- in Lua 5.1 (undefined symbol: lua_isyieldable), and 5.1's build in LuaJIT assumed
-- that every place can yield. `make spec-jit-in-5.1` and `make spec-5.1-in-jit` run
-- this with the module of the other.

local driver = require "spec.support.driver"
local internal = require "uqpay.internal"

local version = rawget(_G, "jit") and "LuaJIT" or _VERSION

-- The results of yieldable() outside of a coroutine, in one, and below a C function in
-- one.
local function places()
  local below
  local within = coroutine.wrap(function()
    local here = internal.yieldable();
    ("x"):gsub("x", function() below = internal.yieldable() end)
    return here
  end)()
  return internal.yieldable(), within, below
end

describe("regress: the module of the other Lua", function()
  -- Lua 5.1 and 5.2 cannot tell.
  local tells = version ~= "Lua 5.1" and version ~= "Lua 5.2"

  it("knows where this Lua can yield", function()
    local outside, within, below = places()
    assert.is_true(within)
    assert.equal(not tells, below)
    -- a test of busted's may or may not be in a coroutine
    assert.equal(not tells or coroutine.isyieldable and coroutine.isyieldable() or false,
      outside)
  end)

  -- A luaL_Buffer has its size from the headers, and is filled by the interpreter.
  it("uses no buffer whose size another Lua may see differently", function()
    local path = assert(package.searchpath and package.searchpath("uqpay", package.cpath)
      or package.cpath:match "[^;]+":gsub("%?", "uqpay"))
    local symbols = driver.output("nm -D " .. driver.quote(path))
    assert.matches(" U lua_", symbols)
    assert.is_nil(symbols:find(" U luaL_%l*buff"))
    assert.is_nil(symbols:find(" U luaL_pushresult"))
  end)

  if version ~= "Lua 5.1" then return end

  -- A program may have both in memory. A function of LuaJIT cannot read a state of 5.1.
  it("asks no LuaJIT about a state of Lua 5.1", function()
    if (os.getenv "UQPAY_WRAP" or ""):find "LD_PRELOAD" then
      return pending "a sanitizer's library must come first"
    end
    local library = "libluajit-5.1.so.2"
    local loads = driver.output("LD_PRELOAD=" .. library .. " "
      .. driver.command("lua5.1", "-e", "print 'fine'") .. " 2>&1")
    if loads ~= "fine\n" then return pending "no library of LuaJIT" end
    local printed = driver.output("LD_PRELOAD=" .. library .. " "
      .. driver.command("env", "LUA_PATH=" .. package.path,
        "LUA_CPATH=" .. package.cpath, "lua5.1", "-e", [[
          local yieldable = require "uqpay.internal".yieldable
          print(yieldable(), coroutine.wrap(function() return yieldable() end)())
        ]]) .. " 2>&1")
    assert.equal("true\ttrue\n", printed)
  end)
end)
