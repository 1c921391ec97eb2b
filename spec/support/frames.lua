-- Frames of HTTP/2, as a server sends them: for servers that get them wrong.

local frames = {}

local function number(value, bytes)
  local text = ""
  for _ = 1, bytes do
    text = string.char(value % 256) .. text
    value = math.floor(value / 256)
  end
  return text
end

frames.END_STREAM, frames.END_HEADERS = 1, 4

function frames.frame(kind, flags, stream, payload)
  return number(#payload, 3) .. string.char(kind, flags) .. number(stream, 4) .. payload
end

local frame = frames.frame

function frames.data(text, flags, stream)
  return frame(0, flags or frames.END_STREAM, stream or 1, text)
end

-- A header, literally: no table, no Huffman.
local function line(name, value)
  assert(#name < 127 and #value < 127)
  return "\0" .. string.char(#name) .. name .. string.char(#value) .. value
end

-- list: { name, value, ... }
function frames.block(list)
  local text = ""
  for n = 1, #list, 2 do text = text .. line(list[n], list[n + 1]) end
  return text
end

function frames.headers(list, flags, stream)
  return frame(1, flags or frames.END_HEADERS, stream or 1, frames.block(list))
end

function frames.reset(code, stream)
  return frame(3, 0, stream or 1, number(code, 4))
end

-- values: { [number of the setting] = value }
function frames.settings(values)
  local text = ""
  for id, value in pairs(values or {}) do
    text = text .. number(id, 2) .. number(value, 4)
  end
  return frame(4, 0, 0, text)
end

frames.ack = frame(4, 1, 0, "")
frames.ping = frame(6, 0, 0, "12345678")

function frames.goaway(last, code)
  return frame(7, 0, 0, number(last, 4) .. number(code or 0, 4))
end

function frames.window(more, stream)
  return frame(8, 0, stream or 0, number(more, 4))
end

-- How many requests a client has sent, by the bytes that came from it.
function frames.count_requests(text)
  local at, count = 25, 0       -- after the preface
  while #text >= at + 8 do
    local a, b, c, kind = text:byte(at, at + 3)
    if kind == 1 then count = count + 1 end
    at = at + 9 + a * 65536 + b * 256 + c
  end
  return count
end

-- The first frames of a server, and a whole answer.
frames.hello = frames.settings() .. frames.ack

function frames.answer(body, status, stream)
  return frames.headers({ ":status", tostring(status or 200),
    "content-length", tostring(#body) }, nil, stream) .. frames.data(body, nil, stream)
end

return frames
