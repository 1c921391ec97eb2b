-- The control address: how a spec steers the sandbox and asks what happened.

local accounts = require "accounts"
local balances = require "balances"
local cjson = require "cjson.safe"
local faults = require "faults"
local journal = require "journal"
local ledger = require "ledger"
local store = require "store"
local tokens = require "tokens"
local world = require "world"

local control = {}

local routes = {}

routes["GET /env"] = function()
  ngx.header["content-type"] = "text/plain"
  return world.facts() .. "\npid=" .. ngx.worker.pid()
end

routes["POST /reset"] = function()
  world.reset()
  return "{}"
end

routes["GET /settings"] = function()
  return cjson.encode(store.settings())
end

routes["POST /settings"] = function(changes)
  local settings, err = store.change_settings(changes)
  return settings and cjson.encode(settings), err
end

routes["GET /faults"] = faults.waiting     -- those not used up yet
routes["POST /release"] = function()
  store.release()
  return "{}"
end

routes["POST /swallow"] = function()
  store.swallow()
  return "{}"
end

routes["GET /requests"] = journal.requests
routes["GET /other"] = journal.other
routes["GET /counts"] = journal.counts

-- The truth that lists are checked against: /transactions?account=master
local truths = {
  accounts = accounts.connected,
  balances = function(account) return balances.sorted(accounts.balances(account)) end,
  transactions = ledger.all,
}
for name, truth in pairs(truths) do
  routes["GET /" .. name] = function(args)
    local account = accounts.id_of(args.account)
    if not account then return nil, "unknown account" end
    return cjson.encode(truth(account))
  end
end

-- One fault or a list of them.
routes["POST /faults"] = function(order)
  for _, fault in ipairs(order[1] and order or { order }) do
    local ok, err = faults.order(fault)
    if not ok then return nil, err end
  end
  return "{}"
end

-- { life = 2 } makes a token; { expire = "..." } ends one now, { expire_minted = true }
-- all that clients have minted.
routes["POST /tokens"] = function(order)
  if order.expire_minted then
    tokens.end_minted()
    return "{}"
  elseif order.expire then
    local ok, err = tokens.end_now(order.expire)
    return ok and "{}", err
  end
  local text, ends = tokens.add(order)
  return text and cjson.encode { token = text, expires_at = ends }, ends
end

routes["POST /transactions"] = function(order)
  local id, err = ledger.add(order)
  return id and cjson.encode { transaction_id = id }, err
end

routes["POST /balances"] = function(change)
  if type(change.currency) ~= "string" then return nil, "currency is missing" end
  local ok, err = accounts.change(change)
  return ok and "{}", err
end

function control.serve()
  local method, path = ngx.req.get_method(), ngx.var.uri
  local route = routes[method .. " " .. path]
  ngx.header["content-type"] = "application/json"
  if not route then
    ngx.status = 404
    return ngx.say(cjson.encode { error = "no such route: " .. method .. " " .. path })
  end
  local order = ngx.req.get_uri_args()
  if method == "POST" then
    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    order = body and cjson.decode(body) or not body and {} or nil
  end
  local answer, err
  if not route then
    err = "no such route: " .. method .. " " .. path
  elseif type(order) ~= "table" then
    err = "the body must be a JSON object"
  else
    answer, err = route(order)
  end
  if not answer then
    ngx.status = route and 400 or 404
    answer = cjson.encode { error = err }
  end
  ngx.header["content-length"] = #answer + 1
  return ngx.say(answer)
end

return control
