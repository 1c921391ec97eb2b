-- Numbers of JSON become marked strings: every digit is kept as it was sent, an invalid
-- number, literal or string is an error, and no string can look like a number.

local cjson = require "cjson"
local engine = require "engine"
local random = require "spec.support.random"

local mark = "\255"
local show = random.show
local stringify = engine.stringify_numbers

local function quoted(number) return '"' .. mark .. number .. '"' end

-- ---------------------------------------------------------------------------------------
-- A slow oracle, after RFC 8259 and the syntax of UTF-8 in RFC 3629, section 4.

local sequences = {
  "^[\194-\223][\128-\191]", "^\224[\160-\191][\128-\191]",
  "^[\225-\236\238\239][\128-\191][\128-\191]", "^\237[\128-\159][\128-\191]",
  "^\240[\144-\191][\128-\191][\128-\191]",
  "^[\241-\243][\128-\191][\128-\191][\128-\191]",
  "^\244[\128-\143][\128-\191][\128-\191]",
}

-- The last byte of the character at that place; nil: malformed. The JSON library checks
-- the byte behind a backslash.
local function character(text, at)
  local byte = text:byte(at)
  if byte == 92 then return at + 1 end
  if byte < 32 then return nil, "control byte in a string" end
  if byte < 128 then return at end
  for _, sequence in ipairs(sequences) do
    local _, last = text:find(sequence, at)
    if last then return last end
  end
  return nil, "invalid UTF-8"
end

-- The last byte of the string at that place, or nil, why and where.
local function string_at(text, at)
  local here = at + 1
  while here <= #text and text:sub(here, here) ~= '"' do
    local last, why = character(text, here)
    if not last then return nil, why, here end
    here = last + 1
  end
  if here > #text then return nil, "unterminated string", at end
  return here
end

local function is_number(word)
  local int, rest = word:match "^-?(%d+)(.*)$"
  if not int or #int > 1 and int:sub(1, 1) == "0" then return false end
  rest = rest:gsub("^%.%d+", ""):gsub("^[eE][+-]?%d+", "")
  return rest == ""
end

-- What a bare word becomes, or nil and why.
local function word_out(word)
  if word:find "^[-%d]" then
    if is_number(word) then return quoted(word) end
    return nil, "malformed number"
  end
  if word == "null" or word == "true" or word == "false" then return word end
  return nil, "unknown literal"
end

-- One token from that place on: its last byte, its output, its class; or nil, why, where.
local function token(text, at)
  local c = text:sub(at, at)
  if c == '"' then
    local last, why, where = string_at(text, at)
    if not last then return nil, why, where end
    return last, text:sub(at, last), "string"
  end
  local _, last = text:find("^[A-Za-z0-9_.+-]+", at)
  if last then
    local out, why = word_out(text:sub(at, last))
    if not out then return nil, why, at end
    return last, out, "word"
  end
  if c:find "[][{}:,]" then return at, c, c end
  return nil, "unexpected byte", at
end

