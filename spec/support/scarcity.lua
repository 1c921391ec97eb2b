-- Lua for a child (spec/support/child.lua) that runs out of descriptors: beside what is
-- open, leave(n) leaves it n, and free() gives them all back; spare() is how many those
-- are.

local scarcity = {}

scarcity.before = "ulimit -n 64; "

scarcity.code = [[
  local fillers = {}
  local function free()
    for _, file in ipairs(fillers) do file:close() end
    fillers = {}
  end
  local function fill()
    free()
    repeat
      local file = io.open "/dev/null"
      fillers[#fillers + 1] = file
    until not file
    return #fillers
  end
  local function leave(n)
    fill()
    for _ = 1, n do table.remove(fillers):close() end
  end
  local function spare()
    local count = fill()
    free()
    return count
  end
]]

return scarcity
