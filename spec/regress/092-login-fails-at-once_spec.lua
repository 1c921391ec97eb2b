-- A login that failed before anything was sent, since no descriptor was left for a
-- poller, was not noticed by call objects that waited for it until their timeouts, one
-- after the other; and by blocking calls only after a quarter of a second, even if a
-- retry was due earlier.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"
local scarcity = require "spec.support.scarcity"

describe("a login that fails at once", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("delays no call that waits for it", function()
    child.run(scarcity.code .. [[
      for _, style in ipairs { styles[2], styles[1] } do
        local c = style.new(options { timeout = 50 })
        leave(0)
        local before = clock()
        local results = style.all(c, times(5))
        free()
        assert(clock() - before < 40, "it was noticed late")
        for _, result in ipairs(results) do
          same("connect", result[3].kind)
          assert(result[2]:find("login failed: cannot open a poller", 1, true), result[2])
        end
        good(style.all(c, times(5)))
        c:close()
      end
    ]], nil, scarcity.before)
  end)

  it("is tried again when its retry is due", function()
    child.run(scarcity.code .. [[
      local c = styles[1].new(options { timeout = 50, max_retries = 100 })
      leave(0)
      local before = clock()
      local results = styles[1].all(c, times(1))
      free()
      same("max_retries", results[1][3].retry_stopped)
      -- less than half a second; it took 25
      assert(clock() - before < 12, "it is tried four times a second")
    ]], nil, scarcity.before)
  end)
end)
