-- Asks the sandbox by the curl command, so that no line of the client under test is
-- needed to believe the server it is tested against.

local assert = require "luassert"
local cjson = require "cjson"
local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

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

-- The words for one request.
local function words_of(options)
  local words = {
    "-s", "-i", "--noproxy", "*", "--max-time", options.time or 60,
    "--cacert", options.ca or sandbox.ca_file,
    "-w", "\n%{exitcode} %{http_version} is all\n", "-X", options.method or "POST",
  }
  for name, value in pairs(headers(options.method, options.headers)) do
    words[#words + 1] = "-H"
    -- curl's way to write an empty header ends in a semicolon
    words[#words + 1] = value == "" and name .. ";" or name .. ": " .. (value or "")
  end
  if options.method ~= "GET" then
    words[#words + 1] = "--data-binary"
    words[#words + 1] = options.body or '{"currency":"USD"}'
  end
  for _, word in ipairs(options) do words[#words + 1] = word end
  words[#words + 1] = (options.url or sandbox.url)
    .. (options.path or "/v1/issuing/balances")
  return words
end

-- A curl command line: of a good request for a balance, if the options do not change it.
-- options: url, path, ca, headers, body, method, time, and further arguments.
function curl.command(options)
  return driver.command("curl", "-q", unpack(words_of(options or {})))
end

-- The parsed output of such a command: exit, version, status, headers, body, and json,
-- which is empty if the body is no JSON table.
function curl.parse(output)
  local text, exit, version = output:match "^(.*)\n(%d+) ([%d.]+) is all\n$"
  assert.is_truthy(text, output)
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
  return curl.parse(driver.output(curl.command(options)))
end

-- A command line of one curl for several requests, in this order.
function curl.command_all(list)
  local command = { "curl", "-q" }
  for n, options in ipairs(list) do
    if n > 1 then command[#command + 1] = "--next" end
    for _, word in ipairs(words_of(options)) do command[#command + 1] = word end
  end
  return driver.command(unpack(command))
end

-- The parsed output of such a command, as a list.
function curl.parse_all(output)
  local answers = {}
  for one in output:gmatch "(.-\n%d+ [%d.]+ is all\n)" do
    answers[#answers + 1] = curl.parse(one)
  end
  return answers
end

-- The answers to several requests, made by one curl: it takes longer to start than to
-- ask.
function curl.ask_all(list)
  local output = driver.output(curl.command_all(list))
  local answers = curl.parse_all(output)
  assert.equal(#list, #answers, output)
  return answers
end

return curl
