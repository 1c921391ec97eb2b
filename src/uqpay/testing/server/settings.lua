-- settings.lua: the settings of a world, here with their defaults:
--
--   bearer = "required"        "optional": x-auth-token may be the bare token as well
--   amounts = "number"         "string": amounts as JSON strings; "mixed": strings in
--                              lists, numbers in the answer for one balance
--   accounts_refusal = "401"   "403": how the accounts list refuses a token
--   accounts_status = "shown"  "missing": connected accounts have no status
--
--   rate_limit = 0             requests a window and merchant; 0: no limit
--   token_rate_limit = 0       mints a window and client (the real one: 60)
--   rate_window = 60           seconds; a window begins with its first request
--   retry_after = ""           Retry-After of a 429: "" for none, "seconds" or "date"
--                              for the window's end, any other text as it stands
--   rate_limit_shape = "B"     the body of a 429, see reply.lua: "B" and "H"
--                              are valid JSON, "E" has a comma too many
--   delay = 0                  seconds that every request waits before it is looked at
--   hold = ""                  "all" or an endpoint: its requests wait (for a minute at
--                              most) until this is changed
--
--   single_token = false       a new token ends the earlier ones of its client
--   token_life = 1800          seconds that a minted token lives
--   token_form = "jwt"         auth_token: "jwt" (600 bytes), "opaque" (90 bytes),
--                              "bearer" ("Bearer " in front), "crlf" (a header
--                              behind CR and LF), "empty", "null", "missing"
--   token_bytes = 0            an opaque token of this size
--   expired_at = "seconds"     "string" (of digits), "milliseconds", "date" (ISO 8601),
--                              "zero", "past", "null", "missing"
--
--   bounds = "[]"              which ends of a window belong to it: "[)", "(]", "()"
--   pages = "right"            "shift", "shrink": from page to page one item more
--                              (less) in front; "repeat": the first page for ever,
--                              of a million
--   total_pages = "right"      "zero", "negative", "huge", "fraction", "string",
--   total_items = "right"      "null", "missing"
--   data = "array"             "odd_item" (the last one is a number), "object",
--                              "string", "null", "missing"
--   item_without = ""          a field that the last item of each page lacks
--
--   seed = ""                  a text: tokens and request ids are drawn from it, and
--                              are the same each time
--   time = 0                   Unix seconds at which the sandbox's clock stands
-- SPDX-License-Identifier: MIT

local endpoints = require "uqpay.testing.server.endpoints"
local times = require "uqpay.testing.server.times"

local settings = {}

-- Every setting there is, with the value it has after a reset.
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
  seed = "", time = 0,
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
  time = 0, token_life = 0,
}
local most = {
  rate_limit = 1e9, token_rate_limit = 1e9, rate_window = 1e9, delay = 1e9,
  token_bytes = 1024 * 1024, time = times.latest, token_life = 1e9,
}
local whole = { rate_limit = true, token_rate_limit = true, token_bytes = true }

local function problem_of_number(name, value)
  if value ~= value then return name .. " is not a number" end
  if value < least[name] then return name .. " must be at least " .. least[name] end
  if value > most[name] then
    return ("%s must be at most %.0f"):format(name, most[name])
  end
  if whole[name] and value % 1 ~= 0 then return name .. " must be a whole number" end
end

local function listed(set)
  local words = {}
  for word in pairs(set) do words[#words + 1] = '"' .. word .. '"' end
  table.sort(words)
  return table.concat(words, ", ")
end

local function problem(name, value)
  if defaults[name] == nil then
    return "unknown setting: " .. tostring(name)
  elseif type(value) ~= type(defaults[name]) then
    return ("%s must be a %s, got a %s"):format(name, type(defaults[name]), type(value))
  elseif allowed[name] and not allowed[name][value] then
    return ('%s cannot be "%s": one of %s'):format(name, value, listed(allowed[name]))
  elseif type(value) == "number" then
    return problem_of_number(name, value)
  elseif type(value) == "string" and value:find "%c" then
    return name .. " has control bytes"
  end
end

-- The settings after a reset: a new table.
function settings.new()
  local all = {}
  for name, value in pairs(defaults) do all[name] = value end
  return all
end

-- The settings with some changes, as a new table; or nil and a message.
function settings.changed(present, changes)
  if type(changes) ~= "table" then return nil, "a table expected" end
  local all = {}
  for name, value in pairs(present) do all[name] = value end
  for name, value in pairs(changes) do
    local wrong = problem(name, value)
    if wrong then return nil, wrong end
    all[name] = value
  end
  return all
end

return settings
