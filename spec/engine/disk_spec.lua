-- Tokens in a file on a disk that is full, over quota or broken, whichever system call
-- fails: the old file stays, no other file is left behind, the client still uses the
-- token of its login, and no lock is kept.

local child = require "spec.support.child"
local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

-- For the children: each(try) calls try once for each failure.
local prelude = [[
  local path = %q
  local says = { ENOSPC = "No space left on device", EIO = "Input/output error",
    EDQUOT = "Disk quota exceeded" }
  local function listing()
    local pipe = io.popen("ls " .. path .. "*; cat " .. path)
    local text = pipe:read "*a"
    pipe:close()
    return text
  end
  local function each(try)
    for _, place in ipairs { "create", "write", "fsync", "close", "rename" } do
      for code, message in pairs(says) do
        disk.fail(place .. " " .. code)
        try(message, place .. " " .. code)
        disk.fail "none"
      end
    end
  end
]]

describe("a token store on a disk that fails", function()
  local dir
  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    dir = driver.directory "disk"
  end)
  after_each(function() os.execute(driver.command("rm", "-rf", dir)) end)

  local function run(code, ...)
    return child.run(prelude:format(dir .. "/tokens") .. code, ...)
  end

  it("keeps what it has and says why", function()
    run([[
      local store = uqpay.file_store(path)
      assert(store:set("key", "secret"))
      local before = listing()
      each(function(why, where)
        for _, token in ipairs { "another", false } do
          local ok, message = store:set("key", token or nil)
          assert(ok == nil, where)
          assert(message:find(path, 1, true) and message:find(why, 1, true), message)
        end
        same(before, listing())
        same("secret", (store:get "key"))
      end)
      assert(store:set("key", "another"))
      same("another", (store:get "key"))
    ]], "disk")
  end)

  it("fails no call of a client, and its login keeps no lock", function()
    run([[
      local store, other = uqpay.file_store(path), uqpay.file_store(path)
      local key = sandbox.http_url .. " " .. sandbox.client_id
      assert(store:set(key, sandbox.expired_token))
      assert(store:set("another", "secret"))
      local before, logins = listing(), 0
      each(function(_, where)
        local style = styles[logins % #styles + 1]
        local c = style.new(options { token_store = store })
        good(style.all(c, times(3)))
        logins = logins + 1
        same(1, c:stats().logins)
        same(1, c:stats().hook_errors)
        same(logins, count "token")
        same(before, listing())
        assert(other:lock(key), where)
        assert(other:unlock(key))
      end)
      for _ = 1, 2 do
        local c = uqpay.new(options { token_store = store })
        assert(c:balance "USD")
        same(0, c:stats().hook_errors)
      end
      same(logins + 1, count "token")
      same("secret", (store:get "another"))
    ]], "disk")
  end)

  -- 4 KiB hold one file, not two.
  it("keeps what it has on a real disk that is full", function()
    if driver.output "unshare -m true 2>&1; echo $?" ~= "0\n" then
      return pending "no permission for mount namespaces"
    end
    local mount = "mount -t tmpfs -o size=4k,mode=700 none \"$0\" && exec \"$@\""
    local text = run([[
      local store = uqpay.file_store(path)
      assert(store:set("key", ("old"):rep(1000)))
      say(store:set("key", ("new"):rep(1000)))
      same(("old"):rep(1000), (store:get "key"))
      assert(store:lock "key" and store:unlock "key")
      os.execute("ls " .. path .. "*")
    ]], nil, driver.command("unshare", "-m", "sh", "-c", mount, dir) .. " ")
    local path = dir .. "/tokens"
    assert.equal(("nil\tcannot write %s: No space left on device\n%s\n%s.lock\n")
      :format(path, path, path), text)
    assert.equal("", driver.output("ls " .. dir))
  end)
end)
