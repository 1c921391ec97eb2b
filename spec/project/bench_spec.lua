-- The form of the tables of `make bench`, and their place in README.md. Nothing is
-- measured here.

local report = require "spec.bench.report"

local function figures()
  return {
    date = "2026-01-31", cpu = "A Processor", cores = 2, kernel = "Linux 6.1",
    pinned = true,
    versions = { "libcurl 7.88.1", "Lua 5.4" },
    tables = {
      { title = "HTTPS, one call after another", rows = {
        { name = "(a)", calls = 12345.6, cpu = 50e-6, instructions = 160000, peak = 11264,
          slow_calls = 19.64, slow_cpu = 300e-6 },
        { name = "uqpay", calls = 10000, cpu = 60e-6, instructions = 164800,
          peak = 13312 },
      } },
      { title = "HTTP, 64 calls at once", rows = { { name = "(a)" } } },
    },
    notes = { "[1] A note." },
    targets = {
      { what = "instructions", who = "Lua 5.4", value = 1.03, limit = 1.05, unit = "×" },
      { what = "memory", who = "LuaJIT", value = 16.01, limit = 16, unit = "KiB",
        detail = "80.0 KiB" },
      { what = "the limit", who = "LuaJIT", value = 1.1, limit = 1.1, unit = "×" },
      { what = "CPU", who = "LuaJIT", limit = 1.05, unit = "×" },
    },
    http = { rows = { { what = "a call", one = 160000, two = 208000 } },
      per_connection = 9000000, dearer = 48000 },
  }
end

local function has(line, text)
  assert.is_truthy(("\n" .. text):find("\n" .. line .. "\n", 1, true), line)
end

describe("the bench's tables", function()
  local locale
  setup(function()
    locale = os.setlocale(nil, "numeric")
    os.setlocale("C", "numeric")
  end)
  teardown(function() os.setlocale(locale, "numeric") end)

  it("name the machine and what ran on it", function()
    has("Measured by `make bench` on 2026-01-31: A Processor, 2 cores (the server on "
      .. "one, the client on another), Linux 6.1; libcurl 7.88.1, Lua 5.4.",
      report.markdown(figures()))
    local shared = figures()
    shared.pinned = false
    has("Measured by `make bench` on 2026-01-31: A Processor, 2 cores (shared by server "
      .. "and client), Linux 6.1; libcurl 7.88.1, Lua 5.4.", report.markdown(shared))
  end)

  it("show each figure with its ratio to the first row", function()
    local text = report.markdown(figures())
    has("**HTTPS, one call after another**", text)
    has("| (a) | 160,000 | 1.00 | 50.0 | 1.00 | 12,346 | 11.0 | 300.0 | 19.6 |", text)
    has("| uqpay | 164,800 | 1.03 | 60.0 | 1.20 | 10,000 | 13.0 | – | – |", text)
    has("| (a) | – | – | – | – | – | – | – | – |", text)
    has("[1] A note.", text)
  end)

  it("say of each target whether it is met", function()
    local text = report.markdown(figures())
    has("| instructions | Lua 5.4 | met | 1.03 × | ≤ 1.05 × |  |", text)
    has("| memory | LuaJIT | **not met** | 16.01 KiB | ≤ 16.00 KiB | 80.0 KiB |", text)
    has("| the limit | LuaJIT | met | 1.10 × | ≤ 1.10 × |  |", text)
    has("| CPU | LuaJIT | not measured | – | ≤ 1.05 × |  |", text)
  end)

  it("have as many cells in each row as in the first", function()
    local columns, rows
    for line in (report.markdown(figures()) .. "\n"):gmatch "([^\n]*)\n" do
      local _, bars = line:gsub("|", "")
      if line:sub(1, 1) ~= "|" then
        columns = nil
      else
        columns, rows = columns or bars, (rows or 0) + 1
        assert.equal(columns, bars, line)
      end
    end
    assert.equal(16, rows)
  end)

  it("say what HTTP/2 costs and saves", function()
    local text = report.markdown(figures())
    has("| a call | 160,000 | 208,000 | 1.30 |", text)
    has("Each connection that HTTP/2 saves is worth 9,000,000 instructions, each call "
      .. "costs 48,000 more: HTTP/1.1 is cheaper if a connection lasts for more than 188 "
      .. "calls.", text)
    local unknown = figures()
    unknown.http.dearer = nil
    assert.is_nil(report.markdown(unknown):find "HTTP/2 saves")
    local cheaper = figures()
    cheaper.http.dearer = -1
    assert.is_truthy(report.markdown(cheaper):find("over HTTP/2 costs no more", 1, true))
  end)

  it("group digits by three", function()
    assert.equal("0", report.whole(0.4))
    assert.equal("999", report.whole(999))
    assert.equal("1,000", report.whole(999.5))
    assert.equal("123,456", report.whole(123456))
    assert.equal("-123,456", report.whole(-123456))
    assert.equal("1,234,568", report.whole(1234567.8))
  end)

  it("replace the text between the marks, and no other", function()
    local readme = "before\n<!-- bench -->\nold 100% \n<!-- /bench -->\nafter\n"
    local once = report.replace(readme, "new 50%1\n")
    assert.equal("before\n<!-- bench -->\nnew 50%1\n<!-- /bench -->\nafter\n", once)
    assert.equal(once, report.replace(once, "new 50%1\n"))
    assert.is_nil(report.replace("before\n<!-- /bench -->\n<!-- bench -->\n", "new"))
    assert.is_nil(report.replace("no marks", "new"))
  end)

  it("have one pair of marks each in the README", function()
    local file = assert(io.open "README.md")
    local readme = file:read "*a"
    file:close()
    for _, name in ipairs { "bench", "bench-openresty" } do
      local pattern = "<!%-%- /?" .. name:gsub("%-", "%%-") .. " %-%->"
      assert.equal(2, select(2, readme:gsub(pattern, "")), name)
      assert.is_truthy(report.replace(readme, "new\n", name))
    end
  end)
end)
