-- Whose turn it is among the calls of a client: a leaf of the engine.

local engine = require "engine"
local random = require "spec.support.random"

local TURNS = 64

-- All that can go on, in order.
local function drain(schedule)
  local list = {}
  for turn in schedule.next, schedule do list[#list + 1] = turn end
  return list
end

describe("a schedule", function()
  local schedule
  before_each(function() schedule = engine.schedule() end)

  it("is empty at first", function()
    assert.is_false(schedule:any())
    assert.is_nil(schedule:next())
    assert.is_true(schedule:wake() < 0)
    schedule:advance(1e9)
    assert.is_nil(schedule:next())
  end)

  it("gives those that can go on in the order in which they could, once", function()
    for _, turn in ipairs { 3, 1, 2 } do schedule:make_ready(turn) end
    assert.is_true(schedule:any())
    assert.same({ 3, 1, 2 }, drain(schedule))
    assert.is_false(schedule:any())
  end)

  it("has a turn at one place only, the last", function()
    schedule:make_ready(1)
    schedule:make_ready(2)
    schedule:make_ready(1)
    assert.same({ 2, 1 }, drain(schedule))
    schedule:make_ready(1)
    schedule:wait(1, 5)
    assert.is_false(schedule:any())
    assert.equal(5, schedule:wake())
    schedule:wait(1, 7)
    assert.equal(7, schedule:wake())
    schedule:make_ready(1)
    assert.is_true(schedule:wake() < 0)
    schedule:advance(100)
    assert.same({ 1 }, drain(schedule))
  end)

  it("wakes those whose moment has come, the earliest first, and no others", function()
    schedule:wait(1, 30)
    schedule:wait(2, 10)
    schedule:wait(3, 20)
    schedule:wait(4, 10)
    assert.equal(10, schedule:wake())
    schedule:advance(9.999)
    assert.is_false(schedule:any())
    schedule:advance(10)
    assert.equal(20, schedule:wake())
    schedule:advance(29)
    assert.same({ 2, 4, 3 }, drain(schedule))
    assert.equal(30, schedule:wake())
    schedule:advance(30)
    assert.same({ 1 }, drain(schedule))
    assert.is_true(schedule:wake() < 0)
  end)

  it("puts those that wake behind those that can go on already", function()
    schedule:wait(1, 1)
    schedule:make_ready(2)
    schedule:advance(1)
    assert.same({ 2, 1 }, drain(schedule))
  end)

  it("forgets who leaves, wherever he was", function()
    schedule:make_ready(1)
    schedule:wait(2, 5)
    for turn = 1, 3 do          -- 3 was nowhere
      schedule:leave(turn)
      schedule:leave(turn)
    end
    assert.is_false(schedule:any())
    assert.is_true(schedule:wake() < 0)
    schedule:advance(10)
    assert.is_nil(schedule:next())
  end)

  it("lets who was named leave, or come again", function()
    schedule:make_ready(1)
    assert.equal(1, schedule:next())
    schedule:leave(1)
    schedule:wait(1, 5)
    assert.equal(5, schedule:wake())
  end)

  -- Against lists that are searched.
  it("does the same as a slow one, whatever is asked", function()
    local draw = random.generator()
    local waiting, ready, now = {}, {}, 0

    local function leave(turn)
      for _, list in ipairs { waiting, ready } do
        for n = #list, 1, -1 do
          if list[n].turn == turn then table.remove(list, n) end
        end
      end
    end

    local acts = {
      function(turn)
        local at, wake = 1, now + draw(20)
        leave(turn)
        while waiting[at] and waiting[at].wake <= wake do at = at + 1 end
        table.insert(waiting, at, { turn = turn, wake = wake })
        schedule:wait(turn, wake)
      end,
      function(turn)
        leave(turn)
        ready[#ready + 1] = { turn = turn }
        schedule:make_ready(turn)
      end,
      function(turn)
        leave(turn)
        schedule:leave(turn)
      end,
      function()
        now = now + draw(5) - 1
        while waiting[1] and waiting[1].wake <= now do
          ready[#ready + 1] = table.remove(waiting, 1)
        end
        schedule:advance(now)
      end,
      function()
        local first = table.remove(ready, 1)
        local turn = schedule:next()
        if turn ~= (first and first.turn) then random.fail("next: %s", tostring(turn)) end
      end,
    }

    for n = 1, 20000 do
      acts[draw(#acts)](draw(TURNS))
      local wake = waiting[1] and waiting[1].wake or -1
      if schedule:any() ~= (ready[1] ~= nil) or schedule:wake() ~= wake then
        random.fail("act %d: %s %s", n, tostring(schedule:any()), schedule:wake())
      end
    end
    local rest = {}
    for n, entry in ipairs(ready) do rest[n] = entry.turn end
    assert.same(rest, drain(schedule))
  end)
end)
