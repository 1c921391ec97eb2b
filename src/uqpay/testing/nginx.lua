-- nginx.lua: the sandbox server within nginx, one process (master_process off): the state
-- is in Lua. The file that the environment variable UQPAY_SANDBOX_SEED names is read at
-- the start.
-- SPDX-License-Identifier: MIT

local api = require "uqpay.testing.server.api"
local control = require "uqpay.testing.server.control"
local journal = require "uqpay.testing.server.journal"
local json = require "uqpay.testing.server.json"
local seed = require "uqpay.testing.server.seed"
local world = require "uqpay.testing.server.world"

local nginx = {}

local server     -- the world

-- init_by_lua
function nginx.start()
  local path = os.getenv "UQPAY_SANDBOX_SEED"
  local read, wrong
  if path and path ~= "" then
    read, wrong = seed.read_file(path)
  else
    read, wrong = seed.read()
  end
  if not read then error("seed: " .. wrong, 0) end
  server = world.new({ clock = ngx.now, sleep = ngx.sleep }, read)
end

-- The exact header block exists on HTTP/1 only.
local function raw_headers(version)
  return version < 2 and ngx.req.raw_header() or nil
end

local function incoming()
  ngx.req.read_body()
  local version, var = ngx.req.http_version(), ngx.var
  return {
    method = ngx.req.get_method(),
    path = var.request_uri:match "^[^?]*",
    query = var.args,
    headers = ngx.req.get_headers(0),
    body = ngx.req.get_body_data() or "",
    about = {
      http = version == 2 and "2" or ("%.1f"):format(version),
      raw_headers = raw_headers(version),
      server = var.place,
      connection = tonumber(var.connection),
      connection_requests = tonumber(var.connection_requests),
      tls = var.ssl_protocol,
      tls_cipher = var.ssl_cipher,
      tls_resumed = var.ssl_session_reused == "r" or nil,
    },
  }
end

local function send_head(answer)
  ngx.status = answer.status
  for name, value in pairs(answer.headers) do ngx.header[name] = value end
end

-- Ends the connection without an answer; on HTTP/2, resets the stream only.
local function close()
  return ngx.exit(444)
end

local wires = { close = close }

function wires.cut(answer)
  send_head(answer)
  ngx.header["content-length"] = #answer.body
  ngx.print(answer.body:sub(1, answer.wire.bytes))
  ngx.flush(true)
  return ngx.exit(ngx.ERROR)
end

function wires.huge(answer)
  local left = answer.wire.bytes - #answer.body
  send_head(answer)
  if answer.wire.content_length then
    ngx.header["content-length"] = left + #answer.body
  end
  local blanks = (" "):rep(16384)
  while left > 0 do
    if not ngx.print(left < #blanks and blanks:sub(1, left) or blanks)
      or not ngx.flush(true) then return ngx.exit(ngx.ERROR) end
    left = left - #blanks
  end
  ngx.print(answer.body)
end

-- HTTP/2 has no place for bytes that are not HTTP: there the stream is reset.
function wires.garbage(answer)
  if ngx.req.http_version() == 2 then return close() end
  local socket = assert(ngx.req.socket(true))
  socket:send(answer.wire.body)
  return close()
end

local function send(answer)
  send_head(answer)
  ngx.header["content-length"] = #answer.body
  if answer.body ~= "" then ngx.print(answer.body) end
  return ngx.eof()
end
wires.huge_headers = send

-- content_by_lua of the API's locations.
function nginx.serve()
  -- $other_port is a variable of a request
  server.other_host = "https://127.0.0.1:" .. ngx.var.other_port
  local answer = api.answer(server, incoming())
  local act = answer.wire and wires[answer.wire.kind] or send
  return act(answer)
end

-- The order of a control request: its arguments, or its body.
local function order()
  if ngx.req.get_method() ~= "POST" then return ngx.req.get_uri_args() end
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if not body then return {} end
  return (json.decode(body))
end

-- content_by_lua of the control address.
function nginx.control()
  local method, path = ngx.req.get_method(), ngx.var.uri
  local text
  if method == "GET" and path == "/env" then
    ngx.header["content-type"] = "text/plain"
    text = ("pid=%d\n%s"):format(ngx.worker.pid(), server:facts())
  else
    local value, status, wrong = control.run(server, method, path, order())
    ngx.status = status
    ngx.header["content-type"] = "application/json"
    text = json.encode_fast(value or { error = wrong })
  end
  ngx.header["content-length"] = #text + 1
  return ngx.say(text)
end

-- ssl_certificate_by_lua of the other host.
function nginx.other_connected()
  journal.other_connected(server)
end

-- content_by_lua of the other host.
function nginx.other_asked()
  ngx.say(journal.other_asked(server, incoming()))
end

return nginx
