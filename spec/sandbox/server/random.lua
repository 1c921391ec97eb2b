-- Unpredictable bytes, for secrets; and bytes that are the same at every start,
-- for fixtures.

local random = {}

local function base64url(bytes)
  return (ngx.encode_base64(bytes, true):gsub("[+/]", { ["+"] = "-", ["/"] = "_" }))
end
random.base64url = base64url

-- Text of so many characters, in which no other has been before.
function random.secret(length)
  local urandom = assert(io.open("/dev/urandom", "rb"))
  local bytes = urandom:read(math.ceil(length * 3 / 4))
  urandom:close()
  return base64url(bytes):sub(1, length)
end

-- The same name has the same UUID at every start.
function random.uuid(name)
  local hex = ngx.md5(name)
  return ("%s-%s-4%s-8%s-%s"):format(hex:sub(1, 8), hex:sub(9, 12), hex:sub(14, 16),
    hex:sub(18, 20), hex:sub(21))
end

-- A function that draws from 0 to n - 1, the same row for the same name.
function random.row(name)
  local state = tonumber(ngx.md5(name):sub(1, 7), 16) + 1
  return function(n)
    state = state * 16807 % 2147483647    -- exact in a double
    return math.floor(state / 2147483647 * n)
  end
end

return random
