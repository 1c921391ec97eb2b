-- idempotency.lua: idempotency keys. For 24 hours a known key gets the stored answer,
-- even if the balance has changed.
-- SPDX-License-Identifier: MIT

local reply = require "uqpay.testing.server.reply"

local idempotency = {}

local day = 24 * 60 * 60
local longest = 60          -- seconds in progress: the handler may have died
local most_keys = 100000    -- older ones are forgotten

local hex, dash = "%x", "%-"
local quad = dash .. hex:rep(4)
local uuid = "^" .. hex:rep(8) .. quad:rep(3) .. dash .. hex:rep(12) .. "$"

function idempotency.valid(key)
  return type(key) == "string" and key:find(uuid) ~= nil
end

-- The scope of a key: the token's account and the one it acts for. The vendor does not
-- document it.
local function place(request, key)
  return table.concat({ request.merchant, request.account, key:lower() }, "\n")
end

-- After a 5xx the request may be sent again with the same key, so it is not stored, nor
-- are refusals of the caller. answer.stored takes precedence.
local never_stored = { [401] = true, [403] = true, [429] = true }

local function is_stored(answer)
  if answer.stored ~= nil then return answer.stored end
  return answer.status < 500 and not never_stored[answer.status]
end

-- Sets the record of a key, and forgets the oldest key if there are too many.
local function remember(state, name, known)
  if not state.keys[name] then
    local n = state.key_count + 1
    state.key_count, state.key_names[n] = n, name
    local oldest = state.key_names[n - most_keys]
    if oldest then state.keys[oldest], state.key_names[n - most_keys] = nil, nil end
  end
  state.keys[name] = known
end

-- The stored answer. Within a process the client's clock moves when the answer is there,
-- or at its timeout; a request that takes longer is in progress until its own end.
local function known_answer(known, now, content)
  if known.content ~= content then
    return reply.typed(400, "idempotency_error", "idempotency_mismatch",
      "x-idempotency-key was used before with another request")
  end
  return known.answer and known.ready <= now and known.answer or reply.processing()
end

-- Answers a request under its key: by work() the first time, from the store later.
function idempotency.answer(world, request, work)
  local state, name = request.state, place(request, request.key)
  local content = request.method .. "\n" .. request.path .. "\n" .. request.body
  local known = state.keys[name]
  if known and known.ends > world:now() then
    return known_answer(known, world:now(), content)
  end
  remember(state, name, { content = content, ends = world:now() + longest })
  local ok, answer = pcall(work)
  local now = world:now()
  if ok and is_stored(answer) then
    remember(state, name,
      { content = content, answer = answer, ready = now, ends = now + day })
  else
    remember(state, name, { content = content, ends = now })
  end
  if not ok then error(answer, 0) end
  return answer
end

return idempotency
