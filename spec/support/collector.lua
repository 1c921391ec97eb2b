-- The settings of the collector for every Lua: 5.5 has one option, "param", for them all.

local collector = {}

-- From now on the collector never rests. whole: each step is a whole cycle, as far as
-- this Lua allows. Returns a function that restores the settings.
function collector.eager(whole)
  if _VERSION == "Lua 5.5" then
    collectgarbage "incremental" -- the interpreter begins in the other mode
    local pause = collectgarbage("param", "pause", 0)
    local multiplier = collectgarbage("param", "stepmul", whole and 0 or 1000)
    return function()
      collectgarbage("param", "pause", pause)
      collectgarbage("param", "stepmul", multiplier)
    end
  end
  local pause = collectgarbage("setpause", 0)
  local multiplier = collectgarbage("setstepmul", whole and 1000000 or 1000)
  if whole and _VERSION == "Lua 5.4" then collectgarbage("incremental", 0, 1000, 20) end
  return function()
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", multiplier)
  end
end

return collector
