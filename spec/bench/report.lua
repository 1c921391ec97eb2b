-- The tables of `make bench`: figures in, Markdown out, for README.md. Runs on Lua 5.1 to
-- 5.4 and LuaJIT.
--
--   figures = {
--     date =, cpu =, cores =, kernel =, pinned = boolean, versions = { string, ... },
--     tables = { { title =, rows = { row, ... } }, ... },      the first row is (a)
--     notes = { string, ... },
--     targets = { target, ... },
--     http = { rows = { { what =, one =, two = }, ... }, per_connection =, dearer = },
--   }
--   row = { name =, calls =, cpu =, instructions =, peak =, slow_calls =, slow_cpu = }
--   target = { what =, who =, value =, limit =, unit = "×" or "KiB", detail = }
--
-- Calls are per second, cpu is in seconds a call, peak in KiB; slow_: with the server's
-- delay. one, two: over HTTP/1.1, over HTTP/2. per_connection: the instructions that a
-- connection costs; dearer: those that a call over HTTP/2 costs more than over HTTP/1.1.
-- A figure that was not measured is nil or false.

local report = {}

-- 1234567.8 -> "1,234,568"
function report.whole(value)
  local grouped = ("%.0f"):format(value):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (grouped:gsub("^(%-?),", "%1"))
end

local function times(value) return ("%.2f"):format(value) end
local function micros(value) return ("%.1f"):format(value * 1e6) end
local function mebi(value) return ("%.1f"):format(value / 1024) end
local function rate(value)
  return value < 100 and ("%.1f"):format(value) or report.whole(value)
end

local function cell(value, show)
  return value and show(value) or "–"
end

local function ratio(value, base)
  return cell(value and base and value / base, times)
end

-- A table: the first columns are text, the others numbers.
local function grid(header, texts, rows)
  local lines = {
    "| " .. table.concat(header, " | ") .. " |",
    "|" .. (" --- |"):rep(texts) .. (" ---: |"):rep(#header - texts),
  }
  for n, cells in ipairs(rows) do
    lines[n + 2] = "| " .. table.concat(cells, " | ") .. " |"
  end
  return table.concat(lines, "\n")
end

local function contenders(rows)
  local base, cells = rows[1], {}
  for n, row in ipairs(rows) do
    cells[n] = {
      row.name,
      cell(row.instructions, report.whole), ratio(row.instructions, base.instructions),
      cell(row.cpu, micros), ratio(row.cpu, base.cpu),
      cell(row.calls, rate), cell(row.peak, mebi),
      cell(row.slow_cpu, micros), cell(row.slow_calls, rate),
    }
  end
  return grid({ "", "instructions a call", "× (a)", "CPU a call, µs", "× (a)", "calls/s",
    "peak, MiB", "delayed: CPU a call, µs", "calls/s" }, 1, cells)
end

local function targets(list)
  local cells = {}
  for n, target in ipairs(list) do
    local function show(value)
      return ("%.2f %s"):format(value, target.unit)
    end
    local verdict = "not measured"
    if target.value then
      verdict = target.value <= target.limit and "met" or "**not met**"
    end
    cells[n] = { target.what, target.who, verdict, cell(target.value, show),
      "≤ " .. show(target.limit), target.detail or "" }
  end
  return grid({ "", "", "", "measured", "target", "" }, 3, cells)
end

local function http(facts)
  local cells = {}
  for n, row in ipairs(facts.rows) do
    cells[n] = { row.what, cell(row.one, report.whole), cell(row.two, report.whole),
      ratio(row.two, row.one) }
  end
  return grid({ "", "HTTP/1.1", "HTTP/2", "×" }, 1, cells)
end

-- A sentence: for how many calls a connection must last to make HTTP/1.1 cheaper.
local function break_even(facts)
  if not facts.dearer then return "" end
  if facts.dearer <= 0 then
    return "With many in flight a call over HTTP/2 costs no more, and saves connections."
  end
  return ("Each connection that HTTP/2 saves is worth %s instructions, each call costs "
    .. "%s more: HTTP/1.1 is cheaper if a connection lasts for more than %s calls.")
    :format(report.whole(facts.per_connection), report.whole(facts.dearer),
      report.whole(math.ceil(facts.per_connection / facts.dearer)))
end

local function setting(figures)
  local cores = figures.pinned and "the server on one, the client on another"
    or "shared by server and client"
  return ("Measured by `make bench` on %s: %s, %d cores (%s), %s; %s."):format(
    figures.date, figures.cpu, figures.cores, cores, figures.kernel,
    table.concat(figures.versions, ", "))
end

function report.markdown(figures)
  local parts = {
    setting(figures),
    "(a) is the baseline: a C program that uses only libcurl and parses nothing. "
      .. "Connections are reused, and open before the measurement. Instructions are "
      .. "those of user space, counted by callgrind; CPU (user and system) and calls/s "
      .. "are medians. Delayed: the server takes 50 ms for an answer.",
  }
  local function add(text) parts[#parts + 1] = text end
  for _, t in ipairs(figures.tables) do
    add("**" .. t.title .. "**")
    add(contenders(t.rows))
  end
  add(table.concat(figures.notes, "\n"))
  add "**Targets**"
  add(targets(figures.targets))
  add "**HTTP/1.1 and HTTP/2** over TLS, this client on Lua 5.4"
  add(http(figures.http))
  add(break_even(figures.http))
  return (table.concat(parts, "\n\n"):gsub("%s*$", "\n"))
end

-- The text with `block` between the marks of that name (bench by default); nil and a
-- message if it has no such marks.
function report.replace(text, block, name)
  local first = "<!-- " .. (name or "bench") .. " -->"
  local _, from = text:find(first .. "\n", 1, true)
  local to = text:find((first:gsub("<!%-%- ", "%0/")), from or 1, true)
  if not from or not to then return nil, "no place for the tables: " .. first end
  return text:sub(1, from) .. block .. text:sub(to)
end

return report
