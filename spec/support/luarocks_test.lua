-- luarocks_test.lua [SPEC...]: run by `luarocks test`, with the Lua that LuaRocks is for.
-- Runs `make spec` for that Lua: all specs, or the named ones.

local driver = dofile "spec/support/driver.lua"

local lua, at = "lua", 0
while arg[at - 1] do
  at = at - 1
  lua = arg[at]
end

local jit = rawget(_G, "jit")
local version = _VERSION:match "%d+%.%d+"
local words = { os.getenv "MAKE" or "make", "spec", "LUA=" .. (jit and "jit" or version),
  "LUA_BIN=" .. lua }

-- The headers that LuaRocks builds with, if they are this Lua's.
local include = driver.output("luarocks --lua-version=" .. version
  .. " config variables.LUA_INCDIR 2> /dev/null"):match "[^\n]+"
if include and driver.exists(include .. (jit and "/luajit.h" or "/lua.h")) then
  words[#words + 1] = "LUA_INCDIR=" .. include
end

if arg[1] then words[#words + 1] = "SPEC=" .. table.concat(arg, " ") end
local ok = os.execute(driver.command((table.unpack or unpack)(words)))
os.exit((ok == true or ok == 0) and 0 or 1)
