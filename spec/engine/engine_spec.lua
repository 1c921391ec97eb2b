-- The leaves of the engine one by one: keys, buffers, addresses, received headers.

local engine = require "engine"
local random = require "spec.support.random"
local uqpay = require "uqpay"

describe("a fresh UUID", function()
  local drawn = {}

  setup(function()
    for i = 1, 3000 do drawn[i] = engine.uuid() end
  end)

  it("is lower-case, of version 4 and of the standard's variant", function()
    local hex = "%x%x%x%x"
    local form = "^" .. hex .. hex .. "%-" .. hex .. "%-4%x%x%x%-[89ab]%x%x%x%-" .. hex
      .. hex .. hex .. "$"
    for _, text in ipairs(drawn) do
      assert.matches(form, text)
      assert.equal(text:lower(), text)
      assert.is_true(engine.uuid_valid(text))
    end
  end)

  it("comes once", function()
    local seen = {}
    for _, text in ipairs(drawn) do
      assert.is_nil(seen[text], text)
      seen[text] = true
    end
  end)

  it("has every digit at every place that is left to chance", function()
    for place = 1, 36 do
      local seen, count = {}, 0
      for _, text in ipairs(drawn) do
        local c = text:sub(place, place)
        if not seen[c] then seen[c], count = true, count + 1 end
      end
      local fixed = { [9] = 1, [14] = 1, [15] = 1, [19] = 1, [20] = 4, [24] = 1 }
      assert.equal(fixed[place] or 16, count, "place " .. place)
    end
  end)
end)

describe("a caller's UUID", function()
  local good = "0b1d6f5e-2c43-4f0a-8d5b-6a1e93c7d210"

  it("is valid in either case and of any version", function()
    for _, text in ipairs {
      good, good:upper(), "0B1d6f5E-2c43-4F0a-8d5B-6a1e93C7d210",
      "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
      "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
      "018f4e5a-1c2d-7abc-8def-0123456789ab", "01234567-89ab-cdef-0123-456789abcdef",
    } do
      assert.is_true(engine.uuid_valid(text), text)
    end
  end)

  it("is not valid with any byte changed to one that does not belong there", function()
    for place = 1, 36 do
      for byte = 0, 255 do
        local c = string.char(byte)
        local text = good:sub(1, place - 1) .. c .. good:sub(place + 1)
        local dash = place == 9 or place == 14 or place == 19 or place == 24
        local belongs = c:find(dash and "^%-$" or "^[0-9a-fA-F]$") ~= nil
        if engine.uuid_valid(text) ~= belongs then
          error(("byte %d at place %d"):format(byte, place), 0)
        end
      end
    end
  end)

  it("is not valid in any other length or form", function()
    for length = 0, 35 do assert.is_false(engine.uuid_valid(good:sub(1, length))) end
    for _, text in ipairs {
      good .. "0", good .. "\0", good .. "\n", " " .. good, "\0" .. good, good .. good,
      "{" .. good .. "}", "urn:uuid:" .. good, (good:gsub("-", "")),
      (good:gsub("-", "_")),
      "0b1d6f5e2-c43-4f0a-8d5b-6a1e93c7d210", "0b1d6f5e-2c43-4f0a-8d5b6-a1e93c7d210",
      "0b1d6f5e-2c43-4f0a-8d5b-6a1e93c7d21", ("-"):rep(36), ("0"):rep(36),
    } do
      assert.is_false(engine.uuid_valid(text), text)
    end
  end)
end)

