-- Asks the sandbox by the curl command, so that no line of the client under test is
-- needed to believe the server it is tested against.

local cjson = require "cjson"
local driver = require "spec.support.driver"
local sandbox = require "spec.support.sandbox"

local unpack = table.unpack or unpack

local curl = {}

local keys = 0
function curl.new_key()
  keys = keys + 1
  return ("%08x-0000-4000-8000-%012x"):format(os.time() % 0x7fffffff, keys)
end

-- The headers of a good request; changes replace some, false leaves one out.
local function headers(method, changes)
  local all = { ["x-auth-token"] = "Bearer " .. sandbox.token }
  if method ~= "GET" then
    all["content-type"] = "application/json"
    all["x-idempotency-key"] = curl.new_key()
  end
  for name, value in pairs(changes or {}) do all[name] = value end
  return all
end

-- A curl command line: of a good request for a balance, if the options do not change it.
-- options: url, path, ca, headers, body, method, time, and further arguments.
function curl.command(options)
  local method = options.method or "POST"
  local words = {
    "curl", "-q", "-s", "-i", "--noproxy", "*", "--max-time", options.time or 10,
    "--cacert", options.ca or sandbox.ca_file, "-w", "\n%{exitcode} %{http_version}",
    "-X", method,
  }
  for name, value in pairs(headers(method, options.headers)) do
    words[#words + 1] = "-H"
    -- curl's way to write an empty header ends in a semicolon, to leave one out in a
    -- colon
    words[#words + 1] = value == "" and name .. ";" or name .. ": " .. (value or "")
  end
  if method ~= "GET" then
    words[#words + 1] = "--data-binary"
    words[#words + 1] = options.body or '{"currency":"USD"}'
  end
  for _, word in ipairs(options) do words[#words + 1] = word end
  words[#words + 1] = (options.url or sandbox.url)
    .. (options.path or "/v1/issuing/balances")
  return driver.command(unpack(words))
end

-- What such a command printed: exit, version, status, headers, body, and json, which is
-- empty if the body is no JSON table.
function curl.parse(output)
  local text, exit, version = output:match "^(.*)\n(%d+) ([%d.]+)$"
  assert(text, output)
  local answer = { exit = tonumber(exit), version = version, headers = {}, body = text }
  local head, body = text:match "^(HTTP/.-\r\n)\r\n(.*)$"
  if head then
    answer.status, answer.body = tonumber(head:match "^HTTP/%S+ (%d+)"), body
    for name, value in head:gmatch "([^\r\n:]+): ?([^\r\n]*)" do
      answer.headers[name:lower()] = value
    end
  end
  local ok, value = pcall(cjson.decode, answer.body)
  answer.json = ok and type(value) == "table" and value or {}
  return answer
end

function curl.ask(options)
  return curl.parse(driver.output(curl.command(options or {})))
end

return curl
