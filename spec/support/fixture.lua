-- What the specs of the client share: a client of the sandbox, and the shape of results.

local assert = require "luassert"
local sandbox = require "spec.support.sandbox"
local uqpay = require "uqpay"

local fixture = {}

-- Options of a client of the sandbox; changes replace some, `false` leaves one out.
-- Retries wait for a hundredth of a second: specs are many.
function fixture.options(changes)
  local options = {
    base_url = sandbox.url, ca_file = sandbox.ca_file, token = sandbox.token,
    retry_delay = 0.01, retry_delay_max = 0.02, timeout = 10,
  }
  for name, value in pairs(changes or {}) do
    if value == false then value = nil end
    options[name] = value
  end
  return options
end

function fixture.client(changes)
  return uqpay.new(fixture.options(changes))
end

local kinds = {}
for _, kind in ipairs(uqpay.kinds) do kinds[kind] = true end

-- Every field an error may have, and its type. The annotations are held against this.
fixture.error_fields = {
  kind = "string", message = "string", status = "number", type = "string",
  code = "string or number", missing_fields = "table", request_id = "string",
  retry_after = "number", retryable = "boolean", retry_stopped = "string",
  attempts = "number", idempotency_key = "string", on_behalf_of = "string",
  curl_code = "number", curl_name = "string", os_errno = "number",
  elapsed = "number", body = "string",
}

-- Takes the results of a call that must have failed in this way, checks their form, and
-- returns the error table.
function fixture.failed(kind, ...)
  assert.equal(3, select("#", ...), "results of a failed call")
  local value, message, err = ...
  assert.is_nil(value)
  assert.equal("string", type(message))
  assert.equal("table", type(err))
  assert.equal(kind, err.kind, message)
  assert.is_true(kinds[kind])
  assert.equal(message, err.message)
  assert.equal(message, tostring(err))
  for name, field in pairs(err) do
    local documented = fixture.error_fields[name]
    assert.is_truthy(documented, "undocumented error field " .. tostring(name))
    assert.is_truthy(documented:find(type(field), 1, true), name)
  end
  assert.is_nil(message:find("%c"), "control byte in: " .. message)
  for _, text in pairs(err) do
    if type(text) == "string" then
      assert.is_nil(text:find(sandbox.token:sub(1, 40), 1, true), "token in: " .. text)
    end
  end
  return err
end

-- Takes the results of a call that must have succeeded and returns the balance.
function fixture.succeeded(...)
  local balance, message = ...
  assert.equal(1, select("#", ...), tostring(message))
  assert.equal("table", type(balance))
  assert.is_nil(getmetatable(balance))
  return balance
end

return fixture
