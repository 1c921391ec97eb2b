-- nginx_worker.lua: what the workers of nginx.lua do: a client of each kind, and ways to
-- make calls. An answer is a line with the worker's id, then a line for each call.

local uqpay = require "resty.uqpay"

local worker = {}
local clients, facts = {}, nil

local function add(name, changes)
  local options = {
    base_url = facts.url, ca_file = facts.ca_file, amounts = "string",
    timeout = 10, max_retries = 20, retry_delay = 0.005, retry_delay_max = 0.05,
    max_connections = 4,
  }
  for option, value in pairs(changes) do options[option] = value end
  clients[name] = uqpay.new(options)
end

local function login(prefix, changes)
  changes.client_id, changes.api_key =
    facts[prefix .. "client_id"], facts[prefix .. "api_key"]
  return changes
end

function worker.init(known)
  facts = known
  add("plain", { token = facts.token })
  add("http1", { token = facts.token, base_url = facts.http_url, http_version = "1.1" })
  add("token", { token = function() return facts.token, ngx.time() + 3600 end })
  add("login", login("", {}))
  add("shared", login("", { shared = "uqpay" }))
  add("cache", login("", { shared = "uqpay", cache = { ttl = 0.2, stale = 0.2 } }))
  add("faulty", login("second_", { shared = "uqpay" })) -- its logins meet faults
  add("limited", { token = facts.other_token, shared = "uqpay" }) -- it meets 429s
end

local function line(balance, message, err)
  if balance then return balance.currency .. " " .. balance.available_balance end
  return err.kind .. ": " .. message
end

-- Each gets a client and a query, and returns the lines.
local ways = {}

function ways.one(client, query)
  return { line(client:balance(query)) }
end

function ways.threads(client, query)
  local threads, lines = {}, {}
  for n = 1, 4 do
    threads[n] = ngx.thread.spawn(function() return line(client:balance(query)) end)
  end
  for n = 1, 4 do lines[n] = select(2, ngx.thread.wait(threads[n])) end
  return lines
end

function ways.batch(client, query)
  local lines = {}
  for _, balance, message, err in client:batch { query, query, query, query } do
    lines[#lines + 1] = line(balance, message, err)
  end
  return lines
end

function ways.object(client, query)
  local call = client:start_balance(query)
  while not call:step() do ngx.sleep(0.002) end
  return { line(call:result()) }
end

-- A light thread that is killed in the turn in which it begins its call, and one that
-- waits a while.
function ways.kill(client, query)
  local function ask() return client:balance(query) end
  ngx.thread.kill(ngx.thread.spawn(ask))
  local thread = ngx.thread.spawn(ask)
  ngx.sleep(0.002)
  ngx.thread.kill(thread)
  return { line(client:balance(query)) }
end

-- The request ends while its call is in flight, by a sibling light thread: in the turn
-- in which the call begins, or later.
local function leave(pause)
  return function(client, query, pid)
    ngx.thread.spawn(function()
      if pause then ngx.sleep(pause) else coroutine.yield() end
      ngx.say(pid, "left")
      ngx.exit(ngx.HTTP_OK)
    end)
    client:balance(query)
    ngx.sleep(1)
  end
end

ways.leave = leave()
ways.leave_later = leave(0.003)

-- An access handler keeps what it has found for the content.
function worker.call(is_access)
  local args = ngx.req.get_uri_args()
  local pid = ngx.worker.pid() .. "\n"
  if not args.quiet and not is_access then
    ngx.print(pid)
    ngx.flush()
    pid = ""
  end
  local query = { currency = args.u, on_behalf_of = facts[args.a],
                  timeout = tonumber(args.t) }
  local lines = ways[args.w](clients[args.c], query, pid)
  if is_access then
    ngx.ctx.lines = lines
  else
    ngx.say(pid, table.concat(lines, "\n"))
  end
end

function worker.say_found()
  ngx.say(ngx.worker.pid(), "\n", table.concat(ngx.ctx.lines, "\n"))
end

function worker.state()
  collectgarbage()
  collectgarbage()
  local dict = ngx.shared.uqpay
  dict:flush_expired()
  ngx.say(("%d %d %d %d %d"):format(ngx.worker.pid(), ngx.timer.running_count(),
    ngx.timer.pending_count(), collectgarbage "count", #dict:get_keys(0)))
end

return worker