describe("a buffer", function()
  local function content(buf)
    local len = buf:size()
    return buf:raw(len)
  end

  it("allocates nothing before the first byte", function()
    local buf = engine.buf(100)
    assert.same({ 0, 0 }, { buf:size() })
    assert.is_nil(buf:raw(0))
    buf:clear()
    assert.same({ 0, 0 }, { buf:size() })
  end)

  it("takes bytes up to its ceiling, and none of those that are too many", function()
    for _, max in ipairs { 0, 1, 5, 255, 256, 257, 1000 } do
      local buf = engine.buf(max)
      local fitting = ("x"):rep(max)
      assert.equal("ok", buf:append(fitting))
      assert.equal("full", buf:append "y")
      assert.equal("full", buf:append(("y"):rep(100000)))
      assert.equal("ok", buf:append "")
      assert.equal(fitting, content(buf))
      assert.equal(max, (buf:size()))
    end
  end)

  it("allocates nothing for what does not fit", function()
    local buf = engine.buf(10)
    assert.equal("full", buf:append(("y"):rep(1000000)))
    assert.same({ 0, 0 }, { buf:size() })
    buf:append "x"
    local _, before = buf:size()
    assert.equal("full", buf:append(("y"):rep(10)))
    assert.same({ 1, before }, { buf:size() })
  end)

  it("keeps its bytes, whatever they are and however they came", function()
    local buf, parts = engine.buf(1000000), {}
    for i = 1, 700 do
      parts[i] = string.char(i % 256):rep(i % 13) .. "\0"
      assert.equal("ok", buf:append(parts[i]))
    end
    assert.equal(table.concat(parts), content(buf))
  end)

  it("always ends in a NUL that is not counted", function()
    local buf = engine.buf(10000)
    for _, piece in ipairs { "", "a", ("b"):rep(254), "c", "d", ("e"):rep(5000) } do
      buf:append(piece)
      local len, cap = buf:size()
      assert.is_true(cap > len)
      assert.equal("\0", buf:raw(len + 1):sub(-1))
    end
    buf:clear()
    assert.equal("\0", buf:raw(1))
  end)

  it("grows by leaps", function()
    local buf, leaps, last = engine.buf(2000000), 0, -1
    for _ = 1, 10000 do
      buf:append(("z"):rep(100))
      local len, cap = buf:size()
      assert.is_true(cap <= 2 * len + 1024)
      if cap ~= last then leaps, last = leaps + 1, cap end
    end
    assert.is_true(leaps < 20, leaps)
    assert.equal(("z"):rep(1000000), content(buf))
  end)

  it("takes a large piece at once", function()
    local buf = engine.buf(5000000)
    local piece = ("0123456789"):rep(400000)
    assert.equal("ok", buf:append(piece))
    assert.equal("ok", buf:append "end")
    assert.equal(piece .. "end", content(buf))
  end)

  it("is wiped when it is cleared, and keeps its memory", function()
    local secret = ("secret"):rep(200)
    local buf = engine.buf(5000)
    buf:append(secret)
    local _, cap = buf:size()
    buf:clear()
    assert.same({ 0, cap }, { buf:size() })
    assert.equal(("\0"):rep(#secret), buf:raw(#secret))
    buf:append "x"
    assert.equal("x", content(buf))
    assert.equal("x" .. ("\0"):rep(#secret - 1), buf:raw(#secret))
  end)

  it("is empty when it is freed, twice if need be, and of use again", function()
    local buf = engine.buf(10)
    buf:append "0123456789"
    for _ = 1, 2 do
      buf:free()
      assert.same({ 0, 0 }, { buf:size() })
      assert.is_nil(buf:raw(0))
    end
    assert.equal("full", buf:append "01234567890")
    assert.equal("ok", buf:append "01234")
    assert.equal("01234", content(buf))
  end)
end)

-- What once held a token must not be found in memory that others may get.
describe("a buffer's memory", function()
  local first, second = "5f0a5f1b", "c2d75e3e"

  local function found() return engine.heap_count(first, second) end

  local function filled()
    local buf = engine.buf(50000)
    for _ = 1, 1000 do
      for _, piece in ipairs { first, second, "-" } do buf:append(piece) end
    end
    return buf
  end

  -- In this order: what is found once is in memory twice.
  it("is wiped before it is given back, in growing, too", function()
    local freed, between = {}, {}
    for i = 1, 10 do
      freed[i], between[i] = filled(), engine.buf(50000)
      between[i]:append(("b"):rep(50000))
    end
    for i = 1, 10 do freed[i]:free() end
    assert.equal(0, found())
    local buf = filled()
    if found() == 0 then pending "the heap of this process cannot be read" end
    buf:free()
  end)
end)

describe("an address", function()
  local function refused(why, urls)
    for _, url in ipairs(urls) do
      local host, actual = engine.check_url(url)
      assert.is_nil(host, url)
      assert.matches(why, actual, 1, true)
    end
  end

  it("is taken, and its host and port are told", function()
    for url, host in pairs {
      ["https://api.uqpay.com/api"] = "api.uqpay.com",
      ["https://api-sandbox.uqpaytech.com/api"] = "api-sandbox.uqpaytech.com",
      ["https://example.invalid"] = "example.invalid",
      ["https://example.invalid:8443/a/b/c"] = "example.invalid:8443",
      ["https://10.0.0.1/api"] = "10.0.0.1", ["https://h/a%20b"] = "h",
      ["https://[2001:db8::1]:1/"] = "[2001:db8::1]:1",
      ["https://127.0.0.1:65535"] = "127.0.0.1:65535",
      ["http://127.0.0.1:8080/api"] = "127.0.0.1:8080",
      ["http://127.0.0.1"] = "127.0.0.1",
      ["http://127.255.255.254/"] = "127.255.255.254",
      ["http://localhost"] = "localhost", ["http://localhost:80/api"] = "localhost:80",
      ["http://[::1]:8080"] = "[::1]:8080",
    } do
      assert.equal(host, (engine.check_url(url)), url)
    end
  end)

  it("may have a scheme in upper case", function()
    assert.equal("example.invalid", (engine.check_url "HTTPS://example.invalid/api"))
    refused("loopback", { "HTTP://example.invalid/api", "hTtP://example.invalid" })
  end)

  it("is refused over http if it is not loopback", function()
    refused("loopback", {
      "http://api.uqpay.com/api", "http://example.invalid:443", "http://10.0.0.1",
      "http://192.168.0.1", "http://0.0.0.0", "http://128.0.0.1",
      "http://126.255.255.255", "http://1.0.0.127", "http://[::]", "http://[::2]",
      "http://[fe80::1]", "http://0",
    })
  end)

  it("is refused over http if it only looks like loopback", function()
    for _, url in ipairs {
      "http://127.0.0.1.evil.example", "http://127.0.0.1.1",
      "http://127.0.0.1@evil.example", "http://127.0.0.1:80@evil.example/",
      "http://localhost@evil.example", "http://localhost:80@evil.example/",
      "http://localhost.evil.example", "http://localhost%2eevil.example",
      "http://localhost.", "http://xlocalhost", "http://local", "http://localhosts",
      "http://evil-localhost", "http://[::ffff:127.0.0.1]", "http://[::127.0.0.1]",
      "http://127.0.0.256", "http://127.256.0.1", "http://127.0.0.1000",
      "http://127.-1.0.1", "http://127.+0.0.1", "http://127.0.0.1e",
      "http://127.0.0.1%00.evil.example", "http://127.0.0.1%2f.evil",
      "http://127.0.0.1\\@evil.example", "http://127.0.0.1\\.evil.example", "http://127",
      "http://[::1].evil.example", "http://[::1]evil", "http://evil.example/127.0.0.1",
      "http://evil.example#@127.0.0.1", "http://evil.example?@127.0.0.1",
      "http://evil.example/@localhost", "http://evil.example\\@localhost",
      "http://127.0.0.1;evil", "http://127.0.0.1,evil", "http://127.0.0.1#.evil",
    } do
      assert.is_nil((engine.check_url(url)), url)
    end
  end)

  -- libcurl turns some spellings into a dotted quad, depending on its version: one with a
  -- trailing dot since 8.21.
  it("in another spelling is loopback only if its host is so literally", function()
    for _, url in ipairs {
      "http://127.1", "http://127.0.1", "http://0x7f000001", "http://0x7f.1",
      "http://2130706433", "http://017700000001", "http://0177.0.0.1",
      "http://127.000.000.001", "http://127.0.0.010", "http://127.0.0.0x1",
      "http://127.0.0.08", "http://127.0.0.099", "http://127.08.0.1",
      "http://127.0.0.0377", "http://%6c%6f%63alhost", "http://%31%32%37.0.0.1",
      "http://LOCALHOST", "http://LocalHost:80", "http://[0:0:0:0:0:0:0:1]",
      "http://127.0.0.1.", "http://0x7f.1.",
      "http://[::1%25lo]", "http://[::0001]",
    } do
      local host = engine.check_url(url)
      local name = host and host:gsub(":%d+$", "")
      if name and name ~= "localhost" and name ~= "[::1]" then
        assert.matches("^127%.%d+%.%d+%.%d+$", name, url)
        for part in name:gmatch "%d+" do
          assert.equal(part, ("%d"):format(tonumber(part)), url .. " became " .. host)
          assert.is_true(tonumber(part) < 256, url)
        end
      end
    end
  end)

  it("is refused with a user or password", function()
    refused("user or password", {
      "https://user@example.invalid", "https://user:secret@example.invalid/api",
      "https://:secret@example.invalid", "https://@example.invalid",
      "https://:@example.invalid", "http://user@127.0.0.1",
      "http://evil.example@127.0.0.1", "http://evil.example%2f@localhost",
      "https://a%40b@example.invalid",
    })
  end)

  it("is refused with a query or fragment, even an empty one", function()
    refused("query or fragment", {
      "https://h/api?a=b", "https://h?a=b", "https://h/api?", "https://h?",
      "https://h/api?#", "https://h/api#a", "https://h#a", "https://h/api#", "https://h#",
      "https://h/#?", "http://127.0.0.1/?@evil.example",
      "http://localhost:80/#@evil.example",
    })
  end)

  it("is refused with any blank, control or non-ASCII byte", function()
    for byte = 1, 255 do
      local c = string.char(byte)
      if byte <= 32 or byte >= 127 then
        refused("byte", {
          c .. "https://h/api", "https://" .. c .. "h/api", "https://h" .. c .. "/api",
          "https://h/a" .. c .. "pi", "https://h/api" .. c,
        })
      end
    end
  end)

  it("is refused for every other scheme, and for none", function()
    refused("https", {
      "ftp://h/api", "gopher://127.0.0.1", "h/api", "//h/api", "", "https:", "https:h",
      "https:/h", "127.0.0.1", "localhost:8080/api",
    })
    for _, url in ipairs {
      "httpss://h/api", "ws://h/api", "file:///etc/passwd", "file://localhost/etc/passwd",
      "javascript://h", "://h", "h://", "localhost/http://evil.example", "x://https://h",
      "https//h://x",
    } do
      assert.is_nil((engine.check_url(url)), url)
    end
  end)

  it("is refused if it is no URL", function()
    for _, url in ipairs {
      "https://", "https:///", "https:///api", "https://?", "https://:443",
      "https://[::1", "https://::1", "https://[zz]", "https://[]", "https://h:port",
      "https://h:65536", "https://h:-1", "https://h:99999999999", "https://h:80:80",
      "https://a*b", "https://a{b}", "https://h%00/", "https://h%0a/", "https://h%2fx/",
    } do
      assert.is_nil((engine.check_url(url)), url)
    end
  end)

  it("has its host cut to the room there is", function()
    for size = 1, 20 do
      local whole = "example.invalid:8443"
      assert.equal(whole:sub(1, size - 1), (engine.check_url("https://" .. whole, size)))
    end
  end)

  it("is encrypted for https only, in any case of letters", function()
    for url, expected in pairs {
      ["https://h"] = true, ["HTTPS://h"] = true, ["hTTpS://h"] = true,
      ["http://localhost"] = false, ["HTTP://localhost"] = false,
      ["http://https://h"] = false, ["httpsx://h"] = false, [""] = false,
    } do
      assert.equal(expected, engine.is_encrypted(url), url)
    end
  end)

  it("that is not encrypted meets no proxy, in whatever case it is written", function()
    for _, scheme in ipairs { "http", "HTTP", "Http" } do
      local ok, message = pcall(uqpay.new, {
        base_url = scheme .. "://127.0.0.1:1/api", token = "t",
        proxy = "http://127.0.0.1:2",
      })
      assert.is_false(ok, scheme)
      assert.matches("proxy", message, 1, true)
    end
  end)
end)

describe("redaction", function()
  local secret = "eyJhbGciOi.JIUzI1NiJ9-0123456789_abcdefXYZ"
  local mark = "[redacted]"

  local function hide(text, size) return engine.redact(text, secret, nil, false, size) end

  -- Each character of the text as f writes it.
  local function written(text, f) return (text:gsub(".", f)) end

  local function as_json(c) return ("\\u%04x"):format(c:byte()) end
  local function as_url(c) return ("%%%02X"):format(c:byte()) end

  local ways = {
    function(c) return c end, as_json, as_url,
    function(c) return as_json(c):gsub("u%x+", string.upper):gsub("U", "u") end,
    function(c) return as_url(c):lower() end,
    function(c) return c:find "%W" and "\\" .. c end,     -- a letter's escape is its own
    function(c) return c .. " \r\n\t" end, function(c) return c .. "\\r\\n\\t" end,
  }

  -- The text with each escape undone once, without white space and backslashes.
  local function decoded(text)
    local parts, at = {}, 1
    while at <= #text do
      local hex = text:match("^\\u00(%x%x)", at) or text:match("^%%(%x%x)", at)
      local control = text:find("^\\[bfnrt]", at)
      local c = hex and string.char(tonumber(hex, 16)) or text:sub(at, at)
      parts[#parts + 1] = not control and c:find "[^%s%c\\]" and c or ""
      at = at + (hex and (text:byte(at) == 37 and 3 or 6) or control and 2 or 1)
    end
    return table.concat(parts)
  end

  it("hides a secret, however it is written", function()
    for _, way in ipairs(ways) do
      local text = written(secret, way)
      local out = hide("<" .. text .. ">")
      local rest = out:gsub("\\[rnt]", ""):gsub("[\\%s]", "")    -- behind the secret
      assert.equal("<" .. mark .. ">", rest, text)
    end
  end)

  -- HTML's ways, and those of JSON and URLs to write them.
  local html = {
    function(c) return ("&#%d;"):format(c:byte()) end,
    function(c) return ("&#0%d;"):format(c:byte()) end,
    function(c) return ("&#x%x;"):format(c:byte()) end,
    function(c) return ("&#X%04X;"):format(c:byte()) end,
    function(c) return ("\\u0026#x%X;"):format(c:byte()) end,
    function(c) return ("&amp;#%d;"):format(c:byte()) end,
    function(c) return ("&amp;amp;#%d;"):format(c:byte()) end,
    function(c) return ("%%26%%23%d%%3B"):format(c:byte()) end,
    function(c) return ("%%25%02x"):format(c:byte()) end,
    function(c) return ("\\\\u%04x"):format(c:byte()) end,
  }

  it("hides a secret as HTML writes it, and escapes within escapes", function()
    for _, way in ipairs(html) do
      local text = written(secret, way)
      assert.equal("<" .. mark .. ">", (hide("<" .. text .. ">"):gsub("\\", "")), text)
    end
    local names = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
      ["'"] = "&#39;", ["/"] = "&#x2F;", ["+"] = "&plus;", ["="] = "&equals;",
      ["_"] = "&lowbar;", ["."] = "&period;" }
    local odd = "a&b<c>d\"e'f/g+h=i_j.k&amp&#4"
    local text = odd:gsub(".", names)
    assert.equal("<" .. mark .. ">", engine.redact("<" .. text .. ">", odd, nil, false))
    assert.equal("<" .. mark .. ">", engine.redact("<" .. odd .. ">", odd, nil, false))
  end)

  local mime = require "mime"

  -- Both alphabets, with its padding and without.
  local function base64(text)
    local plain = mime.b64(text)
    local url = plain:gsub("[+/]", { ["+"] = "-", ["/"] = "_" })
    return { plain, url, (plain:gsub("=", "")), (url:gsub("=", "")) }
  end

  local keys = { secret, "short-Key?>~9", "four", "a/b+c==d~?>~~?>~~?>~~?>~ab" }

  it("hides a secret in base64, whatever stands around it", function()
    for _, key in ipairs(keys) do
      for before = 0, 9 do
        for behind = 0, 3 do
          local text = ("user:4711x"):sub(1, before) .. key .. (":ab"):sub(1, behind)
          for _, form in ipairs(base64(text)) do
            local out = engine.redact("Basic " .. form .. ".", key, nil, false)
            local head, tail = out:match("^(Basic .-)%[redacted%]([%w+/_=-]*)%.$")
            assert.is_truthy(head, form .. " became " .. out)
            -- what is left has no bit of it: three bytes are four characters
            assert.is_true(#head - 6 <= math.floor(before * 4 / 3))
            assert.is_true(#tail <= math.ceil(behind * 4 / 3) + 2)
          end
        end
      end
    end
  end)

  it("hides base64 that is broken, escaped or cut", function()
    local form = mime.b64("client:" .. secret)
    for _, text in ipairs {
      (form:gsub(("."):rep(20), "%0\n")), (form:gsub(("."):rep(20), "%0\\n")),
      written(form, as_json), written(form, as_url), written(form, html[3]),
      form:sub(1, -20), form:sub(14),
    } do
      local out = hide("<" .. text .. ">")
      assert.is_truthy(out:find(mark, 1, true), text)
      assert.is_nil(out:find(form:sub(20, 40), 1, true))
    end
    -- the token within more that is in base64
    local inner = ('{"token":"%s","a":1}'):format(secret)
    for _, text in ipairs { inner, (inner:gsub("%-", "\\u002d")), "Bearer " .. secret } do
      assert.is_truthy(hide(mime.b64(text)):find(mark, 1, true))
    end
  end)

  it("leaves base64 of other things, and texts that look like it, as they are", function()
    local draw = random.generator()
    for _ = 1, 300 do
      local bytes = {}
      for i = 1, draw(300) do bytes[i] = string.char(draw(256) - 1) end
      for _, form in ipairs(base64(table.concat(bytes))) do
        for _, key in ipairs(keys) do
          assert.equal(form, engine.redact(form, key, "1234", false))
        end
      end
    end
    local prose = ("The balance of an account, as of today: 5000.25 USD & 3 others; "
      .. "see &lt;https://x/y?z=%20&amp;q=1&gt; "):rep(20)
    for _, key in ipairs { secret, "four", "key1", "abcdefgh", "4711" } do
      assert.equal(prose, engine.redact(prose, key, nil, false, 20000))
    end
    for _, part in ipairs { secret:sub(1, 15), secret:sub(20, 34) } do
      local form = mime.b64(part)
      assert.equal(form, hide(form))
    end
  end)

  it("costs no more than a text of that length may", function()
    local long = ("aB3-"):rep(2048)
    for _, text in ipairs { ("a"):rep(8192), ("x y "):rep(2048), ("&#x2F;"):rep(1365),
                            ("%25"):rep(2730), long } do
      for _, key in ipairs { secret, long, ("a"):rep(8192) } do
        local began = os.clock()
        engine.redact(text, key, key, false)
        assert.is_true(os.clock() - began < 2, #text .. " " .. #key)
      end
    end
  end)

  it("hides a secret that control bytes break, which a line shows as blanks", function()
    for byte = 0, 127 do
      if byte < 32 or byte == 127 then
        local out = engine.redact(secret:gsub("...", "%0" .. string.char(byte)), secret,
          nil, true)
        assert.equal(mark, (out:gsub("%s", "")), byte)
      end
    end
  end)

  it("hides the secret as it was sent, but not the word Bearer", function()
    local sent = "Bearer " .. secret
    assert.equal("Bearer " .. mark, engine.redact(sent, sent, nil, false))
    assert.equal("use Bearer", engine.redact("use Bearer", sent, nil, false))
  end)

  it("hides both secrets, every time", function()
    local other = "another-secret-of-some-length"
    local text = secret .. other .. secret .. " " .. other
    assert.equal(mark .. mark .. mark .. " " .. mark,
      engine.redact(text, secret, other, false))
    assert.equal(mark .. mark .. mark .. " " .. mark,
      engine.redact(text, other, secret, false))
    assert.equal(mark, engine.redact(other, nil, other, false))
  end)

  it("hides every part of 16 characters or more, and no shorter one", function()
    for length = 1, #secret do
      for from = 1, #secret - length + 1 do
        local part = secret:sub(from, from + length - 1)
        local expected = "<" .. (length < 16 and part or mark) .. ">"
        assert.equal(expected, hide("<" .. part .. ">"))
      end
    end
  end)

  it("hides a short secret whole", function()
    for length = 1, 15 do
      local short = secret:sub(1, length)
      local out = engine.redact("<" .. short .. ">", short, nil, false)
      assert.equal("<" .. mark .. ">", out)
      assert.equal("<>", engine.redact("<>", short, nil, false))
    end
  end)

  it("leaves all other text as it is", function()
    for _, text in ipairs {
      "", " ", "plain", "\0\1\255", "%41\\u0041\\", ("x"):rep(2048), "%", "%4", "\\u004",
    } do
      assert.equal(text, hide(text))
      assert.equal(text, engine.redact(text, nil, nil, false))
      assert.equal(text, engine.redact(text, "", nil, false))
    end
  end)

  it("makes control bytes blanks in a line", function()
    for byte = 0, 255 do
      local c = string.char(byte)
      local control = byte < 32 or byte == 127
      assert.equal("a" .. (control and " " or c), engine.redact("a" .. c, nil, nil, true))
      assert.equal("a" .. c, engine.redact("a" .. c, nil, nil, false))
    end
  end)

  it("is cut to the room there is, with no part of a secret at the cut", function()
    local text = "before " .. secret .. " behind"
    local whole = "before " .. mark .. " behind"
    for size = 0, #whole + 5 do
      local out = hide(text, size)
      assert.is_true(#out <= size)
      assert.equal(whole:sub(1, #out), out)
    end
  end)

  it("shows nothing that it did not look at", function()
    for length = 8000, 8400, 10 do
      local out = hide(("x"):rep(length) .. secret .. secret, 20000)
      assert.is_nil(out:find(secret:sub(1, 16), 1, true))
      assert.is_nil(out:find(secret:sub(-16), 1, true))
    end
  end)

  it("hides what it must in any mixture, at random", function()
    local draw = random.generator()
    for _ = 1, 1500 do
      local parts = {}
      for i = 1, draw(6) do
        local from = draw(#secret)
        local piece = secret:sub(from, from + draw(#secret) - 1)
        local way = ways[draw(5)]
        parts[i] = written(piece, function(c)
          return draw(3) == 1 and ways[draw(5)](c) or way(c)
        end) .. random.pick(draw, { "", " ", "\n", "\\", "=", "%", "<b>", "\0" })
      end
      local text = table.concat(parts)
      local out = hide(text, draw(400))
      local read = decoded(out)
      for from = 1, #secret - 15 do
        if read:find(secret:sub(from, from + 15), 1, true) then
          random.fail("%s\nbecame %s", random.show(text), random.show(out))
        end
      end
    end
  end)
end)

describe("received headers", function()
  local received

  before_each(function() received = engine.response_headers() end)

  local function line(text, keep) return received:line(text, keep) end
  local function get(name) return received:get(name) end

  local kept = {
    request_id = "x-request-id", retry_after = "retry-after", location = "location",
    content_encoding = "content-encoding",
  }

  it("are empty before the first", function()
    for name in pairs(kept) do assert.equal("", get(name)) end
  end)

  it("are kept by name, in whatever case it is written", function()
    for name, header in pairs(kept) do
      local function odd(two) return two:sub(1, 1) .. two:sub(2):upper() end
      for _, spelt in ipairs { header, header:upper(), (header:gsub("..", odd)) } do
        assert.is_true(line "HTTP/1.1 200 OK\r\n")
        assert.is_true(line(spelt .. ": some value; a=b\r\n"))
        for other in pairs(kept) do
          assert.equal(other == name and "some value; a=b" or "", get(other), spelt)
        end
      end
    end
  end)

  it("are trimmed of blanks, tabs and the line's end", function()
    for _, text in ipairs {
      "Location: v w\r\n", "Location:v w\r\n", "Location:  \t v w\r\n", "Location: v w\n",
      "Location: v w", "Location: v w  \r\n", "Location: v w \t \r\n",
      "Location: v w\t\r\n",
    } do
      line "HTTP/1.1 200 OK\r\n"
      line(text)
      assert.equal("v w", get "location", (text:gsub("%c", "?")))
    end
  end)

  it("may be empty", function()
    for _, text in ipairs {
      "Location:\r\n", "Location: \r\n", "Location:", "Location: \t ",
    } do
      line "HTTP/1.1 200 OK\r\n"
      line(text)
      assert.equal("", get "location")
    end
  end)

  it("are not taken from lines that only resemble them", function()
    for _, text in ipairs {
      "Location : v\r\n", " Location: v\r\n", "\tLocation: v\r\n", "X-Location: v\r\n",
      "Locations: v\r\n", "Locatio: v\r\n", "Location\r\n", "Location", "Location= v\r\n",
      "Content-Typ: v\r\n", "Content-Type-Options: v\r\n", "Content-Length: 5\r\n",
      "Retry: v\r\n", "Retry-After-Ms: 5\r\n", "RetryAfter: 5\r\n",
      "X-Retry-After: 5\r\n", "X-Request-Id-Old: v\r\n", "X-Request: v\r\n",
      "X-B3-SpanId: v\r\n", "\r\n", "\n", "x\r\n", "r", "l", "c", "x", ":", ": v\r\n",
      "\0\r\n", "location\0: v\r\n", "Set-Cookie: location: v\r\n",
    } do
      assert.is_true(line(text))
      for name in pairs(kept) do assert.equal("", get(name), text) end
    end
  end)

  it("are cut to 255 bytes", function()
    for name, header in pairs(kept) do
      for _, length in ipairs { 254, 255, 256, 5000 } do
        line "HTTP/1.1 200 OK\r\n"
        line(header .. ": " .. ("v"):rep(length) .. "\r\n")
        assert.equal(("v"):rep(math.min(length, 255)), get(name))
      end
    end
  end)

  it("show question marks for control bytes", function()
    for byte = 0, 255 do
      local c = string.char(byte)
      line "HTTP/1.1 200 OK\r\n"
      line("Location: a" .. c .. "b\r\n")
      local control = byte < 32 or byte == 127
      assert.equal("a" .. (control and "?" or c) .. "b", get "location", byte)
    end
  end)

  it("are the last ones of a name, but for the id", function()
    line "Retry-After: 3600\r\n"
    line "Retry-After: 2\r\n"
    assert.equal("2", get "retry_after")
  end)

  it("have the best of three ids, in whatever order they come", function()
    local ids = { "x-b3-traceid", "request-id", "x-request-id" }
    for _, order in ipairs {
      { 1 }, { 2 }, { 3 }, { 1, 2 }, { 2, 1 }, { 1, 3 }, { 3, 1 }, { 2, 3 }, { 3, 2 },
      { 1, 2, 3 }, { 1, 3, 2 }, { 2, 1, 3 }, { 2, 3, 1 }, { 3, 1, 2 }, { 3, 2, 1 },
    } do
      line "HTTP/1.1 200 OK\r\n"
      local best = 0
      for _, rank in ipairs(order) do
        line(ids[rank] .. ": id " .. rank .. "\r\n")
        best = math.max(best, rank)
      end
      assert.equal("id " .. best, get "request_id", table.concat(order, " "))
    end
  end)

  it("have an id even if a better one is empty", function()
    line "x-request-id: \r\n"
    line "request-id: there\r\n"
    assert.equal("there", get "request_id")
  end)

  it("are forgotten when another answer begins", function()
    for _, status in ipairs {
      "HTTP/1.1 100 Continue\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/2 200\r\n",
      "HTTP/1.1 200",
    } do
      for _, header in pairs(kept) do line(header .. ": old\r\n") end
      line(status)
      for name in pairs(kept) do assert.equal("", get(name), status) end
      line "x-b3-traceid: new\r\n"      -- the rank of the old id is forgotten, too
      assert.equal("new", get "request_id")
    end
    line "HTTPS: x\r\n"
    assert.equal("new", get "request_id")
  end)

  it("are complete with their blank line, until another answer begins", function()
    assert.is_false(received:complete())
    for _, blank in ipairs { "\r\n", "\n" } do
      for _, text in ipairs {
        "HTTP/1.1 200 OK\r\n", "Location: v\r\n", " \r\n", "x\r\n",
      } do
        line(text)
        assert.is_false(received:complete())
      end
      line(blank)
      assert.is_true(received:complete())
      line("x: trailer\r\n", false)
      assert.is_true(received:complete())
    end
    line "HTTP/1.1 200 OK\r\n"
    line("\r\n", false)
    assert.is_false(received:complete())
  end)

  it("are counted only, if they are not to be kept", function()
    line "x-request-id: first\r\n"
    assert.is_true(line("x-request-id: trailer\r\n", false))
    assert.is_true(line("retry-after: 5\r\n", false))
    assert.is_true(line("HTTP/1.1 200 OK\r\n", false))
    assert.equal("first", get "request_id")
    assert.equal("", get "retry_after")
  end)

  it("are 65536 bytes at most, all answers and trailers together", function()
    for _, keep in ipairs { true, false } do
      received = engine.response_headers()
      local sent = 0
      local function send(text)
        sent = sent + #text
        return line(text, keep)
      end
      while sent <= 65536 - 1017 do
        assert.is_true(send("HTTP/1.1 100 Continue\r\n"))
        assert.is_true(send("x: " .. ("v"):rep(989) .. "\r\n"))
      end
      assert.is_true(send(("x"):rep(65536 - sent)))
      assert.is_false(send "\n")
      assert.is_false(send "HTTP/1.1 200 OK\r\n")
    end
    received = engine.response_headers()
    assert.is_true(line(("x"):rep(65536)))
    assert.is_false(line("x", false))
    received = engine.response_headers()
    assert.is_false(line(("x"):rep(65537)))
  end)
end)
