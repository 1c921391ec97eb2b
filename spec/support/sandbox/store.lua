-- What the sandbox remembers, in nginx's shared memory: JSON values under names, and the
-- settings. Nothing here yields, so reading a value, changing it and writing it back is
-- one step as long as there is one nginx process.

local cjson = require "cjson.safe"

local store = {}

local start, state = ngx.shared.uqpay_start, ngx.shared.uqpay_state
local keys, log = ngx.shared.uqpay_keys, ngx.shared.uqpay_log

-- Every setting there is, with the value it has after a reset.
local defaults = {
  bearer = "required",   -- "optional": x-auth-token may be the bare token as well
  amounts = "number",    -- "string": the three amounts as JSON strings
  rate_limit = 0,        -- requests a minute and merchant; 0: no limit
  retry_after = "",      -- Retry-After of a 429, sent as it stands; "": no such header
}
local allowed = {
  bearer = { required = true, optional = true },
  amounts = { number = true, string = true },
}

function store.get(name)
  local text = state:get(name)
  return text and cjson.decode(text)
end

function store.set(name, value, life)
  local ok, err = state:set(name, assert(cjson.encode(value)), life or 0)
  assert(ok, err)
end

-- Counts up to (and from) a number that forgets itself `life` seconds after its start.
function store.count(name, life)
  return assert(state:incr(name, 1, 0, life))
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
    end
    settings[name] = value
  end
  store.set("settings", settings)
  return settings
end

return store
