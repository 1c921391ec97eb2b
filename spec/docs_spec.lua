-- README, annotations and code say the same: what the code takes and gives is in both.

local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.support.sandbox"
local uqpay = require "uqpay"

local function content(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local readme = content "README.md"
local types = content "src/types/uqpay.lua"

-- The fields of an annotated class, as a set.
local function class(name)
  local fields = {}
  local pattern = "%-%-%-@class " .. name:gsub("%.", "%%.") .. "[^\n]*\n(.-)\n\n"
  local block = types:match(pattern)
  assert.is_truthy(block, "no class " .. name)
  for field in block:gmatch "%-%-%-@field ([%w_]+)" do fields[field] = true end
  return fields
end

local function in_readme(name)
  assert.is_truthy(readme:find("`" .. name .. "`", 1, true)
    or readme:find("[`.:]" .. name .. "%f[^%w_]"), "not in the README: " .. name)
end

-- The rows of the table in options.c: name -> where it goes.
local function options()
  local rows = {}
  local row = '{"([%w_]+)",%s*OPT_%u+,%s*FOR_(%u+)'
  for name, where in content "src/options.c":gmatch(row) do
    rows[name] = where
  end
  return rows
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

describe("documented", function()
  setup(sandbox.start)

  it("is every option of a client, and no other", function()
    local client = {}
    for name, where in pairs(options()) do
      in_readme(name)
      if where ~= "CALL" then client[name] = true end
    end
    assert.is_true(client.token and client.timeout)
    assert.same(sorted(client), sorted(class "uqpay.options"))
  end)

  it("is every option of a call, and no other", function()
    local call = {}
    for name, where in pairs(options()) do
      if where ~= "NEW" then call[name] = true end
    end
    local annotated = class "uqpay.call_options"
    for name in pairs(class "uqpay.balance_query") do annotated[name] = true end
    assert.same(sorted(call), sorted(annotated))
  end)

  it("is every default that the README's table names", function()
    local defaults = content "src/options.c":match "defaults = {(.-)};"
    for name, value in defaults:gmatch "%.([%w_]+) = (%d[%d.]*)" do
      local cells = "| `" .. name .. "` | " .. value .. " |"
      assert.is_truthy(readme:find(cells, 1, true), name)
    end
  end)

  it("is every function and method, and no other", function()
    for name in pairs(uqpay) do
      if name ~= "kinds" and name:sub(1, 1) ~= "_" then
        local entry = "function uqpay." .. name .. "("
        assert.is_truthy(types:find(entry, 1, true), name)
      end
      in_readme(name)
    end
    local methods = getmetatable(fixture.client()).__index
    for name in pairs(methods) do
      assert.is_truthy(types:find("function client:" .. name .. "(", 1, true), name)
      assert.is_truthy(readme:find("`client:" .. name .. "(", 1, true), name)
    end
    for name in types:gmatch "\nfunction client:([%w_]+)" do
      assert.equal("function", type(methods[name]))
    end
    for name in types:gmatch "\nfunction uqpay%.([%w_]+)" do
      assert.equal("function", type(uqpay[name]))
    end
  end)

  it("is every error field, and no other", function()
    assert.same(sorted(fixture.error_fields), sorted(class "uqpay.error"))
    for name in pairs(fixture.error_fields) do in_readme(name) end
  end)

  it("is every kind of error, and no other", function()
    local aliases = {}
    for name in types:gmatch '%-%-%-| "([%w_]+)"' do aliases[name] = true end
    local kinds = {}
    for _, kind in ipairs(uqpay.kinds) do
      kinds[kind] = true
      in_readme(kind)
    end
    assert.same(sorted(kinds), sorted(aliases))
  end)

  it("is every count of stats and every field of info", function()
    local client = fixture.client()
    assert.same(sorted(client:stats()), sorted(class "uqpay.stats"))
    assert.same(sorted(uqpay.info()), sorted(class "uqpay.info"))
    for name in pairs(client:stats()) do in_readme(name) end
    for name in pairs(uqpay.info()) do in_readme(name) end
  end)

  it("is the version, once in the code and the same in the annotations", function()
    assert.equal(uqpay._VERSION, types:match '_VERSION string +# "([%d.]+)"')
    assert.is_truthy(content "CHANGELOG.md":find(uqpay._VERSION, 1, true))
  end)

  it("are only make targets that exist", function()
    local makefile, count = content "Makefile", 0
    local function check(targets)
      for target in targets:gmatch "%l+" do
        assert.is_truthy(makefile:find("\n" .. target .. ":", 1, true), target)
        count = count + 1
      end
    end
    for target in readme:gmatch "`make (%l+)" do check(target) end
    for targets in readme:gmatch "\n    make ([%l ]+)" do check(targets) end
    assert.is_true(count >= 12)
  end)

  it("is a quick start that runs as it stands", function()
    local code = readme:match "```lua\n(.-)```"
    code = code:gsub('token = os.getenv "UQPAY_TOKEN"', '%0, base_url = os.getenv "URL", '
      .. 'ca_file = os.getenv "CA"', 1)
    local script = os.tmpname()
    local file = assert(io.open(script, "w"))
    file:write(code)
    file:close()
    local output = driver.output(driver.command("env", "URL=" .. sandbox.url,
      "CA=" .. sandbox.ca_file, "UQPAY_TOKEN=" .. sandbox.token,
      "LUA_CPATH=" .. package.cpath, os.getenv "UQPAY_LUA", script) .. " 2>&1")
    os.remove(script)
    assert.equal("USD\t5000.25\tACTIVE\n", output)
  end)
end)
