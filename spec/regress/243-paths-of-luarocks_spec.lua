-- After `eval "$(luarocks path)"` the demos and the sandbox did not start: nginx took
-- LUA_PATH for its Lua's own default, Lua 5.2 and later preferred LUA_PATH_5_4 to ours,
-- and lua-cjson of another Lua came first.

local driver = require "spec.support.driver"

local jit = rawget(_G, "jit")
local version = _VERSION:match "5%.%d"

describe("LUA_PATH and LUA_CPATH of the user's", function()
  local dir
  before_each(function()
    dir = driver.directory "paths"
    -- a module of the user's, older ones of ours, one that was built for another Lua
    driver.output(("cd %s && mkdir -p lua/uqpay lua/resty c && echo 'return 1' > "
      .. "lua/of_the_user.lua && echo 'error \"an old one\"' | tee lua/uqpay/env.lua "
      .. "lua/uqpay/pages.lua lua/resty/uqpay.lua && echo none | tee c/cjson.so "
      .. "c/uqpay.so"):format(driver.quote(dir)))
  end)
  after_each(function() driver.output(driver.command("rm", "-rf", dir)) end)

  -- The path of a script that runs nginx with UQPAY_WRAP, for a sanitized module.
  local function wrapped_nginx()
    local path = dir .. "/nginx"
    local file = assert(io.open(path, "w"))
    file:write('#!/bin/sh\nexec ${UQPAY_WRAP-} nginx "$@"\n')
    file:close()
    driver.output(driver.command("chmod", "+x", path))
    return path
  end

  -- Runs a script with variables of these names, each with or without ";;" at its end.
  local function run(names, last, script)
    local words = { "env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "-u", "LUA_PATH", "-u",
      "LUA_CPATH", "-u", "UQPAY_NGINX_PATH", "-u", "UQPAY_NGINX_CPATH",
      "LUA_BIN=" .. os.getenv "UQPAY_LUA", "LUA_ABI=" .. version,
      "UQPAY_NGINX=" .. wrapped_nginx(),
      "LUA_INIT=require 'of_the_user'", "ASAN_OPTIONS=detect_leaks=0" }
    for _, name in ipairs(names) do
      words[#words + 1] = "LUA_PATH" .. name .. "=" .. dir .. "/lua/?.lua" .. last
      words[#words + 1] = "LUA_CPATH" .. name .. "=" .. dir .. "/c/?.so" .. last
    end
    for _, word in ipairs(script) do words[#words + 1] = word end
    return driver.output(driver.command((table.unpack or unpack)(words)) .. " 2>&1")
  end

  local own = "_" .. version:gsub("%.", "_")
  local names = { [""] = { "" }, ["for all versions"] = { "", "_5_2", "_5_3", "_5_4",
    "_5_5" } }
  if version ~= "5.1" then names["for one version"] = { own } end

  for title, list in pairs(names) do
    for _, last in ipairs { "", ";;" } do
      local suffix = (" %s, with '%s'"):format(title, last)

      it("do not hinder the demo, and are not lost," .. suffix, function()
        local text = run(list, last, { "sh", driver.here .. "/demo.sh",
          os.getenv "UQPAY_OUT" })
        assert.matches("USD%s+5000.25", text)
      end)

      it("do not hinder the sandbox," .. suffix, function()
        local text = run(list, last, { "sh", "-c", 'sh "$1" start "$2" && '
          .. 'cat "$2/paths.conf"; sh "$1" stop "$2"', "sh",
          driver.here .. "/../../src/bin/uqpay-sandbox", dir .. "/sandbox" })
        if list[1] == "" then
          assert.matches(";;" .. dir .. "/lua/?.lua\";", text, 1, true)
          assert.matches(";;" .. dir .. "/c/?.so\";", text, 1, true)
        end
        assert.matches("UQPAY_BASE_URL='https://", text)
      end)
    end
  end

  if jit then
    for _, last in ipairs { "", ";;" } do
      it(("do not hinder the demo of nginx, with '%s'"):format(last), function()
        local text = run({ "" }, last, { "sh", driver.here .. "/demo_openresty.sh",
          os.getenv "UQPAY_OUT" })
        assert.matches('"available_balance":"5000.25"', text)
      end)
    end
  end
end)
