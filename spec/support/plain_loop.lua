-- An event loop of nothing but coroutines, as uqpay.loop wants one. The module is a
-- function, of a function that waits until a descriptor is readable. What a coroutine
-- raises ends run(), which can be called again.

return function(poll)
  local tasks, loop = {}, {}

  local function turn(task)
    task.wants = false
    local ok, wants = coroutine.resume(task.co)
    if not ok then error(wants, 0) end
    task.wants = wants or false
  end

  -- Begins at once: a task that cannot is its spawner's error.
  function loop.spawn(f)
    local task = { co = coroutine.create(f), wants = false }
    tasks[#tasks + 1] = task
    turn(task)
  end

  function loop.inside() return loop end

  -- A task that waits yields a table, whose `ready` is true if it can be resumed.
  function loop.watch(fd)
    local wanted = { ready = false, fd = fd }
    return {
      wait = function()
        wanted.ready = false
        coroutine.yield(wanted)
      end,
      stop = function() wanted.fd, wanted.ready = false, true end,
    }
  end

  function loop.park(waiter)
    waiter.parked = waiter.parked or { ready = false, fd = false }
    waiter.parked.ready = false
    coroutine.yield(waiter.parked)
  end

  function loop.wake(waiter) waiter.parked.ready = true end

  -- Resumes every task that is ready. True if there was one.
  local function round()
    local some, n = false, 1
    while tasks[n] do
      local task = tasks[n]
      if coroutine.status(task.co) == "dead" then
        table.remove(tasks, n)
      else
        if not task.wants or task.wants.ready then
          some = true
          turn(task)
        end
        n = n + 1
      end
    end
    return some
  end

  function loop.run()
    while tasks[1] do
      if not round() and tasks[1] then
        local watched
        for _, task in ipairs(tasks) do
          if task.wants.fd then watched = task.wants end
        end
        assert(watched, "somebody waits for ever: " .. debug.traceback(tasks[1].co))
        poll(watched.fd)
        watched.ready = true
      end
    end
  end

  -- The same, until it ends without an error: after one, other tasks may still run.
  function loop.run_all()
    repeat
      local ok, why = pcall(loop.run)
      local late = not ok
        and (why:find("not enough memory", 1, true) or why:find("has died", 1, true))
      if not (ok or late) then error(why, 0) end
    until ok
  end

  function loop.is_idle() return not tasks[1] end

  return loop
end
