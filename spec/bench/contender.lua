-- Shared by the Lua contenders: command line, marks (see meter.c), token and keys.
--
--   CONTENDER URL CA_FILE VERSION IN_FLIGHT MARK...      (see bare.c)
--
-- For Lua 5.1 to 5.4 and LuaJIT.

local contender = {
  url = arg[1],
  ca_file = arg[2],
  version = arg[3],
  in_flight = tonumber(arg[4]),
  total = tonumber(arg[#arg]),
  body = '{"currency":"USD"}',
}

local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
contender.token = digits:rep(10):sub(1, 600)

local next_mark = 5
local marks, answers
if os.getenv "BENCH_METER" then
  marks, answers = assert(io.open("/dev/fd/3", "w")), assert(io.open("/dev/fd/4", "r"))
end

-- So many answers have come.
function contender.pass(answered)
  while arg[next_mark] and answered >= tonumber(arg[next_mark]) do
    if marks then
      marks:write(arg[next_mark], "\n")
      marks:flush()
      answers:read(1)
    end
    next_mark = next_mark + 1
  end
end

-- A version 4 UUID of the system's randomness.
local random = assert(io.open("/dev/urandom", "rb"))
local form = "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x"
function contender.key()
  local b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15, b16 =
    random:read(16):byte(1, 16)
  return form:format(b1, b2, b3, b4, b5, b6, 64 + b7 % 16, b8, 128 + b9 % 64, b10, b11,
    b12, b13, b14, b15, b16)
end

-- Calls ask() once after another until all calls are made.
function contender.run(ask)
  contender.pass(0)
  for n = 1, contender.total do
    assert(ask().currency == "USD")
    contender.pass(n)
  end
end

return contender