local function oracle(text, mend)
  local out, at, depth, members, before = {}, 1, 0, 0, nil
  while true do
    local blanks = text:match("^[ \t\r\n]*", at)
    out[#out + 1] = blanks
    at = at + #blanks
    if at > #text then return table.concat(out), members end
    local last, put, class = token(text, at)
    if not last then return nil, put, class end
    if class == "{" or class == "[" then depth = depth + 1 end
    if class == "}" or class == "]" then depth = depth - 1 end
    if depth > 32 then return nil, "nested too deeply", at end
    if class == ":" then
      if before ~= "string" then return nil, "a name must be a string", at end
      members = members + 1
    end
    if mend and class == "," and text:find("^[ \t\r\n]*[]}]", at + 1) then put = "" end
    out[#out + 1], before, at = put, class, last + 1
  end
end

local function check(text, mend)
  local out, members, at = engine.stringify_numbers(text, mend)
  local expected, expected_members, expected_at = oracle(text, mend)
  if out ~= expected or members ~= expected_members or at ~= expected_at then
    random.fail("%s%s\nbecame %s, %s at %s,\nnot %s, %s at %s", mend and "mended " or "",
      show(text), show(tostring(out)), members, tostring(at), show(tostring(expected)),
      expected_members, tostring(expected_at))
  end
end

-- ---------------------------------------------------------------------------------------
-- Random texts

local draw = random.generator()

local function pick(list) return random.pick(draw, list) end

local numbers = {
  function() return "0" end,
  function() return "-" .. draw(99) end,
  function() return draw(99999) .. "." .. random.digits(draw, draw(6)) end,
  function() return draw(9) .. random.digits(draw, draw(40)) end,
  function() return draw(9) .. "." .. random.digits(draw, 3) .. pick { "e", "E+", "e-" }
    .. draw(400) end,
}
local blanks = { "", "", "", " ", "\t", "\n", "\r\n", "  " }
local characters = {
  "a", "0", "-", ",", "}", "]", ":", "5.", '\\"', "\\\\", "\\n", "\\u00ff", "\127",
  "\195\164", "\226\130\172", "\240\159\146\176", "\239\187\191",
}

local function good_string()
  local parts = {}
  for i = 1, draw(5) - 1 do parts[i] = pick(characters) end
  return '"' .. table.concat(parts) .. '"'
end

-- A JSON value, the same with its numbers quoted, and the members in it.
local function value(depth)
  local kind = draw(depth > 4 and 3 or 5)
  if kind == 1 then
    local number = pick(numbers)()
    return number, quoted(number), 0
  elseif kind == 2 then
    local text = good_string()
    return text, text, 0
  elseif kind == 3 then
    local word = pick { "null", "true", "false" }
    return word, word, 0
  end
  local opening, closing = "[", "]"
  if kind == 5 then opening, closing = "{", "}" end
  local sent, put, members = { opening }, { opening }, 0
  for i = 1, draw(5) - 1 do
    local before = (i > 1 and "," or "") .. pick(blanks)
    if kind == 5 then
      before = before .. good_string() .. pick(blanks) .. ":" .. pick(blanks)
      members = members + 1
    end
    local item, item_put, item_members = value(depth + 1)
    local after = pick(blanks)
    sent[#sent + 1] = before .. item .. after
    put[#put + 1] = before .. item_put .. after
    members = members + item_members
  end
  return table.concat(sent) .. closing, table.concat(put) .. closing, members
end

local junk = {
  "{", "}", "[", "]", ":", ",", '"', " ", "\t", "\n", "\r", "\0", "\1", "\31", "\127",
  "\11", "\12", "/", "/*", "#", "'", "\\", "(", "=", "<", "nul", "null", "nullx", "True",
  "true", "false", "NaN", "nan", "-NaN", "Infinity", "-Infinity", "-inf", "undefined",
  "0x1F", "01", "-", "+1", "1.", ".5", "1e", "1e5", "-0", "12.50", "1.2.3", "1-2", "_",
  '"a"', '"', '"\\"', '"\1"', '"\195"', '"\195\164"', '"\237\160\128"', '"\192\128"',
  '"\240\128\128\128"', '"\244\144\128\128"', '"\255"', '"\2555"', "\255", "\128",
  "\239\187\191", "\194\160", "\226\128\168", '"\224\159\191"', '"\239\191\191"',
}

-- ---------------------------------------------------------------------------------------

local literals = {
  "0", "-0", "7", "-1", "0.0", "10000", "10000.00", "5000.25", "-0.01", "1e3", "1E+003",
  "0.10", "12345678901234567890.12", "9007199254740993", "1e400", "-1e-400",
  "0.1000000000000000055511151231257827021181583404541015625", ("9"):rep(5000),
  "3." .. ("14159"):rep(1000) .. "E-" .. ("0"):rep(1000) .. "1",
}

-- { text, why, at }
local refused = {
  numbers = {
    { "01", "malformed number", 1 }, { "-", "malformed number", 1 },
    { "[1.]", "malformed number", 2 }, { "[1,.5]", "unknown literal", 4 },
    { "+1", "unknown literal", 1 }, { "[1e]", "malformed number", 2 },
    { "0x10", "malformed number", 1 }, { "[-0x1]", "malformed number", 2 },
    { "1_000", "malformed number", 1 }, { "[1.5.5]", "malformed number", 2 },
    { "--1", "malformed number", 1 }, { "1+1", "malformed number", 1 },
    { "-NaN", "malformed number", 1 }, { "[-Infinity]", "malformed number", 2 },
    { "[-inf]", "malformed number", 2 }, { "1nan", "malformed number", 1 },
    { '{"a":00}', "malformed number", 6 }, { "1true", "malformed number", 1 },
    { "5\0", "unexpected byte", 2 }, { "1\194\1602", "unexpected byte", 2 },
    { "1'000", "unexpected byte", 2 }, { "12%", "unexpected byte", 3 },
  },
  literals = {
    { "NaN", "unknown literal", 1 }, { "nan", "unknown literal", 1 },
    { "Infinity", "unknown literal", 1 }, { "[inf]", "unknown literal", 2 },
    { "True", "unknown literal", 1 }, { "NULL", "unknown literal", 1 },
    { "nul", "unknown literal", 1 }, { "nulll", "unknown literal", 1 },
    { "true1", "unknown literal", 1 }, { "false.", "unknown literal", 1 },
    { "undefined", "unknown literal", 1 }, { "e5", "unknown literal", 1 },
    { "_", "unknown literal", 1 }, { "<html>", "unexpected byte", 1 },
    { "'a'", "unexpected byte", 1 }, { "// 1", "unexpected byte", 1 },
    { "[1,/* */2]", "unexpected byte", 4 }, { "\239\187\1911", "unexpected byte", 1 },
    { "\0", "unexpected byte", 1 }, { "[\11]", "unexpected byte", 2 },
    { "\\u0031", "unexpected byte", 1 }, { "\2551", "unexpected byte", 1 },
  },
  names = {
    { "{1:2}", "a name must be a string", 3 },
    { "{null:2}", "a name must be a string", 6 },
    { '{"a"::2}', "a name must be a string", 6 },
    { '{"a",:2}', "a name must be a string", 6 },
    { "{:2}", "a name must be a string", 2 }, { "{[]:2}", "a name must be a string", 4 },
    { ":", "a name must be a string", 1 }, { "{-1 \n: 2}", "a name must be a string", 6 },
  },
  strings = {
    { '"', "unterminated string", 1 }, { '["abc', "unterminated string", 2 },
    { '["a\\"]', "unterminated string", 2 }, { '["a\\', "unterminated string", 2 },
    { '"\\\\\\"', "unterminated string", 1 }, { '"a\nb"', "control byte in a string", 3 },
    { '"\0"', "control byte in a string", 2 }, { '"\31"', "control byte in a string", 2 },
    { '{"a\tb":1}', "control byte in a string", 4 },
    { '"\128"', "invalid UTF-8", 2 }, { '"a\195"', "invalid UTF-8", 3 },
    { '"\192\175"', "invalid UTF-8", 2 }, { '"\193\191"', "invalid UTF-8", 2 },
    { '"\224\159\191"', "invalid UTF-8", 2 }, { '"\237\160\128"', "invalid UTF-8", 2 },
    { '"\237\191\191"', "invalid UTF-8", 2 },
    { '"\240\143\191\191"', "invalid UTF-8", 2 },
    { '"\244\144\128\128"', "invalid UTF-8", 2 },
    { '"\245\128\128\128"', "invalid UTF-8", 2 },
    { '"\255"', "invalid UTF-8", 2 }, { '"\254"', "invalid UTF-8", 2 },
    { '"\226\130"', "invalid UTF-8", 2 }, { '"\240\159\146"', "invalid UTF-8", 2 },
    { '"\195', "invalid UTF-8", 2 }, { '"ok\228"', "invalid UTF-8", 4 },
    { '{"\2555":1}', "invalid UTF-8", 3 },
  },
}

describe("stringify_numbers", function()
  it("puts a mark and quotes around every number, all digits kept", function()
    for _, number in ipairs(literals) do
      for _, around in ipairs { "%s", "[%s]", '{"a":%s}', "[1, %s ,2]", ' %s\n' } do
        local text = around:format(number)
        local out = engine.stringify_numbers(text)
        assert.equal(around:gsub("%d", function(n) return quoted(n) end)
          :format((quoted(number))), out)
      end
      assert.same({ a = mark .. number },
        cjson.decode((stringify('{"a":' .. number .. "}"))))
    end
  end)

  it("changes nothing else", function()
    for _, text in ipairs {
      "", " ", "\t\r\n", "null", "true", "false", "[]", "{}", '""', '"1"', '"-1.5e3"',
      '["1,2",{"3":"4"}]', '"\\"1"', '"\\\\"', '"\\u0031"', '"\127"',
      '"\195\164\226\130\172"', '"\240\144\128\128\244\143\191\191"',
      '"\238\128\128\239\191\191"', "[,]", "}", "]]]", "{{[", "[null true]", '"a""b"',
      '"1"null',
    } do
      assert.equal(text, (stringify(text)), show(text))
    end
  end)

  for what, cases in pairs(refused) do
    it("rejects bad " .. what .. ", and says why and where", function()
      for _, case in ipairs(cases) do
        for _, mend in ipairs { false, true } do
          local out, why, at = engine.stringify_numbers(case[1], mend)
          assert.is_nil(out, show(case[1]))
          assert.equal(case[2], why, show(case[1]))
          assert.equal(case[3], at, show(case[1]))
        end
      end
    end)
  end

  it("rejects every control byte and no other ASCII byte in a string", function()
    for byte = 0, 127 do
      local c = string.char(byte)
      if c ~= '"' and c ~= "\\" then
        assert.equal(byte >= 32, stringify('"' .. c .. '"') ~= nil, show(c))
      end
    end
  end)

  it("accepts just four bytes as white space", function()
    for byte = 0, 255 do
      local c = string.char(byte)
      if not c:find "[A-Za-z0-9_.+-]" and not c:find '[][{}:,"]' then
        local out = engine.stringify_numbers("[1" .. c .. "]")
        local blank = c:find "[ \t\r\n]" ~= nil
        assert.equal(blank and "[" .. quoted "1" .. c .. "]" or nil, out, show(c))
      end
    end
  end)

  it("counts every name, repeated ones as well", function()
    for text, members in pairs {
      ["[]"] = 0, ['{"a":1}'] = 1, ['{"a":1,"a":2}'] = 2, ['{"a":{"a":{"b":null}}}'] = 3,
      ['[{"a":1},{"a":1}]'] = 2, ['{"a:b":":"}'] = 1, ['{"a" : 1 , "b"\n:\t"c"}'] = 2,
    } do
      assert.equal(members, select(2, stringify(text)), text)
    end
  end)

  it("accepts 32 levels and rejects the next", function()
    for _, brackets in ipairs { { "[", "]" }, { '{"a":', "}" }, { '[{"a":', "}]" } } do
      local per = #brackets[2]
      local levels = 32 / per
      local text = brackets[1]:rep(levels) .. "1" .. brackets[2]:rep(levels)
      assert.is_string(stringify(text))
      assert.is_table(cjson.decode((stringify(text))))
      local out, why, at = engine.stringify_numbers(brackets[1]:rep(levels + 1))
      assert.is_nil(out)
      assert.equal("nested too deeply", why)
      assert.equal(#brackets[1] * levels + 1, at)
    end
    assert.is_string(stringify("[" .. ("[],"):rep(10000) .. "1]"))
    assert.is_nil(stringify(("["):rep(1000000)))
  end)

  it("drops a comma before a closing bracket, if that is allowed", function()
    for text, mended in pairs {
      ['{"a":1,}'] = '{"a":' .. quoted "1" .. "}", ["[1,]"] = "[" .. quoted "1" .. "]",
      ['{"a":null , \r\n}'] = '{"a":null  \r\n}', ["[[null,],]"] = "[[null]]",
      ["[,]"] = "[]", ["{,}"] = "{}", ["[null,,]"] = "[null,]", ["[null,"] = "[null,",
      ['{"a":",}",}'] = '{"a":",}"}', ['["\\",]"]'] = '["\\",]"]',
      ["[null],"] = "[null],", ["[,\11]"] = false,
      ["[1,2]"] = "[" .. quoted "1" .. "," .. quoted "2" .. "]",
    } do
      assert.equal(mended or nil, (stringify(text, true)), show(text))
    end
  end)

  it("rejects such a comma otherwise", function()
    assert.equal("[" .. quoted "1" .. ",]", (stringify "[1,]"))
    assert.equal('{"a":null,}', (stringify '{"a":null,}'))
    assert.is_false(pcall(cjson.decode, (stringify "[1,]")))
  end)

  it("does not grow beyond its buffer's maximum", function()
    local text = "[1,22,333]"
    local whole = engine.stringify_numbers(text)
    assert.equal(whole, (stringify(text, false, #whole)))
    for max = 0, #whole - 1 do
      local out, why = engine.stringify_numbers(text, false, max)
      assert.is_nil(out)
      assert.equal("no memory", why)
    end
  end)

  it("needs at most three times the text", function()
    for _, text in ipairs { "1", "[1]", ("1 "):rep(500), ("[1"):rep(32) } do
      assert.is_string(stringify(text, false, 3 * #text + 3))
    end
  end)

  it("accepts long texts", function()
    local digits = ("1234567890"):rep(100000)
    assert.equal("[" .. quoted(digits) .. "]", (stringify("[" .. digits .. "]")))
    local out, members = stringify('{"a":"' .. ("\195\164"):rep(500000) .. '"}')
    assert.equal(1000008, #out)
    assert.equal(1, members)
    local list = engine.stringify_numbers("[" .. ("1,"):rep(200000) .. "1]")
    assert.equal(200001, #cjson.decode(list))
  end)
end)

describe("no string looks like a number", function()
  -- The first value in the array that the text decodes to; nil: it is rejected.
  local function decoded(text)
    local out = engine.stringify_numbers(text)
    if not out then return nil end
    local ok, list = pcall(cjson.decode, out)
    return ok and list[1] or nil
  end

  it("by its bytes, escaped or not", function()
    assert.equal(mark .. "5", decoded "[5]")
    for _, text in ipairs {
      "\255", "\2555", "\\\2555", "\\u00ff5", "\\u00FF5", "\\xff5", "\\ff5", "\195\1915",
      "\\377", "\\udfff5", "\\udbff\\udfff5", "\\uffff5", "\\u{ff}5", "\192\191\191",
      "\254\255", "\\\\\2555", "\\u\2555", "\\u00f\255",
    } do
      local found = decoded('["' .. text .. '"]')
      assert.is_false(found ~= nil and found:sub(1, 1) == mark, show(text))
    end
  end)

  it("by any byte behind a backslash", function()
    for byte = 0, 255 do
      local found = decoded('["\\' .. string.char(byte) .. '5"]')
      if found then
        assert.not_equal(mark, found:sub(1, 1), byte)
        assert.is_truthy(('"\\/bfnrt'):find(string.char(byte), 1, true), byte)
      end
    end
  end)

  it("by any escape of sixteen bits", function()
    for high = 0, 255 do
      if high < 0xd8 or high > 0xdf then
        local list = {}
        for low = 0, 255 do list[low + 1] = ('"\\u%02x%02X5"'):format(high, low) end
        local out = engine.stringify_numbers("[" .. table.concat(list, ",") .. "]")
        for _, found in ipairs(cjson.decode(out)) do
          assert(found:byte() ~= 255, found)
        end
      end
    end
    for unit = 0xd800, 0xdfff do
      local found = decoded(('["\\u%04x5"]'):format(unit))
      assert(not found or found:byte() ~= 255, unit)
    end
  end)
end)

describe("stringify_numbers, at random,", function()
  it("marks the numbers of a JSON text and nothing else", function()
    for _ = 1, 2000 do
      local text, expected, members = value(0)
      local out, counted = engine.stringify_numbers(text)
      if out ~= expected or counted ~= members then
        random.fail("%s\nbecame %s", show(text), show(tostring(out)))
      end
      if not pcall(cjson.decode, out) then random.fail("no JSON: %s", show(out)) end
    end
  end)

  it("agrees with a slow oracle on tokens without order", function()
    for _ = 1, 8000 do
      local parts = {}
      for i = 1, draw(10) do parts[i] = pick(junk) end
      local text = table.concat(parts)
      check(text, false)
      check(text, true)
    end
  end)

  it("agrees with a slow oracle on JSON with one byte changed", function()
    for _ = 1, 4000 do
      local text = value(0)
      local at = draw(#text)
      local change = draw(3)
      local byte = string.char(draw(256) - 1)
      text = text:sub(1, at - 1) .. (change == 1 and "" or byte)
        .. text:sub(change == 2 and at or at + 1)
      check(text, draw(2) == 1)
    end
  end)
end)
