-- Waits for processes that a spec has started or ended.

local driver = require "spec.support.driver"
local socket = require "socket"

local processes = {}

-- Waits until the function returns a true value, and returns that. Limit: a minute.
function processes.eventually(check)
  local give_up = socket.gettime() + 60
  repeat
    local result = check()
    if result then return result end
    socket.sleep(0.01)
  until socket.gettime() > give_up
  error "it never came to be"
end

-- A process that ended but was not waited for yet (Z) counts as gone.
function processes.alive(pid)
  return driver.output("ps -o stat= -p " .. pid):find "^[^Z%s]" ~= nil
end

-- Returns when the process and its folder are gone.
function processes.until_gone(pid, dir)
  processes.eventually(function()
    return not driver.exists(dir) and not processes.alive(pid)
  end)
end

return processes
