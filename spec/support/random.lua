-- Random numbers that a seed fully determines, the same ones on every Lua. Each run
-- draws a new seed, which its failures print; UQPAY_SEED=<seed> repeats the run.

local random = {}

random.seed = tonumber(os.getenv "UQPAY_SEED") or os.time() % 100000000

local limit = 2147483647

-- A generator: generator(n) gives a whole number from 1 to n. seed: random.seed if it is
-- not given.
function random.generator(seed)
  local state = (seed or random.seed) % (limit - 1) + 1
  return function(n)
    state = state * 16807 % limit
    return math.floor(state / limit * n) + 1
  end
end

-- n digits.
function random.digits(generator, n)
  local digits = {}
  for i = 1, n do digits[i] = generator(10) - 1 end
  return table.concat(digits)
end

function random.pick(generator, list)
  return list[generator(#list)]
end

-- Bytes as a reader can take them.
function random.show(bytes)
  return (bytes:gsub("[%c\127-\255]", function(c) return ("\\%03d"):format(c:byte()) end))
end

-- Fails with the seed.
function random.fail(text, ...)
  error(("seed %d: "):format(random.seed) .. text:format(...), 0)
end

return random
