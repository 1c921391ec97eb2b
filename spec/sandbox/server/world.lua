-- All that begins with the process, and all that a reset puts back.

local accounts = require "accounts"
local ledger = require "ledger"
local login = require "login"
local store = require "store"
local tokens = require "tokens"

local world = {}

function world.reset()
  store.clear()
  tokens.reset()
end

function world.start()
  tokens.start()
  login.start()
  world.reset()
end

-- The lines that the launcher adds to its own.
function world.facts()
  local lines = {}
  for _, part in ipairs { tokens, login, accounts, ledger } do part.facts(lines) end
  table.sort(lines)
  return table.concat(lines, "\n")
end

return world
