-- examples/nginx/testing.conf, as it stands but for ports and paths: a user's tests of a
-- handler, with a sandbox in the worker.

if not rawget(_G, "jit") then
  describe("the example of tests within nginx", function()
    pending "nginx's Lua is LuaJIT"
  end)
  return
end

local driver = require "spec.support.driver"
local nginx = require "spec.support.nginx"

describe("the example of tests within nginx", function()
  local server
  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  it("passes, twice", function()
    local top = driver.output "pwd":match "[^\n]+"
    local file = assert(io.open "examples/nginx/testing.conf")
    local text = file:read "*a"
    file:close()
    server = nginx.start {
      conf = function(port)
        local conf = text
        for place, ours in pairs {
          ["\nload_module[^\n]*"] = "", ["127.0.0.1:8082"] = "127.0.0.1:" .. port,
          ["error_log stderr"] = "error_log error.log", ["daemon off"] = "daemon on",
          ["lua_package_path [^\n]*"] = nginx.package_paths(top
            .. "/examples/nginx/?.lua"),
          ["by_lua_file alarm_test"] = "by_lua_file " .. top
            .. "/examples/nginx/alarm_test",
        } do
          local count
          conf, count = conf:gsub(place, (ours:gsub("%%", "%%%%")))
          assert.is_true(count > 0, place)
        end
        return nginx.load_modules() .. conf
      end,
    }
    for _ = 1, 2 do
      local _, body = server:get "/test"
      assert.equal("passed\n", body, server:log())
    end
  end)
end)
