-- The ways in which programs make their calls. Each style has
--
--   new(options) -> a client
--   all(client, list) -> a list: the packed results of calls made at once, { "balance",
--     "USD" } or { "token" }; one after the other where calls block
--   start(client, list) -> such calls in flight: step() steps them for a moment,
--     finish() to their end, with what all gives; nil where calls block

local clock = require "uqpay.internal".clock -- specs step the other one
local driver = require "spec.support.driver"
local uqpay = require "uqpay"

local unpack = table.unpack or unpack
local MAX = 60      -- seconds; nothing must hang for so long

local function pack(...) return { n = select("#", ...), ... } end

local function finish(self)
  local ends = clock() + MAX
  while not self.done() do
    assert(clock() < ends, "calls that never end")
    self.step()
  end
  return self.results()
end

local blocking = { name = "blocking", new = uqpay.new, start = function() end }

function blocking.all(client, list)
  local results = {}
  for n, call in ipairs(list) do
    results[n] = pack(client[call[1]](client, unpack(call, 2)))
  end
  return results
end

local objects = { name = "call objects", new = uqpay.new }

function objects.start(client, list)
  local calls = {}
  for n, call in ipairs(list) do
    calls[n] = client["start_" .. call[1]](client, unpack(call, 2))
  end
  return {
    calls = calls, finish = finish,
    step = function()
      client:step(0.01)
      for _, call in ipairs(calls) do call:step() end
    end,
    done = function()
      for _, call in ipairs(calls) do
        if not call:done() then return false end
      end
      return true
    end,
    results = function()
      local results = {}
      for n, call in ipairs(calls) do results[n] = pack(call:result()) end
      return results
    end,
  }
end

function objects.all(client, list)
  return objects.start(client, list):finish()
end

local loop = { name = "a loop" }

function loop.new(options)
  return require "uqpay.cqueues".new(options)
end

function loop.start(client, list)
  local queue = require "cqueues".new()
  local results, left = {}, #list
  for n, call in ipairs(list) do
    queue:wrap(function()
      results[n] = pack(client[call[1]](client, unpack(call, 2)))
      left = left - 1
    end)
  end
  return {
    finish = finish,
    step = function() assert(queue:step(0.01)) end,
    done = function() return left == 0 end,
    results = function()
      assert(queue:loop(MAX)) -- its own coroutines, to their end
      return results
    end,
  }
end

function loop.all(client, list)
  return loop.start(client, list):finish()
end

return { blocking, objects, driver.has_loop "cqueues" and loop or nil }
