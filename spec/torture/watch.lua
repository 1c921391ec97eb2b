-- watch.lua: records all output of clients, for a search for secrets: see outputs.sh. By
-- LUA_INIT every interpreter of a run loads it first, including those that specs start.
--
-- Each client gets all hooks, which call those that it was given. What they receive,
-- results and errors of methods, call objects and iterators, tostring, and the output of
-- children go to a file "<n>.said" in the folder UQPAY_WATCH; secrets to a file
-- "<n>.secrets". Results of client:token() and arguments of a token store are not
-- recorded.

local folder = assert(os.getenv "UQPAY_WATCH")
local unpack = table.unpack or unpack
local LEAST = 16 -- bytes of a secret: shorter ones are words, in specs

local function file(suffix)
  local stat = assert(io.open "/proc/self/stat")
  local pid = stat:read "*a":match "^%d+"
  stat:close()
  local handle = assert(io.open(folder .. "/" .. pid .. suffix, "ab"))
  handle:setvbuf("full", 65536)
  return handle
end

local said, secrets = file ".said", file ".secrets"
local known = {}

local function add_secret(text)
  if type(text) ~= "string" then return end
  text = text:gsub("^[Bb]earer ", "")
  if #text < LEAST or known[text] or text:find "[%c ]" then return end
  if text == text:sub(1, 1):rep(#text) then return end -- a long word
  known[text] = true
  secrets:write(text, "\n")
  secrets:flush()
end

-- Notes a value, deep.
local function note(what, value, depth)
  if type(value) == "table" and (depth or 0) < 6 then
    for name, field in pairs(value) do
      note(what .. " " .. tostring(name), field, (depth or 0) + 1)
    end
  elseif type(value) == "string" then
    said:write(what, ": ", value, "\n")
  elseif type(value) == "userdata" then
    said:write(what, ": ", tostring(value), "\n")
  end
end

local function pack(...)
  return { n = select("#", ...), ... }
end

-- ---- what is raised ------------------------------------------------------------------

-- pcall's results; an error is raised again as it would have been without us, as an
-- error of the line that called the function.
local function passed(name, ok, ...)
  if ok then return ... end
  local message = ...
  note(name .. " raised", message)
  if type(message) ~= "string" or message == "not enough memory" then
    error(message, 0)
  end
  local self = debug.getinfo(2, "n").namewhat == "method" and 1 or 0 -- is not counted
  message = message:gsub("^bad argument #(%d+) to '%?'", function(n) -- of Lua's library
    return ("bad argument #%d to '%s'"):format(n - self, name)
  end)
  error(message, 3)
end

-- ---- clients -------------------------------------------------------------------------

local ours = setmetatable({}, { __mode = "k" })

local function noted(name, ...)
  local n = select("#", ...)
  if n == 3 and (...) == nil then
    note(name, select(2, ...))
    note(name, select(3, ...))
    note(name, tostring(select(3, ...)))
  elseif type((...)) ~= "string" then -- else a token
    for i = 1, n do note(name, (select(i, ...))) end
  else
    add_secret((...))
  end
  return ...
end

-- A method that notes its results, and iterators' as well.
local function watched(name, method)
  local function wrapper(self, ...)
    said:write(tostring(self), "\n")
    local results = pack(passed(name, pcall(method, self, ...)))
    local next_item = results[1]
    if type(next_item) == "function" then
      results[1] = function(...)
        local items = pack(next_item(...))
        noted(name, unpack(items, 1, items.n))
        return unpack(items, 1, items.n)
      end
    else
      noted(name, unpack(results, 1, results.n))
    end
    return unpack(results, 1, results.n)
  end
  ours[wrapper] = true
  return wrapper
end

local function watch_class(name)
  local methods = debug.getregistry()[name].__index
  for method, f in pairs(methods) do
    if not ours[f] then methods[method] = watched(method, f) end
  end
end

local function watched_hook(name, hook)
  return function(info)
    note(name, info)
    if hook then return hook(info) end
  end
end

local function watched_token(f)
  return function(...)
    local results = pack(f(...))
    add_secret(results[1])
    return unpack(results, 1, results.n)
  end
end

local function watched_store(store)
  local copy = {}
  for _, name in ipairs { "get", "set", "lock", "unlock" } do
    local f = store[name]
    copy[name] = f
    if type(f) == "function" then
      copy[name] = function(_, key, token, ...)
        add_secret(token)
        return f(store, key, token, ...)
      end
    end
  end
  if type(store.get) == "function" then copy.get = watched_token(copy.get) end
  return copy
end

-- The options of a client with all hooks.
local function watched_options(options)
  local copy = {}
  for name, value in next, options do copy[name] = value end
  add_secret(copy.token)
  add_secret(copy.api_key)
  if type(copy.proxy) == "string" then add_secret(copy.proxy:match "//[^:/]*:(.*)@") end
  if type(copy.token) == "function" then copy.token = watched_token(copy.token) end
  if type(copy.token_store) == "table" or type(copy.token_store) == "userdata" then
    copy.token_store = watched_store(copy.token_store)
  end
  for _, name in ipairs { "on_request", "on_response", "on_retry" } do
    local hook = rawget(copy, name)
    if hook == nil or type(hook) == "function" then
      copy[name] = watched_hook(name, hook)
    end
  end
  return setmetatable(copy, debug.getmetatable(options))
end

local function watch(uqpay)
  local new = uqpay.new
  watch_class "uqpay.client"
  watch_class "uqpay.call"
  function uqpay.new(...)
    local options = ...
    if type(options) == "table" then options = watched_options(options) end
    local client = passed("new", pcall(new, options, select(2, ...)))
    note("new", client)
    return client
  end
  return uqpay
end

-- ---- the sandbox ---------------------------------------------------------------------

local function watch_sandbox(sandbox)
  local start, reset, new_token = sandbox.start, sandbox.reset, sandbox.new_token
  function sandbox.start()
    start()
    for name, value in pairs(sandbox) do
      if name:find "token$" or name:find "api_key$" then add_secret(value) end
    end
    return sandbox
  end
  function sandbox.reset()
    sandbox.start()
    for _, request in ipairs(sandbox.mints()) do add_secret(request.minted) end
    reset()
  end
  function sandbox.new_token(...)
    local token, ends = new_token(...)
    add_secret(token)
    return token, ends
  end
  return sandbox
end

-- ---- modules and children ------------------------------------------------------------

-- Has require(name) give what change makes of the module.
local function on_require(name, change)
  package.preload[name] = function()
    local searchers = package.searchers or package.loaders
    for i = 2, #searchers do
      local loader, extra = searchers[i](name)
      if type(loader) == "function" then return change(loader(name, extra)) end
    end
    error("module '" .. name .. "' not found", 0)
  end
end

on_require("uqpay", watch)
on_require("spec.sandbox.sandbox", watch_sandbox)

-- The output of commands, except those that may print secrets: the sandbox's own, and
-- curl, which prints its answers.
local popen = io.popen
function io.popen(command, mode) -- luacheck: ignore 122
  local pipe, message, number = popen(command, mode)
  if not pipe or mode == "w" or command:find "uqpay%-sandbox" or command:find "curl" then
    return pipe, message, number
  end
  local proxy = {}
  function proxy.read(_, ...)
    local results = pack(pipe:read(...))
    for i = 1, results.n do note("child", results[i]) end
    return unpack(results, 1, results.n)
  end
  function proxy.lines(_, ...)
    local next_line = pipe:lines(...)
    return function()
      local line = next_line()
      note("child", line)
      return line
    end
  end
  function proxy.close() return pipe:close() end
  return proxy
end
