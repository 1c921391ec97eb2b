-- The collector at its most eager, for a whole interpreter, by LUA_INIT: it never rests,
-- and every client has all of its hooks, each of which collects everything before it does
-- its own work. So does a token function.
--
-- A full collection in a process with much in it (busted's) takes long: as long again
-- goes by before the next, and one step is made instead.

local here = debug.getinfo(1, "S").source:match "^@(.*)/"
dofile(here .. "/../support/collector.lua").eager()

local rested = 0 -- os.clock

local function collect()
  local now = os.clock()
  if now < rested then
    collectgarbage "step"
  else
    collectgarbage()
    rested = 2 * os.clock() - now
  end
end

-- The user's function, or none, behind a collection.
local function behind(own)
  return function(...)
    collect()
    if own then return own(...) end
  end
end

-- The same options for a client that collects; values other than plain tables are
-- unchanged.
local function stress(options)
  if type(options) ~= "table" or debug.getmetatable(options) then return options end
  local copy = {}
  for name, value in pairs(options) do copy[name] = value end
  for _, name in ipairs { "on_request", "on_response", "on_retry" } do
    local own = options[name]
    if own == nil or type(own) == "function" then copy[name] = behind(own) end
  end
  if type(options.token) == "function" then copy.token = behind(options.token) end
  return copy
end

-- What new raises names the place where it was called.
local function wrap(new)
  return function(options, ...)
    local ok, result = pcall(new, stress(options), ...)
    if not ok then error(result, 2) end
    return result
  end
end

local function find(name)
  for template in package.cpath:gmatch "[^;]+" do
    local path = template:gsub("%?", name)
    local file = io.open(path, "rb")
    if file then
      file:close()
      return path
    end
  end
end

-- The module, each time that it is loaded: before all others look for it.
table.insert(package.searchers or package.loaders, 1, function(name)
  local path = name == "uqpay" and find(name)
  if not path then return nil end
  return function()
    local uqpay = assert(package.loadlib(path, "luaopen_uqpay"))(name, path)
    uqpay.new = wrap(uqpay.new)
    return uqpay
  end
end)
