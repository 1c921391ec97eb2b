-- testing.lua: for tests of programs that use uqpay: see README.md, "Testing".
-- SPDX-License-Identifier: MIT

local endpoints = require "uqpay.testing.server.endpoints"
local internal = require "uqpay.internal"
local misuse = require "uqpay.testing.server.misuse"
local new_sandbox = require "uqpay.testing.sandbox"
local uqpay = require "uqpay"

local testing = {}

-- A sandbox within the process.
function testing.sandbox(seed)
  local ok, sandbox = misuse.caught(new_sandbox, seed)
  if not ok then error("sandbox: " .. sandbox, 2) end
  return sandbox
end

-- A client of a new sandbox with these balances, and the sandbox.
function testing.client(balances, options)
  if balances == nil then balances = {} end
  local ok, sandbox = misuse.caught(new_sandbox, { balances = balances })
  if not ok then error("client: " .. sandbox, 2) end
  local all
  ok, all = pcall(sandbox.options, sandbox, options)
  if not ok then error(all, 2) end
  local client = internal.call(uqpay.new, all)
  return client, sandbox
end

-- Kinds that are retried.
local retryable = {
  rate_limit = true, api = true, connect = true, dns = true, timeout = true,
}

-- HTTP statuses of the kinds that stand for one.
local statuses = {
  invalid_request = 400, auth = 401, permission = 403, not_found = 404, conflict = 409,
  idempotency = 400, rate_limit = 429, api = 500, decode = 200, schema = 200,
}

local kinds = {}
for _, kind in ipairs(uqpay.kinds) do kinds[kind] = true end

-- What a field of an error may be; README.md, "Errors", says what they mean.
local types = {
  message = "string", endpoint = "string", attempts = "number", elapsed = "number",
  retryable = "boolean", retry_stopped = "string", status = "number", type = "string",
  code = "string or number", missing_fields = "table", request_id = "string",
  retry_after = "number", idempotency_key = "string", on_behalf_of = "string",
  body = "string", curl_code = "number", curl_name = "string", os_errno = "number",
}

local function check_fields(fields)
  if type(fields) ~= "table" then
    misuse.fail("a table of fields expected, got a %s", type(fields))
  end
  for name, value in pairs(fields) do
    if not types[name] then
      misuse.fail("unknown field: %s", tostring(name))
    elseif not types[name]:find(type(value), 1, true) then
      misuse.fail("%s must be a %s, got a %s", name, types[name], type(value))
    end
  end
  if fields.endpoint and not endpoints[fields.endpoint] then
    misuse.fail("unknown endpoint: %s", fields.endpoint)
  end
end

-- Why there was no further attempt, if a test does not say.
local function reason(err)
  if err.kind == "canceled" then return "canceled" end
  return err.retryable and "max_retries" or "not_retryable"
end

local function new_error(kind, fields)
  if not kinds[kind] then misuse.fail("unknown kind: %s", tostring(kind)) end
  if fields == nil then fields = {} end
  check_fields(fields)
  local err = internal.error(kind, fields.message or "made by a test: " .. kind)
  err.endpoint, err.attempts, err.elapsed = "balance", 1, 0.0
  err.retryable, err.status = retryable[kind] or false, statuses[kind]
  for name, value in pairs(fields) do err[name] = value end
  err.retry_after = err.retry_after and err.retry_after + 0.0
  err.retry_stopped = err.retry_stopped or reason(err)
  return err
end

-- An error as a call returns it, with its message.
function testing.error(kind, fields)
  local ok, err = misuse.caught(new_error, kind, fields)
  if not ok then error("error: " .. err, 2) end
  return err
end

return testing
