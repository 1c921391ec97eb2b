-- How the bench measures: programs run under meter.c or callgrind, medians of samples.
-- For Lua 5.4, as bench.lua.

local measure = {}

-- The output of a command, which must succeed.
function measure.output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "*a"
  if not pipe:close() then error("failed: " .. command .. "\n" .. text, 0) end
  return text
end

function measure.content(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

-- wrap: words that stand before each program; command(before): the command line with
-- those words before the program. Returns mark -> { wall =, cpu =, rss =, peak = }, in
-- seconds and KiB.
function measure.marks(wrap, command)
  local marks = {}
  local text = measure.output(command(wrap .. " build/bench/meter"))
  for mark, wall, cpu, rss, peak in text:gmatch "(%d+) (%S+) (%S+) (%d+) (%d+)\n" do
    marks[tonumber(mark)] = { wall = tonumber(wall), cpu = tonumber(cpu),
      rss = tonumber(rss), peak = tonumber(peak) }
  end
  return marks
end

-- The instructions that the whole run takes in user space.
function measure.instructions(wrap, command)
  local valgrind = " valgrind --tool=callgrind --callgrind-out-file=/dev/null"
  local text = measure.output(command(wrap .. valgrind) .. " 2>&1")
  return tonumber(text:match "Collected : (%d+)" or error(text, 0))
end

-- Samples by key; the median of a key is nil without samples.
function measure.samples()
  local lists = {}
  local samples = {}

  function samples.add(key, value)
    lists[key] = lists[key] or {}
    table.insert(lists[key], value)
  end

  function samples.median(key)
    local list = lists[key]
    if not list then return nil end
    table.sort(list)
    local middle = (#list + 1) / 2
    return (list[math.floor(middle)] + list[math.ceil(middle)]) / 2
  end

  return samples
end

return measure
