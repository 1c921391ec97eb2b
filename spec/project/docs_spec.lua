-- README, annotations and code say the same: what the code takes and gives is in both.

local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

local content = driver.content
local readme = content "README.md"
local types = content "src/types/uqpay.lua"

-- The fields of an annotated class, as a set.
local function class(name)
  local fields = {}
  local pattern = "%-%-%-@class " .. name:gsub("%.", "%%.")
    .. "%f[^%w_.][^\n]*\n(.-)\n\n"
  local block = types:match(pattern)
  assert.is_truthy(block, "no class " .. name)
  for field in block:gmatch "%-%-%-@field ([%w_]+)" do fields[field] = true end
  return fields
end

local function in_readme(name)
  assert.is_truthy(readme:find("`" .. name .. "`", 1, true)
    or readme:find("[`.:]" .. name .. "%f[^%w_]"), "not in the README: " .. name)
end

-- The rows of the table in options.c: name -> scope ("UQ_FOR_CLIENT | UQ_FOR_POST").
local function options()
  local scopes = { TEXT = "UQ_FOR_CLIENT", SECONDS = "UQ_FOR_BOTH" } -- of these macros
  local rows = {}
  local code = content "src/binding/options.c":match " rows%[%] = {\n(.-)\n};"
  for macro, name, rest in code:gmatch '\n?%s*(%u*)[%({]"?([%l_]+)"?, ([^\n]*)' do
    rows[name] = scopes[macro] or rest:match "UQ_FOR_[%u_ |]*%u"
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
      if where:find "CLIENT" or where:find "BOTH" then client[name] = true end
    end
    assert.is_true(client.token and client.timeout)
    assert.same(sorted(client), sorted(class "uqpay.options"))
  end)

  it("is every option of a call, and no other", function()
    local call, batch, each = {}, { on_behalf_of = true }, {}
    for name, where in pairs(options()) do
      local special = where:find "FOR_BATCH" or where:find "FOR_EACH"
      if where:find "FOR_BATCH" then batch[name] = true end
      if where:find "FOR_EACH" then each[name] = true end
      if special then
        in_readme(name)
      elseif where ~= "UQ_FOR_CLIENT" then
        call[name] = true
      end
    end
    local annotated = class "uqpay.call_options"
    for _, more in ipairs { "uqpay.common_options", "uqpay.balance_query" } do
      for name in pairs(class(more)) do annotated[name] = true end
    end
    assert.same(sorted(call), sorted(annotated))
    assert.same(sorted(batch), sorted(class "uqpay.batch_options"))
    assert.same(sorted(each), sorted(class "uqpay.iterator_options"))
  end)

  it("is every parameter of a list, every field of an item, and no other", function()
    local code = content "src/engine/api/endpoint.c"
    local function rows(name, pattern)
      local block = code:match("static const struct uq_%l+ " .. name .. "%[%] = (.-)};\n")
      local set = {}
      for row in block:gsub("PAGE", '{"page_size", {"page_number",'):gmatch(pattern) do
        set[row] = true
        in_readme(row)
      end
      assert.is_truthy(next(set), name)
      return set
    end
    local function same(set, ...)
      local annotated = {}
      for _, name in ipairs { ... } do
        for field in pairs(class(name)) do annotated[field] = true end
      end
      assert.same(sorted(set), sorted(annotated))
    end
    local calls = {}
    for name, where in pairs(options()) do
      if where == "UQ_FOR_BOTH" or where == "UQ_FOR_CALL" then calls[name] = true end
    end
    local function with(list, more)
      local all = {}
      for _, set in ipairs { calls, rows(list, '{"([%l_]+)",'), more } do
        for name in pairs(set) do all[name] = true end
      end
      return all
    end
    same(calls, "uqpay.common_options")
    same(with("page_params", {}), "uqpay.common_options", "uqpay.list_query")
    same(with("transaction_params", { on_behalf_of = true }), "uqpay.common_options",
      "uqpay.list_query", "uqpay.balances_query", "uqpay.transactions_query")
    same(rows("transaction_items", '{"([%l_]+)",'), "uqpay.transaction")
    same(rows("account_items", '{"([%l_]+)",'), "uqpay.account")
  end)

  it("is every default that the README's table names", function()
    local defaults = content "src/binding/options.c":match "uq_options_default = {(.-)};"
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
    local amounts = getmetatable(uqpay.amount(1)).__index
    for name in pairs(amounts) do
      assert.is_truthy(types:find("function amount:" .. name .. "(", 1, true), name)
      assert.is_truthy(readme:find("`a:" .. name .. "(", 1, true), name)
    end
    for name in types:gmatch "\nfunction amount:([%w_]+)" do
      assert.equal("function", type(amounts[name]))
    end
    for name in types:gmatch "\nfunction client:([%w_]+)" do
      assert.equal("function", type(methods[name]))
    end
    for name in types:gmatch "\nfunction uqpay%.([%w_]+)" do
      assert.equal("function", type(uqpay[name]))
    end
  end)

  it("is every event loop, and what its client has not", function()
    for _, name in ipairs { "cqueues", "luv", "copas" } do
      in_readme("uqpay." .. name)
      assert.is_truthy(content("src/types/uqpay/" .. name .. ".lua"):find(
        "@meta uqpay." .. name .. "\n", 1, true))
      assert.is_truthy(readme:find("(examples/" .. name .. ".lua)", 1, true))
    end
    local plain = getmetatable(fixture.client()).__index
    local client = require "uqpay.loop" {}.new(fixture.options())
    local absent = content "src/types/uqpay/loop.lua"
    for name in pairs(plain) do
      local listed = absent:find("@field " .. name .. " nil\n", 1, true)
      assert.equal(client[name] == nil, listed ~= nil, name)
    end
    for name in absent:gmatch "@field ([%w_]+)" do assert.is_truthy(plain[name]) end
  end)

  it("is every option of nginx's own, and no other", function()
    local code = content "src/resty/uqpay.lua"
    local annotated = content "src/types/uqpay/resty.lua"
    local function same(taken, name)
      local fields = {}
      local block = annotated:match("@class " .. name .. "%f[^%w_.][^\n]*\n(.-)\n\n")
      for field in block:gmatch "%-%-%-@field ([%w_]+)" do fields[field] = true end
      assert.same(sorted(taken), sorted(fields))
      for field in pairs(fields) do in_readme(field) end
    end
    local own, cache = {}, {}
    for option in code:match "local own_options = {(.-)}":gmatch '"([%w_]+)"' do
      own[option] = true
    end
    for option in code:match "local cache_options = {(.-)}":gmatch "([%w_]+) =" do
      cache[option] = true
    end
    same(own, "uqpay.resty.options")
    same(cache, "uqpay.resty.cache")
    local more = driver.output "cat src/resty/uqpay.lua src/resty/uqpay/*.lua"
    local function named(name, where)
      in_readme(name)
      assert.is_truthy(more:find("%f[%w_]" .. name .. "%f[^%w_]"), where .. " " .. name)
    end
    for method in annotated:gmatch "\nfunction client:([%w_]+)" do
      named(method, "method")
    end
    for _, class_name in ipairs { "call_options", "balance", "stats" } do
      local block = annotated:match("@class uqpay.resty." .. class_name
        .. "%f[^%w_.][^\n]*\n(.-)\n\n")
      for field in block:gmatch "%-%-%-@field ([%w_]+)" do named(field, class_name) end
    end
    assert.is_truthy(readme:find("(examples/nginx.conf)", 1, true))
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
    local makefile, count = driver.output "cat Makefile spec/*.mk spec/*/*.mk", 0
    local function check(targets)
      for target in targets:gmatch "[%l-]+" do
        assert.is_truthy(makefile:find("\n" .. target:gsub("%p", "%%%0") .. "[%l %-]*:"),
          target)
        count = count + 1
      end
    end
    for target in readme:gmatch "`make ([%l-]+)" do check(target) end
    for targets in readme:gmatch "\n    make ([%l -]+)" do check(targets) end
    assert.is_true(count >= 12)
  end)

  it("is a proof of every promise of security, and each proof exists", function()
    local section = readme:match "\n## Security\n(.-)\n## "
    local count = 0
    for proofs in section:gmatch "\n| %*%*[^\n]+ | ([^\n|]+) |" do
      local found = 0
      for name, file in proofs:gmatch "%[([%l%d_]+)%]%((%S-)%)" do
        assert.matches("/" .. name .. "_spec.lua", file, 1, true)
        assert.is_true(driver.exists(file), file)
        found = found + 1
      end
      for _ in proofs:gmatch "`make [%l-]+`" do found = found + 1 end -- as above
      assert.is_true(found > 0, proofs)
      count = count + 1
    end
    local _, rows = section:gsub("\n| %*%*", "")
    assert.equal(rows, count)
    assert.is_true(count >= 20)
  end)

  -- The output of the code, run as a program of its own against the sandbox.
  local function output(code)
    code = code:gsub('token = os.getenv "UQPAY_TOKEN"', '%0, base_url = os.getenv "URL", '
      .. 'ca_file = os.getenv "CA"', 1)
    local script = os.tmpname()
    local file = assert(io.open(script, "w"))
    file:write(code)
    file:close()
    local text = driver.output(driver.command("env", "URL=" .. sandbox.url,
      "CA=" .. sandbox.ca_file, "UQPAY_TOKEN=" .. sandbox.token,
      "LUA_CPATH=" .. package.cpath, os.getenv "UQPAY_LUA", script) .. " 2>&1")
    os.remove(script)
    return driver.pointed(text)
  end

  it("is a quick start that runs as it stands", function()
    assert.equal("USD\t5000.25\tACTIVE\n", output(readme:match "```lua\n(.-)```"))
  end)

  it("is a quick start under an event loop that runs as it stands", function()
    if not driver.has_loop "cqueues" then
      return pending("no package of cqueues for " .. _VERSION)
    end
    local text = output(readme:match "```lua\n(local cqueues.-)```")
    assert.matches("USD\t5000.25\n", text, 1, true)
    assert.matches("SGD\t10000", text, 1, true)
  end)
end)
