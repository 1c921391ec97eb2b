-- Which tasks of a client are due: the run queue of the engine.

local engine = require "engine"
local random = require "spec.support.random"

local TURNS = 64

-- All tasks that are due, in order.
local function drain(queue)
  local list = {}
  for task in queue.next, queue do list[#list + 1] = task end
  return list
end

describe("a run queue", function()
  local queue
  before_each(function() queue = engine.run_queue() end)

  it("is empty at first", function()
    assert.is_false(queue:has_ready())
    assert.is_nil(queue:next())
    assert.is_true(queue:wake() < 0)
    queue:advance(1e9)
    assert.is_nil(queue:next())
  end)

  it("returns due tasks once, in the order in which they became due", function()
    for _, task in ipairs { 3, 1, 2 } do queue:make_ready(task) end
    assert.is_true(queue:has_ready())
    assert.same({ 3, 1, 2 }, drain(queue))
    assert.is_false(queue:has_ready())
  end)

  it("keeps a task in one place, the latest", function()
    queue:make_ready(1)
    queue:make_ready(2)
    queue:make_ready(1)
    assert.same({ 2, 1 }, drain(queue))
    queue:make_ready(1)
    queue:wait(1, 5)
    assert.is_false(queue:has_ready())
    assert.equal(5, queue:wake())
    queue:wait(1, 7)
    assert.equal(7, queue:wake())
    queue:make_ready(1)
    assert.is_true(queue:wake() < 0)
    queue:advance(100)
    assert.same({ 1 }, drain(queue))
  end)

  it("wakes the tasks whose time has come, the earliest first, and no others", function()
    queue:wait(1, 30)
    queue:wait(2, 10)
    queue:wait(3, 20)
    queue:wait(4, 10)
    assert.equal(10, queue:wake())
    queue:advance(9.999)
    assert.is_false(queue:has_ready())
    queue:advance(10)
    assert.equal(20, queue:wake())
    queue:advance(29)
    assert.same({ 2, 4, 3 }, drain(queue))
    assert.equal(30, queue:wake())
    queue:advance(30)
    assert.same({ 1 }, drain(queue))
    assert.is_true(queue:wake() < 0)
  end)

  it("puts tasks that wake behind those that are due already", function()
    queue:wait(1, 1)
    queue:make_ready(2)
    queue:advance(1)
    assert.same({ 2, 1 }, drain(queue))
  end)

  it("forgets a task that leaves, from any place", function()
    queue:make_ready(1)
    queue:wait(2, 5)
    for task = 1, 3 do          -- 3 was nowhere
      queue:leave(task)
      queue:leave(task)
    end
    assert.is_false(queue:has_ready())
    assert.is_true(queue:wake() < 0)
    queue:advance(10)
    assert.is_nil(queue:next())
  end)

  it("lets a reported task leave, or be due again", function()
    queue:make_ready(1)
    assert.equal(1, queue:next())
    queue:leave(1)
    queue:wait(1, 5)
    assert.equal(5, queue:wake())
  end)

  -- Against lists that are searched from end to end.
  it("does the same as a simple one, at random", function()
    local draw = random.generator()
    local waiting, ready, now = {}, {}, 0

    local function leave(task)
      for _, list in ipairs { waiting, ready } do
        for n = #list, 1, -1 do
          if list[n].task == task then table.remove(list, n) end
        end
      end
    end

    local acts = {
      function(task)
        local at, wake = 1, now + draw(20)
        leave(task)
        while waiting[at] and waiting[at].wake <= wake do at = at + 1 end
        table.insert(waiting, at, { task = task, wake = wake })
        queue:wait(task, wake)
      end,
      function(task)
        leave(task)
        ready[#ready + 1] = { task = task }
        queue:make_ready(task)
      end,
      function(task)
        leave(task)
        queue:leave(task)
      end,
      function()
        now = now + draw(5) - 1
        while waiting[1] and waiting[1].wake <= now do
          ready[#ready + 1] = table.remove(waiting, 1)
        end
        queue:advance(now)
      end,
      function()
        local first = table.remove(ready, 1)
        local task = queue:next()
        if task ~= (first and first.task) then random.fail("next: %s", tostring(task)) end
      end,
    }

    for n = 1, 20000 do
      acts[draw(#acts)](draw(TURNS))
      local wake = waiting[1] and waiting[1].wake or -1
      if queue:has_ready() ~= (ready[1] ~= nil) or queue:wake() ~= wake then
        random.fail("act %d: %s %s", n, tostring(queue:has_ready()), queue:wake())
      end
    end
    local rest = {}
    for n, entry in ipairs(ready) do rest[n] = entry.task end
    assert.same(rest, drain(queue))
  end)
end)
