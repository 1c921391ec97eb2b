-- The functions by which a spec controls a sandbox and reads its journal, for the server
-- (sandbox.lua) and the sandbox in the spec's own process (in_process.lua). They are
-- added to a table; call(method, path, order) sends an order.

local socket = require "socket"

return function(sandbox, call)
  -- Changes settings (server/settings.lua explains them) until the next reset, and
  -- returns all of them.
  function sandbox.settings(changes)
    return call(changes and "POST" or "GET", "/settings", changes)
  end

  -- { kind = "status", status = 503, times = 2 }, or a list of such: see
  -- server/faults.lua.
  function sandbox.fault(order)
    call("POST", "/faults", order)
  end

  -- Releases all held requests.
  function sandbox.release()
    call("POST", "/release")
  end

  -- The connections that requests came by so far swallow everything from now on, until a
  -- reset: they stay open, and nothing is answered over them. Others work. What a server
  -- does below HTTP (TLS, answers to PING) continues; a relay (relay.lua) swallows that,
  -- too.
  function sandbox.swallow()
    call("POST", "/swallow")
  end

  -- The faults that are not used up.
  function sandbox.faults()
    return call("GET", "/faults")
  end

  -- { life = 2, merchant = "other", forbidden = true, token = "..." }, all optional;
  -- merchant may be "empty", too. Returns the token and its end (Unix time).
  function sandbox.new_token(order)
    local answer = call("POST", "/tokens", order or {})
    return answer.token, answer.expires_at
  end

  function sandbox.expire(token)
    call("POST", "/tokens", { expire = token })
  end

  -- Ends all tokens that clients have minted.
  function sandbox.expire_minted()
    call("POST", "/tokens", { expire_minted = true })
  end

  -- { currency = "USD", available_balance = "1.00", account = id }; an account is
  -- "master", "other" or a connected account, an amount its JSON text. cjson.null leaves
  -- a field out; delete = true takes the whole balance away.
  function sandbox.balance(change)
    call("POST", "/balances", change)
  end

  -- { account = id, create_time = "2026-03-01T00:00:00+08:00", amount = "0.1", times = 9
  -- } adds nine transactions. Every field may be given as text, none has to. Returns the
  -- id of the last one.
  function sandbox.transaction(order)
    return call("POST", "/transactions", order).transaction_id
  end

  -- The expected lists: the items in the order of the API, amounts as their JSON
  -- text. An account is "master" (if nil), "other", "empty" or a connected account.
  -- Transactions also have their time in Unix seconds.
  function sandbox.accounts(merchant)
    return call("GET", "/accounts?account=" .. (merchant or "master"))
  end

  function sandbox.balances(account)
    return call("GET", "/balances?account=" .. (account or "master"))
  end

  function sandbox.transactions(account)
    return call("GET", "/transactions?account=" .. (account or "master"))
  end

  -- A list, oldest first, of tables: n, server, endpoint, method, path, query, http,
  -- headers, raw_headers, body, body_bytes, status, fault, minted (the token),
  -- connection, connection_requests, tls, tls_cipher, tls_resumed, time, ended. Of one
  -- endpoint, if it is named. The last 4,000 are remembered.
  function sandbox.requests(endpoint)
    local list = {}
    for _, request in ipairs(call("GET", "/requests")) do
      if not endpoint or request.endpoint == endpoint then list[#list + 1] = request end
    end
    return list
  end

  -- How many connections the requests came by.
  function sandbox.connections()
    local seen, count = {}, 0
    for _, request in ipairs(sandbox.requests()) do
      if not seen[request.connection] then count = count + 1 end
      seen[request.connection] = true
    end
    return count
  end

  -- The requests that made a token.
  function sandbox.mints()
    local list = {}
    for _, request in ipairs(sandbox.requests "token") do
      if request.minted then list[#list + 1] = request end
    end
    return list
  end

  -- A list: the tokens of the requests for balances, as numbers of mints; 0 for others.
  function sandbox.mint_numbers()
    local numbers, list = {}, {}
    for n, request in ipairs(sandbox.mints()) do
      numbers["Bearer " .. request.minted] = n
    end
    for n, request in ipairs(sandbox.requests "balance") do
      list[n] = numbers[request.headers["x-auth-token"]] or 0
    end
    return list
  end

  -- How many there were, however long ago: { requests = 7, mints = 1, endpoints = { token
  -- = 1, balance = 6 }, statuses = { ["200"] = 6, ["429"] = 1 } }. Unknown paths are of
  -- the endpoint "none", requests without an answer have the status "none".
  function sandbox.counts()
    return call("GET", "/counts")
  end

  -- Returns when so many requests have arrived.
  function sandbox.until_arrived(count)
    local give_up = socket.gettime() + 60
    while #sandbox.requests() < count do
      if socket.gettime() > give_up then
        error(("sandbox: %d requests did not arrive"):format(count), 0)
      end
      socket.sleep(0.002)
    end
  end

  -- A list: the values of a header in these requests, "none" where it was not sent.
  function sandbox.headers(name)
    local list = {}
    for n, request in ipairs(sandbox.requests()) do
      list[n] = request.headers[name] or "none"
    end
    return list
  end

  -- The requests to the other host: { connections = n, requests = { ... } }.
  function sandbox.other()
    return call("GET", "/other")
  end

  -- Every request that is remembered, here and at the other host, with the name of its
  -- place.
  local function arrived()
    local all = {}
    for _, request in ipairs(sandbox.requests()) do
      all[#all + 1] = { request, request.endpoint or "none" }
    end
    for _, request in ipairs(sandbox.other().requests) do
      all[#all + 1] = { request, "other" }
    end
    return all
  end

  -- The endpoints that a header was sent to, with how often: { token = 2, balance = 1 };
  -- "none" for unknown paths, "other" for the other host.
  function sandbox.sent(header)
    local places = {}
    for _, pair in ipairs(arrived()) do
      local request, place = pair[1], pair[2]
      if request.headers[header:lower()] then places[place] = (places[place] or 0) + 1 end
    end
    return places
  end

  -- Where a text was in what arrived, with how often: { ["token x-api-key"] = 2 }; the
  -- second word is a header, "path", "query" or "body".
  function sandbox.seen(text)
    local places = {}
    local function look(place, value)
      if type(value) == "table" then
        for _, one in ipairs(value) do look(place, one) end
      elseif type(value) == "string" and value:find(text, 1, true) then
        places[place] = (places[place] or 0) + 1
      end
    end
    for _, pair in ipairs(arrived()) do
      local request, place = pair[1], pair[2]
      for name, value in pairs(request.headers) do look(place .. " " .. name, value) end
      for _, name in ipairs { "path", "query", "body" } do
        look(place .. " " .. name, request[name])
      end
    end
    return places
  end
end
