-- Each call of a burst left its easy handle in the pool, for ever: after thousands at
-- once a process kept all the memory that they had needed.

local child = require "spec.support.child"
local sandbox = require "spec.sandbox.sandbox"

-- Where a sanitizer or valgrind has the memory, its size says nothing.
local wrapped = (os.getenv "UQPAY_WRAP" or "") ~= ""

describe("a burst of calls", function()
  setup(function() sandbox.start() end)
  before_each(function() sandbox.reset() end)

  it("gives back most of the memory that it needed", function()
    if wrapped then return pending "the memory of this process is another's" end
    child.run [[
      local function resident()
        collectgarbage()
        collectgarbage()
        for line in io.lines "/proc/self/status" do
          local kib = line:match "^VmRSS:%s*(%d+)"
          if kib then return tonumber(kib) / 1024 end
        end
      end
      local client = uqpay.new(options { base_url = sandbox.url, rate_limit = 0 })
      local function burst(n)
        local calls, left, most = {}, n, 0
        for _ = 1, n do
          local call = client:start_balance "USD"
          calls[call:id()] = call
        end
        local ends = clock() + 60
        while left > 0 do
          assert(clock() < ends, "the calls do not end")
          client:step(0.1)
          for call in function() return client:ready() end do
            if call:step() then
              assert(call:result())
              left = left - 1
            end
          end
          if most == 0 and left < n then most = resident() end
        end
        return most
      end
      burst(30)
      local before = resident()
      local most = burst(3000)
      local left = resident()
      assert(most - before > 20, "no burst: " .. most - before)
      assert(left - before < (most - before) * 3 / 4,
        ("%.1f MiB before, %.1f in flight, %.1f after"):format(before, most, left))
      client:close()
    ]]
  end)
end)
