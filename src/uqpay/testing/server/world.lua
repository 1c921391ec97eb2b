-- world.lua: one sandbox. A world holds the accounts, and a state that a reset replaces:
-- settings, balances, tokens, keys, faults, the journal. The other files of this folder
-- are functions of a world. They change nothing else, and yield in world.sleep only:
-- between sleeps, the work on a request is atomic.
-- SPDX-License-Identifier: MIT

local accounts = require "uqpay.testing.server.accounts"
local journal = require "uqpay.testing.server.journal"
local ledger = require "uqpay.testing.server.ledger"
local login = require "uqpay.testing.server.login"
local random = require "uqpay.testing.server.random"
local settings = require "uqpay.testing.server.settings"
local tokens = require "uqpay.testing.server.tokens"

local methods = {}
methods.__index = methods

-- Unix seconds, with a fraction. The setting time stops the clock.
function methods:now()
  local fixed = self.state and self.state.settings.time or 0
  return fixed > 0 and fixed or self.clock()
end

-- Restores the first state. A request in flight keeps the state that it arrived in, and
-- is dropped when it notices that the world has another one.
function methods:reset()
  self.directory = self.first_directory
  self.released = self.released + 1
  self.state = {
    settings = assert(settings.changed(settings.new(), self.first_settings)),
    balances = {}, transactions = {}, ordered_transactions = 0,
    tokens = {}, minted = 0, first_tokens = {},
    keys = {}, key_names = {}, key_count = 0,
    windows = {}, faults = {}, pages = {}, swallowed = 0,
    log = journal.new(),
  }
  tokens.reset(self)
end

-- The text of name=value lines that the launcher adds to its own. The first value of a
-- name counts: an account of a seed cannot take the name of a token or key.
function methods:facts()
  local lines, seen = {}, {}
  local function add(name, value)
    if not seen[name] then lines[#lines + 1] = name .. "=" .. value end
    seen[name] = true
  end
  for _, part in ipairs { tokens, login, ledger, accounts } do part.facts(self, add) end
  table.sort(lines)
  return table.concat(lines, "\n")
end

local world = {}

-- A new world. The adapter has: clock() -> Unix seconds, sleep(seconds), and optionally
-- random(count) -> bytes, other_host (where redirects lead) and wire (true if faults of
-- the wire can have any kind). The seed is that of seed.lua, read: accounts, settings.
function world.new(adapter, seed)
  local self = setmetatable({
    clock = adapter.clock, sleep = adapter.sleep, wire = adapter.wire,
    random = adapter.random or random.source(),
    other_host = adapter.other_host or "https://127.0.0.1:1",
    released = 0,           -- how often all held requests were released
    last_connection = 0,    -- the highest number of a connection that was seen
    first_directory = accounts.directory(seed.accounts),
    first_settings = seed.settings,
  }, methods)
  self.directory = self.first_directory
  tokens.start(self)
  login.start(self)
  self:reset()
  return self
end

return world
