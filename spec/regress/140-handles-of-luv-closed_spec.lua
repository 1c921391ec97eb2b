-- Code that closes all handles of luv's loop (uv.walk, as tests do at their end) closed
-- the client's, too, if a call was in flight. No later call ever finished then, not even
-- by its timeout; nor did the waiting ones.

local child = require "spec.support.child"
local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

-- go(f) runs f in a coroutine; close_all() is what a test does in the end.
local prelude = [[
  local uv = require "luv"
  local luv = require "uqpay.luv"
  local function go(f)
    local ok, err = coroutine.resume(coroutine.create(f))
    if not ok then error(err, 0) end
  end
  local function close_all()
    uv.walk(function(handle) if not handle:is_closing() then handle:close() end end)
    uv.run()
  end
  local function ask(c, answers, options)
    go(function()
      local answer = { c:balance("USD", options) }
      answers[#answers + 1] = answer
    end)
  end
  local function slow() sandbox.fault { kind = "delay", seconds = 0.2 } end
  local function hang() sandbox.fault { kind = "hang", seconds = 20 } end
]]

local function run(code) child.run(prelude .. code, nil, "timeout 60 ") end

describe("a client whose handles of luv were closed", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)
  if not driver.has_loop "luv" then
    return pending("no package of luv for " .. _VERSION)
  end

  it("answers the next call, and those that waited", function()
    run [[
      local c, answers = luv.new(options()), {}
      slow()
      slow()
      ask(c, answers)
      ask(c, answers)
      close_all()
      same(0, #answers)
      ask(c, answers)
      uv.run()
      same(3, #answers)
      for _, answer in ipairs(answers) do assert(answer[1], answer[2]) end
      ask(c, answers)
      uv.run()
      same(4, #answers)
    ]]
  end)

  it("ends the calls that waited at their timeout, and the next at its own", function()
    run [[
      local c, answers = luv.new(options { max_retries = 0 }), {}
      assert(c:balance "USD")
      hang()
      hang()
      ask(c, answers, { timeout = 0.2 })
      close_all()
      ask(c, answers, { timeout = 0.3 })
      uv.run()
      same(2, #answers)
      for _, answer in ipairs(answers) do same("timeout", answer[3].kind) end
    ]]
  end)

  it("works after several times, between its calls, too", function()
    run [[
      local c, answers = luv.new(options()), {}
      for n = 1, 3 do
        slow()
        ask(c, answers)
        close_all()
        close_all()
        ask(c, answers)
        uv.run()
        same(2 * n, #answers)
        close_all()
      end
      for _, answer in ipairs(answers) do assert(answer[1], answer[2]) end
    ]]
  end)

  it("continues with a batch and a list", function()
    run [[
      local c, got = luv.new(options()), 0
      local function batch()
        local next_balance = c:batch { "USD", "SGD", "USD" }
        local query, balance, message = next_balance()
        while query do
          got = got + 1
          assert(balance, message)
          query, balance, message = next_balance()
        end
      end
      slow()
      go(batch)
      close_all()
      go(batch)
      uv.run()
      same(6, got)
      slow()
      local pages = 0
      local function list()
        if c:transactions { page_size = 10 } then pages = pages + 1 end
      end
      go(list)
      close_all()
      go(list)
      uv.run()
      same(2, pages)
    ]]
  end)

  it("can be closed: its waiters get an error", function()
    run [[
      local c, answers = luv.new(options()), {}
      hang()
      ask(c, answers)
      close_all()
      c:close()
      same("canceled", answers[1][3].kind)
    ]]
  end)

  it("is distinguished from one whose loop was stopped", function()
    run [[
      local c, answers = luv.new(options()), {}
      slow()
      ask(c, answers)
      local timer = uv.new_timer()
      timer:start(1, 0, function() timer:close() uv.stop() end)
      uv.run()
      same(0, #answers)
      uv.run()
      assert(answers[1][1], answers[1][2])
    ]]
  end)
end)
