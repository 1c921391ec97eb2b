-- control.lua: the control interface for tests: functions of a world and an order (a
-- table), by method and path, which return a value for JSON, or nil and a message.
-- SPDX-License-Identifier: MIT

local accounts = require "uqpay.testing.server.accounts"
local balances = require "uqpay.testing.server.balances"
local faults = require "uqpay.testing.server.faults"
local journal = require "uqpay.testing.server.journal"
local json = require "uqpay.testing.server.json"
local ledger = require "uqpay.testing.server.ledger"
local settings = require "uqpay.testing.server.settings"
local tokens = require "uqpay.testing.server.tokens"

local control = {}

local routes = {}

routes["POST /reset"] = function(world)
  world:reset()
  return {}
end

routes["GET /settings"] = function(world) return world.state.settings end

routes["POST /settings"] = function(world, changes)
  local all, wrong = settings.changed(world.state.settings, changes)
  if not all then return nil, wrong end
  world.state.settings = all
  return all
end

routes["GET /faults"] = faults.waiting

-- One fault or a list of them.
routes["POST /faults"] = function(world, order)
  for _, fault in ipairs(order[1] and order or { order }) do
    local ok, wrong = faults.order(world, fault)
    if not ok then return nil, wrong end
  end
  return {}
end

routes["POST /release"] = function(world)
  world.released = world.released + 1
  return {}
end

-- The connections that were seen until now swallow everything from now on. Their numbers
-- grow as long as the adapter runs.
routes["POST /swallow"] = function(world)
  world.state.swallowed = world.last_connection
  return {}
end

routes["GET /requests"] = journal.requests
routes["GET /other"] = journal.other
routes["GET /counts"] = journal.counts

-- The truth that lists are checked against: /transactions?account=master
local truths = {
  accounts = accounts.connected,
  balances = function(world, id) return balances.sorted(balances.of(world, id)) end,
  transactions = ledger.all,
}
for name, truth in pairs(truths) do
  routes["GET /" .. name] = function(world, args)
    local id = accounts.id_of(world, args.account)
    if not id then return nil, "unknown account" end
    return json.array(truth(world, id))
  end
end

-- { life = 2 } makes a token; { expire = "..." } ends one now, { expire_minted = true }
-- all that clients have minted.
routes["POST /tokens"] = function(world, order)
  if order.expire_minted then
    tokens.end_minted(world)
    return {}
  elseif order.expire then
    local ok, wrong = tokens.end_now(world, order.expire)
    return ok and {}, wrong
  end
  local text, ends = tokens.add(world, order)
  return text and { token = text, expires_at = ends }, ends
end

routes["POST /transactions"] = function(world, order)
  local id, wrong = ledger.add(world, order)
  return id and { transaction_id = id }, wrong
end

routes["POST /balances"] = function(world, change)
  if type(change.currency) ~= "string" then return nil, "currency is missing" end
  local ok, wrong = balances.change(world, change)
  return ok and {}, wrong
end

-- Runs an order. Returns its value and 200; or nil, a status and a message.
function control.run(world, method, path, order)
  local route = routes[method .. " " .. path]
  if not route then return nil, 404, "no such route: " .. method .. " " .. path end
  if type(order) ~= "table" then return nil, 400, "the body must be a JSON object" end
  local value, wrong = route(world, order)
  if not value then return nil, 400, wrong end
  return value, 200
end

return control
