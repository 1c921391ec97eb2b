-- random.lua: fixtures and secrets. A fixture is made from its name by arithmetic that is
-- exact in doubles, so that it is the same at every start and on every Lua.
-- SPDX-License-Identifier: MIT

local base64 = require "uqpay.testing.server.base64"

local random = {}

local prime = 268435399     -- below 2^28: products with 25 bits are exact
local lanes = { 16777619, 19088743, 22801763, 27644437 }

local function lane_hash(text, factor)
  local hash = factor
  for n = 1, #text do hash = (hash + text:byte(n)) * factor % prime end
  for _ = 1, 4 do hash = (hash + 1) * (hash % 33554393 + 2) % prime end
  return hash
end

-- 28 hexadecimal digits that stand for a text. It is no cryptographic hash.
local function digest(text)
  local parts = {}
  for n, factor in ipairs(lanes) do
    parts[n] = ("%07x"):format(lane_hash(text, factor))
  end
  return table.concat(parts)
end

-- The same name has the same UUID at every start.
function random.uuid(name)
  local hex = digest(name) .. digest(name .. "\n")
  return ("%s-%s-4%s-8%s-%s"):format(hex:sub(1, 8), hex:sub(9, 12), hex:sub(13, 15),
    hex:sub(16, 18), hex:sub(19, 30))
end

-- A generator: draw(n) returns whole numbers from 0 to n - 1, the same ones for the same
-- name.
function random.generator(name)
  local state = lane_hash(name, lanes[1]) + 1
  return function(n)
    state = state * 16807 % 2147483647    -- exact in a double
    return math.floor(state / 2147483647 * n)
  end
end

-- So many bytes of a generator.
local function bytes_of(draw, count)
  local bytes = {}
  for n = 1, count do bytes[n] = string.char(draw(256)) end
  return table.concat(bytes)
end

-- A function that returns so many unpredictable bytes. They are read in blocks; without
-- /dev/urandom they are made from the time and an address.
function random.source()
  local left, draw = "", nil
  return function(count)
    if #left < count then
      local urandom = io.open("/dev/urandom", "rb")
      draw = draw or random.generator(tostring {} .. os.time() .. os.clock())
      local size = count + 4096
      left = urandom and urandom:read(size) or bytes_of(draw, size)
      if urandom then urandom:close() end
    end
    local bytes = left:sub(1, count)
    left = left:sub(count + 1)
    return bytes
  end
end

-- Bytes of a world: of its source, or of a generator if the setting seed names one.
local function bytes(world, count)
  local state = world.state
  local seed = state and state.settings.seed or ""
  if seed == "" then return world.random(count) end
  if state.drawn_from ~= seed then
    state.draw, state.drawn_from = random.generator(seed), seed
  end
  return bytes_of(state.draw, count)
end

-- Text of so many characters.
function random.secret(world, length)
  return base64.url(bytes(world, math.ceil(length * 3 / 4))):sub(1, length)
end

-- 32 hexadecimal digits.
function random.request_id(world)
  return (bytes(world, 16):gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

return random
