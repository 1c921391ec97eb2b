-- Shared by the drivers of the spec servers: shell words, a place that outlives busted's
-- clean-up, the directory of these files. For Lua 5.1 to 5.5 and LuaJIT.

local driver = {}

driver.here = debug.getinfo(1, "S").source:match "^@(.*)[/\\][^/\\]*$" or "."

function driver.quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

-- A command line of quoted words.
function driver.command(...)
  local words = { ... }
  for n, word in ipairs(words) do words[n] = driver.quote(word) end
  return table.concat(words, " ")
end

-- Runs a command to its end and returns what it printed.
function driver.output(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

-- The command before the interpreter (UQPAY_WRAP), with one of the specs' own libraries
-- in LD_PRELOAD: behind a sanitizer's, which comes first or not at all.
function driver.preload(library)
  local out = assert(os.getenv "UQPAY_OUT", "run by make spec")
  local path = out .. "/" .. library .. ".so"
  local words = os.getenv "UQPAY_WRAP" or ""
  local more, found = words:gsub("LD_PRELOAD=%S+", "%0:" .. path, 1)
  return found > 0 and more or "env LD_PRELOAD=" .. path .. " " .. words
end

-- The lines of a text, empty ones left out.
function driver.lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

-- The specs may run in a locale with a decimal comma (make torture-locale): the
-- interpreter's own numbers have it, except LuaJIT's.
local point = ("%.1f"):format(0.5):sub(2, 2)

-- The output of a program, its numbers as in the C locale.
function driver.pointed(text)
  return point == "." and text or (text:gsub("(%d)" .. point .. "%f[%d]", "%1."))
end

-- The interpreter's own conversion of a literal.
function driver.number(text)
  return tonumber((text:gsub("%.", point)))
end

-- A time as HTTP writes it; the names of days and months are English in any locale.
function driver.http_date(time)
  local before = os.setlocale(nil, "time")
  os.setlocale("C", "time")
  local text = os.date("!%a, %d %b %Y %H:%M:%S GMT", time)
  os.setlocale(before, "time")
  return text
end

-- True if the C library has dates after 2038: a time may have 32 bits.
function driver.has_late_dates()
  local _, time = pcall(os.time, { year = 2100, month = 1, day = 1 })
  return type(time) == "number"
end

function driver.content(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

function driver.exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

-- True if this Lua has the event loop's module: Debian has no packages of them for 5.5
-- yet.
function driver.has_loop(name)
  return _VERSION ~= "Lua 5.5" or (pcall(require, name))
end

-- The major version of copas for the Lua under test; or nil, and why it is missing
-- (Debian 12 has it for 5.1 and 5.2; in Debian 13 that for 5.2 lacks a module it needs).
function driver.copas()
  local text = driver.output(driver.command("env", "ASAN_OPTIONS=detect_leaks=0",
    os.getenv "UQPAY_LUA", "-e", [[print(require "copas"._VERSION)]]) .. " 2>&1")
  local version = tonumber(text:match "^Copas (%d+)")
  return version, "copas: " .. (text:match "module '[^']*' not found" or text)
end

-- A new private directory.
function driver.directory(name)
  local made = driver.output('mktemp -d "${TMPDIR:-/tmp}/uqpay-' .. name .. '.XXXXXX"')
  return made:match "[^\n]+" or error("cannot make a directory for " .. name, 0)
end

-- busted loads every spec file with fresh modules and fresh globals; the registry is the
-- one place that stays, and so one server can serve all spec files of a run.
function driver.kept(name)
  local registry = debug.getregistry()
  local key = "uqpay spec: " .. name
  registry[key] = registry[key] or {}
  return registry[key]
end

return driver
