-- Idempotency keys. Within 24 hours a key that was seen gets the stored answer again,
-- whatever has become of the balance; that is what makes a reused key dangerous here.

local cjson = require "cjson.safe"
local reply = require "reply"
local store = require "store"

local idempotency = {}

local keys = ngx.shared.uqpay_keys
local day = 24 * 60 * 60
-- A handler that dies would leave its key in progress for good; the mark ends by itself.
local longest = 60

local hex, dash = "%x", "%-"
local quad = dash .. hex:rep(4)
local uuid = "^" .. hex:rep(8) .. quad:rep(3) .. dash .. hex:rep(12) .. "$"

function idempotency.valid(key)
  return type(key) == "string" and key:find(uuid) ~= nil
end

-- Where a key counts: per token's account and the one it acts for. [The vendor does not
-- say.]
local function place(request, key)
  return table.concat({ request.merchant, request.account, key:lower() }, "\n")
end

-- A 5xx may be sent again with the same key, so it is not stored, nor is what refuses the
-- caller. An answer's own word (stored) counts more.
local never_stored = { [401] = true, [403] = true, [429] = true }

local function is_stored(answer)
  if answer.stored ~= nil then return answer.stored end
  return answer.status < 500 and not never_stored[answer.status]
end

-- Answers a request under its key: by work(request) the first time, from the store later.
function idempotency.answer(request, key, work)
  local name = place(request, key)
  local digest = ngx.md5(request.method .. "\n" .. request.path .. "\n" .. request.body)
  local text = keys:get(name)
  local known = text and cjson.decode(text)
  if known then
    if known.digest ~= digest then
      return reply.typed(400, "idempotency_error", "idempotency_mismatch",
        "x-idempotency-key was used before with another request")
    end
    return known.answer or reply.processing()
  end

  keys:set(name, cjson.encode { digest = digest }, longest)
  local ok, answer = pcall(work, request)
  if request.generation == store.generation() then
    if ok and is_stored(answer) then
      keys:set(name, cjson.encode { digest = digest, answer = answer }, day)
    else
      keys:delete(name)
    end
  end
  if not ok then error(answer, 0) end
  return answer
end

return idempotency
