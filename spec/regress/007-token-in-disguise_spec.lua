-- A token was looked for byte by byte. Escaped, broken by blanks or cut off at the end of
-- err.body it went through, and after a renewal so did the one that was refused.

local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

local token = "abcdefghijklmno/pqrstuvwxyzABCD/EFGHIJKLMNOPQRS+TUVWXYZ01234567+89=="

local function each(format)
  return function(text)
    return (text:gsub(".", function(c) return format:format(c:byte()) end))
  end
end

-- How a token may be written within a JSON string.
local disguises = {
  plain = function(text) return text end,
  ["with \\/"] = function(text) return (text:gsub("/", "\\/")) end,
  ["with \\u002f"] = function(text) return (text:gsub("/", "\\u002F")) end,
  ["with \\u0061 throughout"] = each "\\u%04x",
  ["with %2F"] = function(text)
    return (text:gsub("[/+=]", function(c) return ("%%%02x"):format(c:byte()) end))
  end,
  ["with %61 throughout"] = each "%%%02X",
  ["broken by line ends"] = function(text) return (text:gsub(("."):rep(15), "%0\\n")) end,
  ["broken by blanks"] = function(text) return (text:gsub(("."):rep(10), "%0 ")) end,
  ["broken by \\u000a"] = function(text)
    return (text:gsub(("."):rep(15), "%0\\u000a"))
  end,
  ["broken by %20"] = function(text) return (text:gsub(("."):rep(15), "%0%%20")) end,
  ["broken by real line ends"] = function(text)
    return (text:gsub(("."):rep(10), "%0\r\n\t"))
  end,
}

-- The text as a reader would undo it.
local function undone(text)
  local function char(hex)
    local byte = tonumber(hex, 16)
    return byte < 256 and string.char(byte) or ""
  end
  text = text:gsub("\\u(%x%x%x%x)", char):gsub("%%(%x%x)", char)
  return (text:gsub("\\[nrt]", ""):gsub("[%s\\]", ""))
end

-- No 16 characters of the secret that stand together, in no text of the table.
local function check(list, secret, name)
  for field, value in pairs(list) do
    if type(value) == "table" then
      check(value, secret, name)
    elseif type(value) == "string" then
      local text = undone(value)
      for at = 1, #secret - 15 do
        if text:find(secret:sub(at, at + 15), 1, true) then
          error(name .. ", " .. field .. ": " .. value, 0)
        end
      end
    end
  end
end

describe("a token", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  -- Makes the call, with the token, that gets this answer; checks the whole error.
  local function ask(order, name, secret)
    local told = {}
    local function note(info) told[#told + 1] = info end
    local client = fixture.client { base_url = sandbox.http_url, ca_file = false,
      token = token, max_retries = 0, on_response = note, on_retry = note }
    sandbox.fault(order)
    local balance, message, err = client:balance "USD"
    assert.is_nil(balance)
    assert.equal(1, #told)
    check({ message, err, told }, secret or token, name)
    return err
  end

  for name, disguise in pairs(disguises) do
    it("is in no field of an error, written " .. name, function()
      local shown = disguise(token)
      local text = ('{"message":"bad @","type":"@","code":"@","missing_fields":["@"]}')
        :gsub("@", function() return shown end)
      local order = { kind = "answer", status = 400, body = text }
      if not shown:find "%c" then
        order.headers = { ["x-request-id"] = shown:gsub("\\n", "") }
      end
      local err = ask(order, name)
      assert.matches("[redacted]", err.body, 1, true)
      ask({ kind = "answer", status = 502, body = "<p>" .. shown .. "</p>" }, name)
      ask({ kind = "answer", status = 200, body = '{"message":"' .. shown .. '"}' }, name)
      ask({ kind = "answer", status = 200, body = '{"balance_id":"' .. shown }, name)
    end)

    it("is not in the place a redirect leads to, written " .. name, function()
      local place = "https://h.invalid/" .. disguise(token):gsub("%c", "")
      local err = ask({ kind = "redirect", location = place }, name)
      assert.matches("https://h.invalid/", err.message, 1, true)
    end)
  end

  it("is not in half at the end of err.body, wherever it is cut", function()
    for _, name in ipairs { "plain", "with \\u0061 throughout" } do
      local shown = disguises[name](token)
      for before = 2048 - #shown - 6, 2055, math.ceil(#shown / 20) do
        local err = ask({ kind = "answer", status = 400,
          body = ("x"):rep(before) .. shown .. ("y"):rep(9000) }, name .. " " .. before)
        assert.is_true(#err.body <= 2048 and #err.body >= 1600, #err.body)
      end
    end
  end)

  it("that was refused is kept secret when its successor is in use", function()
    local old = "OLD-" .. ("qwertzuiopasdfgh"):rep(3)
    local new = "NEW-" .. ("yxcvbnmlkjhgfdsa"):rep(3)
    local told = {}
    local client = fixture.client { max_retries = 0,
      on_response = function(info) told[#told + 1] = info end,
      token = function(reason) return reason == "rejected" and new or old end }
    for _, shown in ipairs { old, old:gsub(".", "%0 "), new } do
      sandbox.fault { kind = "answer", status = 401, body = '{"message":"expired"}' }
      sandbox.fault { kind = "answer", status = 400,
        body = '{"message":"' .. shown .. ' was used before"}' }
      local err = fixture.failed("invalid_request", client:balance "USD")
      assert.matches("was used before", err.message, 1, true)
      for _, secret in ipairs { old, new } do check({ err, told }, secret, shown) end
    end
  end)
end)
