-- The ways of a server to misbehave below HTTP: those that end by themselves.

local fixture = require "spec.support.fixture"
local libcurl = require "spec.support.libcurl"

local body, http = fixture.body, fixture.http

local behaviours = {}

local function chunk(text) return ("%x\r\n%s\r\n"):format(#text, text) end

local chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

behaviours.chunk, behaviours.chunked = chunk, chunked

-- Faults of a server on its first connection, and the expected outcome: a kind of
-- error ("|" between several), or "ok" and 1 as the balance. The next call gets 2.
behaviours.list = {
  { "close at once", "connect", { close = true } },
  { "reset at once", "connect", { reset = true } },
  { "half-close at once", "connect", { half_close = true } },
  { "close after the request", "connect", { read = true } },
  { "reset after the request", "connect", { read = true, reset = true } },
  { "half-close after the request", "connect", { read = true, half_close = true } },
  { "close after half the request", "connect", { read = 40, close = true } },
  { "a line end and no more", "protocol|connect", { read = true, send = "\r\n" } },
  { "another protocol", "protocol", { read = true, send = "SSH-2.0-OpenSSH_9\r\n" } },
  { "binary", "protocol", { read = true, send = "\0\1\2\255\254\r\n\r\n" } },
  { "a body without a head", "protocol", { read = true, send = body(99) } },
  { "half a status line", "protocol|connect", { read = true, send = "HTTP/1.1 20" } },
  { "half a head", "connect", { read = true, send = http(body(99)):sub(1, 30) } },
  { "a head without its end", "connect", { read = true,
    send = http(body(99)):match "^.-\r\n\r\n":sub(1, -3) } },
  { "half a head, then reset", "connect",
    { read = true, send = http(body(99)):sub(1, 30), reset = true } },
  { "a head and no body", "connect", { read = true,
    send = http(body(99)):match "^.-\r\n\r\n" } },
  { "a head, then reset", "connect", { read = true, reset = true,
    send = http(body(99)):match "^.-\r\n\r\n" } },
  { "an empty body", "decode", { read = true, send = http "" } },
  { "half a body", "connect", { read = true, send = http(body(99)):sub(1, -20) } },
  { "half a body, then reset", "connect",
    { read = true, send = http(body(99)):sub(1, -20), reset = true } },
  { "half a body, then half-close", "connect",
    { read = true, send = http(body(99)):sub(1, -20), half_close = true } },
  { "a chunk cut", "connect", { read = true, send = chunked .. "fff\r\n" .. body(99) } },
  { "chunks without an end", "connect",
    { read = true, send = chunked .. chunk(body(99)) } },
  { "a chunk size that is none", "connect",
    { read = true, send = chunked .. "zz\r\n" .. body(99) .. "\r\n0\r\n\r\n" } },
  { "a chunk size beyond all machines", "connect",
    { read = true, send = chunked .. ("f"):rep(40) .. "\r\n" .. body(99) } },
  { "a negative length", "protocol", { read = true,
    send = "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" .. body(99) } },
  { "a NUL in a header", "protocol", { read = true,
    send = http(body(99), nil, "x: a\0b\r\n") } },
  -- libcurl before 8.0 refuses a line of an odd version, later ones read status 200
  { "HTTP/3.7", libcurl.at_least(8) and "ok" or "protocol", { read = true,
    send = (http(body(1)):gsub("1%.1", "3.7", 1)) } },
  { "status 099", "protocol", { read = true, send = http(body(99), "099 OK") } },
  { "status 101", "protocol|connect",
    { read = true, send = "HTTP/1.1 101 Switching\r\n\r\n" .. http(body(99)) } },
  { "status 204 and a body", "protocol", { read = true,
    send = http(body(99), "204 None") } },
  { "status 206", "protocol", { read = true, send = http(body(99), "206 Part") } },
  { "status 304 and a body", "protocol", { read = true,
    send = http(body(99), "304 Same") } },
  { "compressed bytes nobody asked for", "decode", { read = true,
    send = http("\31\139\8\0\0\0\0\0", nil, "Content-Encoding: gzip\r\n") } },
  { "100-continue", "ok", { read = true,
    send = "HTTP/1.1 100 Continue\r\n\r\n" .. http(body(1)) } },
  { "three informational answers", "ok", { read = true, pause = 0.002, send = {
    "HTTP/1.1 102 Processing\r\n\r\n", "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n", http(body(1)) } } },
  { "chunks, and trailers", "ok", { read = true, send = chunked
    .. chunk(body(1):sub(1, 9)) .. chunk(body(1):sub(10))
    .. "0\r\nx-trailer: y\r\nContent-Length: 3\r\n\r\n" } },
  { "trailers that are none", "protocol|connect", { read = true,
    send = chunked .. chunk(body(99)) .. "0\r\nHTTP/1.1 500 No\r\n\r\n" } },
  { "byte by byte", "ok", { read = true, send = http(body(1)), chunk = 1,
    pause = 0.0001 } },
  { "no reason phrase", "ok", { read = true, send = http(body(1), "200") } },
  { "lines without CR", "ok", { read = true,
    send = (http(body(1)):gsub("\r\n", "\n")) } },
  { "HTTP/1.0", "ok", { read = true, send = (http(body(1)):gsub("1%.1", "1.0", 1)) } },
  { "no length, to the end", "ok", { read = true,
    send = "HTTP/1.1 200 OK\r\n\r\n" .. body(1) } },
  { "no length, to the half-close", "ok", { read = true, half_close = true,
    send = "HTTP/1.1 200 OK\r\n\r\n" .. body(1) } },
  { "a body longer than its length", "ok", { read = true, keep = true,
    send = http(body(1)) .. body(99) } },
  { "two answers at once", "ok", {
    { read = true, send = http(body(1)) .. http(body(99)) },
    { read = true, send = http(body(98)), keep = true } } },
  { "an answer before the request", "ok", { { send = http(body(1)) }, { read = true } } },
  { "an answer kept, then reset", "ok",
    { { read = true, send = http(body(1)) }, { read = true, reset = true } } },
}

return behaviours
