-- A finalizer that used an iterator while this was at work got the same call once more:
-- a loop over a batch was given a result twice, the second time without its query, which
-- ended the loop, or it waited for ever for calls that had ended. A loop over a list
-- ended before the last page.

local finalizers = require "spec.support.finalizers"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"

-- A finalizer uses the iterator of a loop, at one allocation after the other: of many
-- only some. interfere(make, use, loop) makes an iterator each time.
local prelude = [[
  local uqpay = require "uqpay"
  local options = { base_url = %q, ca_file = %q, token = %q, timeout = 20 }
  local client = uqpay.new(options)
  assert(client:balance "USD")
  local OWN = "a hook must not use the iterator that it runs for"
  local function interfere(make, use, loop)
    local number, run = 0, 0
    repeat
      number = number + 1 + math.floor(number / 5)
      local iterator, check = make()
      if %s then debug.sethook(function() end, "", 1000000000) end
      arm(number, function(n) if n == number then use(iterator) end end)
      local ok, failure = pcall(loop, iterator)
      run = disarm()
      debug.sethook()
      if ok then ok, failure = pcall(check) end
      if not ok then error(("allocation %%d: %%s"):format(number, failure), 0) end
    until run < number
    assert(number > 5, "there were few allocations: " .. number)
  end
]]

local batches = [[
  local seen, count
  local function take(query, balance, message)
    if query == nil then return end
    assert(balance or message)
    seen[query], count = (seen[query] or 0) + 1, count + 1
  end
  local function check_batch(uses, queries, options)
    interfere(function()
      seen, count = {}, 0
      return (client:batch(queries, options)), function()
        assert(count == #queries, ("%d results"):format(count))
        for _, query in ipairs(queries) do assert(seen[query] == 1, "one is lost") end
      end
    end, function(iterator)
      for _ = 1, uses do
        local result = { pcall(iterator) }
        assert(result[1] or result[2] == OWN, result[2])
        if result[1] then take(result[2], result[3], result[4]) end
      end
    end, function(iterator)
      for query, balance, message in iterator do take(query, balance, message) end
    end)
  end
  for uses = 1, 3, 2 do
    check_batch(uses, { { currency = "USD" } })
    check_batch(uses, { { currency = "USD" }, { currency = "SGD" } })
    check_batch(uses, { { currency = "us" }, { currency = "USD" }, { currency = 7 } },
      { concurrency = 1 })
  end
]]

-- The same in a coroutine of an event loop, in which a finalizer cannot wait: it gets
-- what has come, or an error.
local looped = [[
  local socket = require "socket"
  local loop = require "spec.support.plain_loop"(function(fd)
    local readable = socket.select({ {
      getfd = function() return fd end, dirty = function() return false end,
    } }, nil, 20)
    assert(#readable == 1, "nothing happens")
  end)
  function loop.inside()
    local co, main = coroutine.running()
    return co and not main and loop
  end
  client = require "uqpay.loop"(loop).new(options)
  local seen, count
  local function take(query)
    if query then seen[query], count = (seen[query] or 0) + 1, count + 1 end
    return query
  end
  for _, total in ipairs { 1, 2, 3 } do
    local queries = {}
    for n = 1, total do queries[n] = { currency = "USD" } end
    interfere(function()
      seen, count = {}, 0
      return (client:batch(queries)), function()
        assert(count == total, ("%d results"):format(count))
        for _, query in ipairs(queries) do assert(seen[query] == 1, "one is lost") end
      end
    end, function(iterator)
      local ok, query = pcall(iterator)
      if ok then take(query) end
    end, function(iterator)
      loop.spawn(function() while take((iterator())) do end end)
      loop.run()
    end)
  end
]]

local lists = [[
  local REFUSED = "this iterator waits for a page already, or an error has ended it"
  local function check_list(uses)
    local items = 0
    local total = assert(client:accounts()).total_items
    interfere(function()
      items = 0
      return (client:each_account { page_size = 10 }), function()
        assert(items == total, ("%d items of %d"):format(items, total))
      end
    end, function(iterator)
      for _ = 1, uses do
        local ok, item, message = pcall(iterator)
        if not ok then assert(item == REFUSED or item == OWN, item) return end
        assert(item or not message, message)
        if item then items = items + 1 end
      end
    end, function(iterator)
      for item, message in iterator do
        assert(item, message)
        items = items + 1
      end
    end)
  end
  check_list(1)
  check_list(12)
]]

describe("a finalizer that uses an iterator", function()
  if _VERSION == "Lua 5.2" then
    return pending "on Lua 5.2 it may still take a result of a batch's loop"
  end

  setup(function() sandbox.start() end)
  before_each(sandbox.reset)

  -- watched: a debug hook is set, and so a wait allocates.
  local function run(code, watched)
    local options = fixture.options()
    finalizers.run(prelude:format(options.base_url, options.ca_file, options.token,
      tostring(watched)) .. code)
  end

  it("gets other results of a batch than its loop", function() run(batches, false) end)

  it("does so while the loop waits, too", function() run(batches, true) end)

  it("does so under an event loop", function() run(looped, false) end)

  it("gets other items of a list than its loop", function() run(lists, false) end)
end)
