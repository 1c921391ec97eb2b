-- The state of the sandbox, in nginx's shared memory: JSON values under names, and the
-- settings. Nothing here yields, so reading a value, changing it and writing it back is
-- one step as long as there is one nginx process.

local cjson = require "cjson.safe"
local endpoints = require "endpoints"

local store = {}

local start, state = ngx.shared.uqpay_start, ngx.shared.uqpay_state
local keys, log = ngx.shared.uqpay_keys, ngx.shared.uqpay_log

-- Every setting there is, with the value it has after a reset. What they mean is said at
-- sandbox.settings in spec/sandbox/sandbox.lua.
local defaults = {
  bearer = "required", amounts = "number", accounts_refusal = "401",
  accounts_status = "shown",
  rate_limit = 0, token_rate_limit = 0, rate_window = 60, retry_after = "",
  rate_limit_shape = "B",
  delay = 0, hold = "",
  single_token = false, token_life = 1800, token_form = "jwt", token_bytes = 0,
  expired_at = "seconds",
  bounds = "[]", pages = "right", total_pages = "right", total_items = "right",
  data = "array", item_without = "",
}

local function one_of(words)
  local set = {}
  for word in words:gmatch "%S+" do set[word] = true end
  return set
end

local totals = "right zero negative huge fraction string null missing"
local allowed = {
  bearer = one_of "required optional",
  amounts = one_of "number string mixed",
  accounts_status = one_of "shown missing",
  rate_limit_shape = one_of "B E H",
  accounts_refusal = one_of "401 403",
  hold = { [""] = true, all = true },
  token_form = one_of "jwt opaque bearer crlf empty null missing",
  expired_at = one_of "seconds string milliseconds date zero past null missing",
  bounds = one_of "[] [) (] ()",
  pages = one_of "right shift shrink repeat",
  total_pages = one_of(totals),
  total_items = one_of(totals),
  data = one_of "array odd_item object string null missing",
}
for name in pairs(endpoints) do allowed.hold[name] = true end

local least = {
  rate_limit = 0, token_rate_limit = 0, rate_window = 0.001, delay = 0, token_bytes = 0,
}

function store.get(name)
  local text = state:get(name)
  return text and cjson.decode(text)
end

function store.set(name, value)
  assert(state:set(name, assert(cjson.encode(value))))
end

-- The next number of a row.
function store.next(name)
  return assert(state:incr(name, 1, 0))
end

-- Counts within a window of so many seconds. It begins with what is counted first, not
-- with the minute of the clock: a test that counts requests must not depend on when it
-- runs. Returns the count and the window's end.
function store.count(name, seconds)
  local now = ngx.now()
  local window = store.get(name)
  if not window or window.ends <= now then window = { n = 0, ends = now + seconds } end
  window.n = window.n + 1
  store.set(name, window)
  return window.n, window.ends
end

-- A reset begins a new generation. A request that was on its way before it (asleep in a
-- delay, say) must not write into the new one.
function store.generation()
  return start:get "generation" or 0
end

-- How often all held requests were let go; a reset lets them go, too.
function store.released()
  return start:get "released" or 0
end

function store.release()
  start:incr("released", 1, 0)
end

-- The connections that were seen until now swallow everything from now on. Their numbers
-- grow as long as nginx runs.
function store.saw(connection)
  local last = start:get "connection" or 0
  if connection > last then start:set("connection", connection) end
end

function store.swallow()
  store.set("swallowed", start:get "connection" or 0)
end

function store.swallows(connection)
  return connection <= (store.get "swallowed" or 0)
end

function store.clear()
  start:incr("generation", 1, 0)
  store.release()
  for _, dict in ipairs { state, keys, log } do
    dict:flush_all()
    dict:flush_expired()
  end
end

function store.settings()
  local settings = store.get "settings" or {}
  for name, value in pairs(defaults) do
    if settings[name] == nil then settings[name] = value end
  end
  return settings
end

-- Changes some settings. Returns all of them, or nil and what was wrong.
function store.change_settings(changes)
  local settings = store.settings()
  for name, value in pairs(changes) do
    if defaults[name] == nil then
      return nil, "unknown setting: " .. tostring(name)
    elseif type(value) ~= type(defaults[name]) then
      return nil, name .. " must be a " .. type(defaults[name])
    elseif allowed[name] and not allowed[name][value] then
      return nil, name .. " cannot be " .. value
    elseif least[name] and value < least[name] then
      return nil, name .. " must be at least " .. least[name]
    end
    settings[name] = value
  end
  store.set("settings", settings)
  return settings
end

return store
