-- Tokens in a file that processes share: what it keeps, whom it trusts, how it fails, and
-- that of many processes one holds a lock. Whatever needs another process is tried in
-- children, run by the same Lua.

local driver = require "spec.support.driver"
local random = require "spec.support.random"
local socket = require "socket"
local uqpay = require "uqpay"

local output, quote = driver.output, driver.quote
local file_store = uqpay.file_store
local first_line = "# access tokens of uqpay, version 1\n"
local future = os.time() + 1800

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  file:close()
end

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

local function sh(format, ...)
  local words = { ... }
  for n, word in ipairs(words) do words[n] = quote(word) end
  return output(format:format((table.unpack or unpack)(words)) .. " 2>&1")
end

local root = sh "id -u" == "0\n"

-- For children in other folders.
local cpath = package.cpath:gsub("^[^/;]", sh "pwd":sub(1, -2) .. "/%0")

-- The prelude of every child, and the command that runs code in one. `disk` is what
-- fails there (see disk.c). Children of forks leave with their state as it is, which is
-- no leak.
local function command(path, code, disk)
  local wrap = disk and driver.preload "disk" or os.getenv "UQPAY_WRAP" or ""
  local prelude = ([[
    local uqpay, path = require "uqpay", %q
    local store = uqpay.file_store(path)
    local function say(...)
      print(...)
      io.stdout:flush()
    end
    local function exists(name)
      local file = io.open(name)
      if file then file:close() end
      return file ~= nil
    end
    local function wait(test)      -- until it is true; 60 seconds
      local socket = require "socket"
      local limit = socket.gettime() + 60
      while not test() do
        if socket.gettime() > limit then error "waited for too long" end
        socket.sleep(0.002)
      end
    end
    ]]):format(path)
  return driver.command("env", "ASAN_OPTIONS=detect_leaks=0", "UQPAY_WRAP=" .. wrap,
    "UQPAY_DISK=" .. (disk or ""), "LUA_PATH=" .. package.path,
    "LUA_CPATH=" .. cpath, assert(os.getenv "UQPAY_LUA", "run by make spec"), "-e",
    prelude .. code)
end

-- Runs code in a child to its end and returns what it printed; before is shell code.
local function run(path, code, disk, before)
  return output((before or "") .. " " .. command(path, code, disk) .. " 2>&1")
end

-- Starts a child that says its pid, and what it prints until it says "ready".
local function start(path, code, disk)
  local pipe = assert(io.popen("sh -c 'echo $$; exec \"$@\"' sh "
    .. command(path, code, disk) .. " 2>&1", "r"))
  local child = { pid = tonumber((pipe:read "*l")) }
  local said = {}
  repeat
    local line = pipe:read "*l"
    said[#said + 1] = line
  until not line or line == "ready"
  assert.equal("ready", said[#said], table.concat(said, "\n"))
  function child.kill() os.execute("kill -s KILL " .. child.pid) end
  function child.finish()
    local text = pipe:read "*a"
    pipe:close()
    return text
  end
  return child
end

-- Until the test is true.
local function eventually(test)
  local limit = socket.gettime() + 30
  repeat
    if test() then return end
    socket.sleep(0.002)
  until socket.gettime() > limit
  error("it never happens", 2)
end

-- The world's failure: nil and a message of one line that names the file and no secret.
local function refused(pattern, ...)
  assert.equal(2, select("#", ...))
  local value, message = ...
  assert.is_nil(value)
  assert.matches(pattern, message)
  assert.is_nil(message:find "%c")
  assert.is_nil(message:find("secret", 1, true))
end

local function raises(message, ...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.matches(message, err, 1, true)
  assert.is_nil(err:find("secret", 1, true))
end

describe("a file store", function()
  local dir, path, store

  before_each(function()
    dir = driver.directory "store"
    path = dir .. "/tokens"
    store = file_store(path)
  end)
  after_each(function()
    store = nil
    sh("rm -rf %s", dir)
  end)

  local function listing() return sh("ls -A %s", dir) end
  local function mode(name) return sh("stat -c %%a %s", name) end
  local function get(key)
    local token, expires_at = store:get(key)
    return { token, expires_at }
  end

  describe("keeps", function()
    it("tokens and their ends, for each key", function()
      assert.is_true(store:set("sandbox one", "secret 1", future))
      assert.is_true(store:set("sandbox two", "secret-2", future + 5))
      assert.is_true(store:set("sandbox", "secret3"))
      for _, other in ipairs { store, file_store(path) } do
        store = other
        assert.same({ "secret 1", future }, get "sandbox one")
        assert.same({ "secret-2", future + 5 }, get "sandbox two")
        assert.same({ "secret3" }, get "sandbox")
        assert.equal(2, select("#", store:get "sandbox"))
        assert.same({}, get "sandbox on")
        assert.equal(1, select("#", store:get "sandbox on"))
      end
      assert.is_true(store:set("sandbox one", "secret 4"))
      assert.same({ "secret 4" }, get "sandbox one")
      assert.same({ "secret-2", future + 5 }, get "sandbox two")
      assert.is_true(store:set "sandbox one")
      assert.is_true(store:set("never there", nil, future))
      assert.same({}, get "sandbox one")
      assert.same({ "secret3" }, get "sandbox")
    end)

    it("what any byte may be in, and the longest", function()
      local text = {}
      for byte = 32, 255 do
        if byte ~= 127 then text[#text + 1] = string.char(byte) end
      end
      text = table.concat(text)
      local longest = ("t"):rep(8192)
      assert.is_true(store:set(text, text .. "%s", future))
      assert.is_true(store:set(("k"):rep(2048), longest, 999999999999999))
      assert.same({ text .. "%s", future }, get(text))
      assert.same({ longest, 999999999999999 }, get(("k"):rep(2048)))
    end)

    it("an end as a whole number of seconds", function()
      for given, kept in pairs { [future + 0.75] = future, [0.5] = false, [1] = 1 } do
        assert.is_true(store:set("key", "secret", given))
        local _, expires_at = store:get "key"
        assert.equal(kept or nil, expires_at)
        if kept and math.type then assert.equal("integer", math.type(expires_at)) end
      end
      assert.is_true(store:set("key", "secret", -1 * 0.0))
      assert.same({ "secret" }, get "key")
    end)

    it("a token past its end until the file is written for another", function()
      assert.is_true(store:set("old", "secret", os.time() - 2))
      assert.same({ "secret", 1 }, { store:get "old" and "secret", 1 })
      assert.is_true(store:set("endless", "secret"))
      assert.same({}, get "old")
      assert.is_true(store:set("new", "secret", future))
      assert.same({ "secret" }, get "endless")
    end)

    it("nothing before it is asked to, and no file for a question", function()
      sh("rm -rf %s", dir)
      local early = file_store(path)
      sh("mkdir -m 700 %s", dir)
      assert.is_nil(early:get "key")
      assert.equal("", listing())
      assert.is_true(early:unlock "key")
      assert.equal("", listing())
      write(path, "")
      sh("chmod 600 %s", path)
      assert.equal(1, select("#", early:get "key"))
      assert.is_true(early:set("key", "secret"))
      assert.equal("secret", (early:get "key"))
    end)

    it("a lock for as long as another object refers to it", function()
      local inner, counted = store, 0
      local wrapper = {
        get = function(_, ...) counted = counted + 1 return inner:get(...) end,
        set = function(_, ...) return inner:set(...) end,
        lock = function(_, ...) return inner:lock(...) end,
        unlock = function(_, ...) return inner:unlock(...) end,
      }
      store = nil
      assert.is_true(wrapper:lock "key")
      collectgarbage()
      collectgarbage()
      assert.is_false(file_store(path):lock "key")
      assert.is_true(wrapper:set("key", "secret", future))
      assert.equal("secret", (wrapper:get "key"))
      assert.is_true(wrapper:unlock "key")
      assert.equal(1, counted)
    end)
  end)

  it("takes these arguments and no others", function()
    for _, bad in ipairs { "/", "/tmp/", "a\0b", ("p"):rep(1025) } do
      raises("path of a file, of at most 1024 bytes, expected", file_store, bad)
    end
    raises("path of a file expected, got an empty string", file_store, "")
    raises("expected, got an empty string", store.get, store, "")
    raises("string expected", file_store, {})
    for _, bad in ipairs { "", "a\nb", "a\tb", "a\0", "a\127", ("k"):rep(2049) } do
      for _, name in ipairs { "get", "set", "lock", "unlock" } do
        raises("bytes without control bytes expected", store[name], store, bad, "secret")
        raises("bad argument #2", store[name], store, bad, "secret")
      end
    end
    for _, bad in ipairs { "", "secret\n", "secret\t", "sec\0ret", ("s"):rep(8193) } do
      raises("bad argument #3", store.set, store, "key", bad)
    end
    for _, bad in ipairs { -1, -0.5, 1e15, math.huge, -math.huge, 0 / 0 } do
      raises("Unix seconds expected", store.set, store, "key", "secret", bad)
    end
    raises("bad argument #3", store.set, store, "key", {})
    raises("bad argument #4", store.set, store, "key", "secret", "soon")
    raises("bad argument #2", store.get, store)
    raises("bad argument #1 to 'get'", function() store:get "" end)
    for _, name in ipairs { "get", "set", "lock", "unlock" } do
      raises("use store:" .. name .. "(...), not store." .. name .. "(...)", store[name],
        "key", "secret")
    end
    assert.equal("", listing())
  end)

  it("writes for its owner only, whatever the umask", function()
    for _, umask in ipairs { "000", "077", "777" } do
      local there = dir .. "/" .. umask
      assert.equal("true\ttrue\tsecret\n", run(there, [[
        say(store:lock "key", store:set("key", "secret"), (store:get "key"))]], nil,
        "umask " .. umask .. ";"))
      assert.equal("600\n", mode(there))
      assert.equal("600\n", mode(there .. ".lock"))
    end
    assert.equal("000\n000.lock\n077\n077.lock\n777\n777.lock\n", listing())
  end)

  it("replaces the file, and never writes into it", function()
    assert.is_true(store:set("key", "secret"))
    local old = assert(io.open(path, "rb"))
    local before = sh("stat -c %%i %s", path)
    assert.is_true(store:set("key", "secret of another length", future))
    assert.not_equal(before, sh("stat -c %%i %s", path))
    assert.equal(first_line .. "0\tsecret\tkey\n", old:read "*a")
    old:close()
    assert.equal(("%s%d\tsecret of another length\tkey\n"):format(first_line, future),
      read(path))
    assert.equal("tokens\ntokens.lock\n", listing())
  end)

  it("is found from the working folder, and named in messages", function()
    assert.equal("true\tsecret\n", run("tokens", [[
      say(store:set("key", "secret"), (store:get "key"))]], nil,
      "cd " .. quote(dir) .. ";"))
    assert.equal("secret", (store:get "key"))
    assert.equal(1, select("#", file_store("/no such file of uqpay"):get "key"))
    sh("chmod 666 %s", path)
    refused("^" .. path:gsub("%p", "%%%0") .. " is open to others", store:get "key")
  end)

  describe("refuses", function()
    local good = first_line .. "0\tsecret\tkey\n"

    -- Each makes something in the place of the file at its argument.
    local things = {
      ["a symbolic link"] = { "symbolic link", function(name)
        write(name .. ".target", good)
        sh("chmod 600 %s; ln -s %s %s", name .. ".target", name .. ".target", name)
      end },
      ["a symbolic link to nowhere"] = { "symbolic link", function(name)
        sh("ln -s %s %s", dir .. "/nowhere", name)
      end },
      ["a symbolic link to itself"] = { "symbolic link", function(name)
        sh("ln -s %s %s", name, name)
      end },
      ["a folder"] = { "regular file", function(name)
        sh("mkdir -m 700 %s", name)
      end, "directory" },
      ["a FIFO"] = { "regular file", function(name)
        sh("mkfifo -m 600 %s", name)
      end },
      ["a file of another user"] = { "another user", function(name)
        if not root then
          print "store_spec: not root, so no file of another user could be made"
          return false
        end
        write(name, good)
        sh("chmod 600 %s; chown 65534 %s", name, name)
      end },
    }
    for _, bits in ipairs { "640", "620", "610", "604", "602", "601", "666", "777" } do
      things["a file of mode " .. bits] = { "open to others", function(name)
        write(name, good)
        sh("chmod " .. bits .. " %s", name)
      end }
    end

    for what, thing in pairs(things) do
      it(what, function()
        for _, suffix in ipairs { "", ".lock" } do
          local name = path .. suffix
          if thing[2](name) == false then return end
          local function state()
            return sh("stat -c '%%F %%a %%u %%s' %s; cat %s < /dev/null", name,
              what == "a FIFO" and "/dev/null" or name) .. listing()
          end
          local before = state()
          local pattern = suffix == ".lock" and thing[3] or thing[1]
          if suffix == "" then
            refused(pattern, store:get "key")
            sh("touch %s; chmod 600 %s", path .. ".lock", path .. ".lock")
            before = state()
          else
            assert.equal(1, select("#", store:get "key"))
            refused(pattern, store:lock "key")
          end
          refused(pattern, store:set("key", "another secret"))
          refused(pattern, store:set "key")
          assert.equal(before, state())
          sh("rm -rf %s %s", name, path .. ".lock")
        end
      end)
    end

    it("a folder in which others can replace files", function()
      assert.is_true(store:set("key", "secret"))
      for _, bits in ipairs { "777", "770", "707", "720", "702" } do
        sh("chmod " .. bits .. " %s", dir)
        refused("lets others replace its files", store:get "key")
        refused("lets others replace its files", store:set("key", "another secret"))
        refused("lets others replace its files", store:lock "key")
        assert.equal(good, read(path))
      end
      for _, bits in ipairs { "1777", "1770", "755", "711" } do
        sh("chmod " .. bits .. " %s", dir)
        assert.equal("secret", (store:get "key"))
        assert.is_true(store:set("key", "secret"))
        assert.is_true(store:lock "key")
        assert.is_true(store:unlock "key")
      end
    end)

    it("a folder of another user, sticky or not, but not one of root", function()
      if not root then
        print "store_spec: not root, so no folder of another user could be made"
        return
      end
      assert.is_true(store:set("key", "secret"))
      for _, bits in ipairs { "700", "755", "1777", "1700" } do
        sh("chmod " .. bits .. " %s; chown 65534 %s", dir, dir)
        refused("belongs to another user", store:get "key")
        refused("belongs to another user", store:set("key", "another secret"))
        refused("belongs to another user", store:lock "key")
        assert.equal(good, read(path))
        sh("chown 0 %s", dir)
        assert.equal("secret", (store:get "key"))
      end
      sh("chmod 700 %s", dir)
    end)

    it("a folder of root that others can write to, seen by another user", function()
      local code = ([[
        local store = require "uqpay".file_store "%s/of-nobody"
        print(store:set("key", "secret"))
        print(store:get "key")
      ]]):format(dir)
      local script = os.tmpname()
      write(script, code)
      local function ask(bits)
        sh("chmod " .. bits .. " %s; chmod 644 %s", dir, script)
        return sh("setpriv --reuid=65534 --regid=65534 --clear-groups env "
          .. "LUA_CPATH=%s %s %s 2>&1", package.cpath, os.getenv "UQPAY_LUA", script)
      end
      local text = ask "777"
      if not root or text:find "module 'uqpay' not found" or text:find "not found\n$"
        or text:find "lua%.sh'?: Permission denied" then
        print "store_spec: no other user could run this"
        return
      end
      assert.matches("lets others replace its files", text, 1, true)
      assert.equal("true\nsecret\tnil\n", ask "1777")
      assert.matches("^nil\tcannot make ", ask "755")
      sh("chmod 700 %s; rm -f %s %s/of-nobody*", dir, script, dir)
    end)

    it("a missing folder, or a file in its place", function()
      write(dir .. "/file", "")
      for folder, why in pairs { absent = "no folder " .. dir .. "/absent: No such",
        file = "tokens" } do
        local lost = file_store(dir .. "/" .. folder .. "/tokens")
        why = why:gsub("%p", "%%%0")
        refused(why, lost:get "key")
        refused(why, lost:set("key", "secret"))
        refused(why, lost:lock "key")
        assert.is_true(lost:unlock "key")
      end
      local long = file_store(dir .. "/" .. ("n"):rep(256))
      refused("cannot open", long:get "key")
      refused("cannot open", long:set("key", "secret"))
      local bell = file_store(dir .. "/a\nb/tokens")
      refused("a b", bell:get "key")
      -- the longest path, suffixes and message still fit
      local deep = dir .. ("/."):rep(600)
      local longest = file_store(deep:sub(1, 1024 - 7) .. "/" .. ("x"):rep(6))
      assert.is_true(longest:set("key", "secret"))
      sh("chmod 777 %s", dir)
      refused("lets others replace its files: chmod go%-w$", longest:get "key")
    end)

    local function damaged(text, why)
      if not read(path) then assert(store:set("key", "secret")) end    -- of mode 600
      write(path, text)
      why = why or "damaged, or no token store"
      refused(why, store:get "key")
      refused(why, store:set("other", "secret"))
      refused(why, store:set "key")
      assert.equal(text, read(path))
    end

    it("what it has not written, and leaves it as it is", function()
      local line = "0\tsecret\tkey\n"
      for _, text in ipairs {
        "\n", "\0", " ", "secret", line, first_line:sub(2), "\n" .. first_line .. line,
        first_line:gsub("1", "2") .. line, first_line:sub(1, -2) .. line,
        first_line .. "\n", first_line .. "\0", first_line .. "\t\t\n",
        first_line .. "\tsecret\tkey\n", first_line .. "0\t\tkey\n",
        first_line .. "0\tsecret\t\n", first_line .. "0\tsecret\n",
        first_line .. "0\tsecret\tkey\tmore\n", first_line .. "0 secret key\n",
        first_line .. "-1\tsecret\tkey\n", first_line .. "1.5\tsecret\tkey\n",
        first_line .. "1e9\tsecret\tkey\n", first_line .. "0x1\tsecret\tkey\n",
        first_line .. "1234567890123456\tsecret\tkey\n", first_line .. "0",
        first_line .. "0\tsecret\tkey\r\n", first_line .. "0\tsec\0ret\tkey\n",
        first_line .. "0\tsecret\tkey\0\n", first_line .. "0\tsecret\tk\127ey\n",
        first_line .. "0\t" .. ("s"):rep(8193) .. "\tkey\n",
        first_line .. "0\tsecret\t" .. ("k"):rep(2049) .. "\n",
        first_line .. line .. "0\tsecret\tother", first_line .. line .. "more\n",
        first_line .. line .. "\n", "\0" .. first_line .. line,
      } do
        damaged(text)
      end
    end)

    it("a file that ends too early, wherever that is", function()
      assert.is_true(store:set("key", "secret", future))
      assert.is_true(store:set("other", "secret of another", future))
      local whole = read(path)
      local accepted = 0
      for len = 1, #whole - 1 do
        local cut = whole:sub(1, len)
        if cut == first_line or cut:match "^[^\n]+\n[^\n]+\n$" then
          write(path, cut)
          assert.same({}, get "key")
          assert.same(cut ~= first_line and { "secret of another", future } or {},
            get "other")
          accepted = accepted + 1
        else
          damaged(cut)
        end
      end
      assert.equal(2, accepted)
    end)

    it("random bytes, and never believes changed ones to be a store's", function()
      local draw = random.generator()
      for _ = 1, 200 do
        local bytes = {}
        for n = 1, draw(60) do bytes[n] = string.char(draw(256) - 1) end
        damaged(table.concat(bytes))
        damaged(first_line .. table.concat(bytes))
      end
    end)

    it("more than 64 KiB, and one token too many", function()
      local line = "0\t" .. ("s"):rep(8000) .. "\t%d\n"
      local lines = { first_line }
      for n = 1, 8 do lines[n + 1] = line:format(n) end
      local text = table.concat(lines)
      local room = 65536 - #text
      local last = ("0\t%s\tkey\n"):format(("l"):rep(room - 7))
      write(path, text .. last)
      sh("chmod 600 %s", path)
      assert.equal(room - 7, #store:get "key")
      refused("full, use several files", store:set("other", "secret"))
      assert.equal(text .. last, read(path))
      assert.is_true(store:set("key", ("n"):rep(room - 7)))
      assert.equal(65536, #read(path))
      refused("full, use several files", store:set("key", ("n"):rep(room - 6)))
      assert.is_true(store:set "key")
      assert.equal(#text, #read(path))
      assert.is_true(store:set("other", "secret"))
      damaged(text .. last .. "0", "File too large")
      assert.equal("tokens\ntokens.lock\n", listing())
    end)
  end)

  describe("on a disk that fails", function()
    local code = [[
      say(store:set("key", "another secret"))
      say(store:set "key")]]

    for disk, message in pairs {
      write = "No space left on device", fsync = "Input/output error",
      close = "Disk quota exceeded", rename = "Invalid cross%-device link",
      create = "Read%-only file system", fchmod = "Operation not permitted",
      read = "Input/output error",
    } do
      it("(" .. disk .. ") keeps what it has and says why", function()
        assert.is_true(store:set("key", "secret", future))
        local before = read(path) .. sh("stat -c %%i %s", path)
        local text = run(path, code, disk)
        local first, second, more = text:match "^nil\t([^\n]+)\nnil\t([^\n]+)\n(.*)$"
        assert.equal("", more, text)
        assert.matches(message, first)
        assert.matches(message, second)
        assert.is_truthy(first:find(path, 1, true))
        assert.is_nil(text:find("secret", 1, true))
        assert.equal(before, read(path) .. sh("stat -c %%i %s", path))
        assert.equal("tokens\ntokens.lock\n", listing())
        if disk == "read" then
          assert.matches("^nil\tcannot read .*error\n$", run(path, [[
            say(store:get "key")]], disk))
        end
      end)

      it("(" .. disk .. ") leaves nothing where there was nothing", function()
        if disk == "read" then return end     -- nothing is read there
        assert.matches("^nil\t[^\n]+" .. message .. "\n", run(path, code, disk))
        assert.is_nil(read(path))
        assert.is_nil(listing():find "tokens%.%x")
      end)
    end

    it("(a limit of the shell's) keeps what it has and says why", function()
      assert.is_true(store:set("key", "secret", future))
      local before = read(path)
      assert.matches("^nil\tcannot write [^\n]+: File too large\n$", run(path, [[
        say(store:set("key", ("t"):rep(8000)))]], nil, "trap '' XFSZ; ulimit -f 1;"))
      assert.equal(before, read(path))
      assert.equal("tokens\ntokens.lock\n", listing())
    end)

    it("(interruptions, byte by byte) does its work all the same", function()
      assert.equal("true\ttrue\ntrue\ttrue\nsecret\t12\nnil\n", run(path, [[
        say(store:lock "key", store:set("key", "secret", 12))
        say(store:unlock "key", store:set("other", "another secret"))
        store:set("key", "secret", 12)
        say(store:get "key")
        say(store:get "none")]], "slow"))
      assert.same({ "another secret" }, get "other")
    end)

    it("(others make the same file) shares their locks, and not their files", function()
      local text = run(path, [[
        say(store:lock "key")
        say(store:set("key", "secret"))
        say(store:unlock "key", store:get "key")]], "race")
      assert.matches("^true\nnil\tcannot write [^\n]+: File exists\ntrue\tnil\n$", text)
      assert.matches("^tokens%.%x+\ntokens%.lock\n$", listing())
    end)

    it("(no locks) writes and locks nothing", function()
      assert.is_true(store:set("key", "secret", future))
      local before = read(path)
      local text = run(path, [[
        say(store:get "key")
        say(store:lock "key")
        say(store:set("key", "another"))
        say(store:unlock "key")]], "nolock")
      assert.matches("^secret\t%d+\nnil\tcannot lock [^\n]+: No locks available\n"
        .. "nil\tcannot lock [^\n]+: No locks available\ntrue\n$", text)
      assert.equal(before, read(path))
    end)
  end)

  -- The same for the locks of open file descriptions, and where the system has none.
  for name, disk in pairs { ["the system's best"] = false, ["POSIX"] = "posix" } do
    disk = disk or nil

    describe("with " .. name .. " locks", function()
      it("gives one to one store of the process, for each key", function()
        assert.equal("", run(path, [[
          local other = uqpay.file_store(path)
          assert(store:lock "a" == true)
          assert(store:lock "a" == false)
          assert(other:lock "a" == false)
          assert(other:lock "b" == true)
          assert(store:lock "b" == false)
          assert(other:unlock "a" == true)       -- it is not its own
          assert(other:lock "a" == false)
          assert(store:unlock "a" == true)
          assert(store:unlock "a" == true)
          assert(other:lock "a" == true)
          assert(other:unlock "a" and other:unlock "b")
          assert(store:lock "b" == true and store:lock "a" == true)]], disk))
        assert.is_true(store:lock "a")
        assert.is_true(store:unlock "a")
      end)

      it("keeps it whatever else becomes of the file, until it is collected", function()
        local child = start(path, ([[
          local function others()
            local other = uqpay.file_store(path)
            assert(other:lock "b" and other:unlock "b")
            assert(other:lock "key" == false)
            assert(other:lock "c")
            assert(other:set("key", "secret"))
            assert(store:set("key", "secret"))
            local refused = uqpay.file_store(path .. "/x")
            assert(not refused:lock "key")
          end
          assert(store:lock "key")
          others()
          collectgarbage()
          collectgarbage()
          assert(uqpay.file_store(path):lock "c", "the collected store keeps a lock")
          if %s then      -- any descriptor that is closed takes POSIX locks away
            assert(io.open(path .. ".lock", "r+")):close()
          end
          say "ready"
          wait(function() return exists(path .. ".go") end)
          store = nil
          collectgarbage()
          collectgarbage()
          say "collected"
          wait(function() return exists(path .. ".end") end)
          say "end"]]):format(tostring(disk == nil)), disk)
        assert.is_false(store:lock "key")
        assert.is_false(store:lock "key")
        assert.equal("secret", (store:get "key"))
        assert.is_true(store:set("key", "another secret"))
        assert.is_false(store:lock "key")
        write(path .. ".go", "")
        eventually(function() return store:lock "key" end)
        write(path .. ".end", "")
        assert.equal("collected\nend\n", child.finish())
        assert.is_true(store:unlock "key")
      end)

      it("loses it with its process, however that ends", function()
        for _, ending in ipairs { "kill", "exit" } do
          local child = start(path, [[
            assert(store:lock "key")
            say "ready"
            wait(function() return exists(path .. ".go") end)
            require("fork").leave(0)]], disk)
          assert.is_false(store:lock "key")
          if ending == "kill" then child.kill() else write(path .. ".go", "") end
          child.finish()
          assert.is_true(store:lock "key")
          assert.is_true(store:unlock "key")
        end
      end)

      it("leaves it to the parent after a fork, the child has its own", function()
        local text = run(path, [[
          local fork = require "fork"
          assert(store:lock "key")
          local pid = fork.fork()
          if pid == 0 then
            say(store:lock "key", store:unlock "key", store:lock "key")
            say(store:lock "other")
            store = nil
            collectgarbage()
            collectgarbage()
            os.exit(0)
          end
          say(fork.wait(pid))
          pid = fork.fork()
          if pid == 0 then
            say(uqpay.file_store(path):lock "key")
            os.exit(0)
          end
          say(fork.wait(pid))
          local other = uqpay.file_store(path)
          assert(other:lock "key" == false)
          store:unlock "key"
          say(other:lock "key")]], disk)
        assert.equal("false\ttrue\tfalse\ntrue\nexit\t0\nfalse\nexit\t0\ntrue\n", text)
      end)

      it("loses it with the process that took it, though its child lives on", function()
        local child = start(path, [[
          local fork = require "fork"
          assert(store:lock "key" and store:lock "another")
          local pid = fork.fork()
          if pid == 0 then
            wait(function() return exists(path .. ".go") end)
            say "child"
            fork.leave(0)
          end
          say "ready"
          wait(function() return exists(path .. ".gone") end)
          fork.leave(0)]], disk)
        assert.is_false(store:lock "key")
        write(path .. ".gone", "")
        eventually(function() return store:lock "key" end)
        assert.is_true(store:lock "another")
        write(path .. ".go", "")
        assert.equal("child\n", child.finish())
        store:unlock "key"
        store:unlock "another"
      end)

      -- One of twenty mints, while each of the others is refused the lock at least once.
      it("lets one of twenty processes mint", function()
        write(path .. ".refused", "")
        local shell = { "( " }
        for n = 1, 20 do
          shell[#shell + 1] = command(path, ([[
            local function note(name, text)
              local file = assert(io.open(path .. name, "a"))
              file:write(text)
              file:close()
            end
            local function refusals()
              local file = assert(io.open(path .. ".refused"))
              local text = file:read "*a"
              file:close()
              return #text
            end
            local token, was_refused
            wait(function()
              local message
              token, message = store:get "key"
              if token then return true end
              assert(not message, message)
              local held, why = store:lock "key"
              assert(held ~= nil, why)
              if not held then
                if not was_refused then note(".refused", "r") end
                was_refused = true
                return false
              end
              token = store:get "key"
              if not token then
                wait(function() return refusals() == 19 end)
                token = "secret of %d"
                note(".minted", token .. "\n")
                assert(store:set("key", token, %d))
              end
              store:unlock "key"
              return true
            end)
            say(token)]]):format(n, future), disk) .. " & "
        end
        shell[#shell + 1] = "wait ) 2>&1"
        local lines = output(table.concat(shell))
        local minted = read(path .. ".minted")
        assert.matches("^secret of %d+\n$", minted, nil, lines)
        assert.equal(minted:rep(20), lines)
      end)

      it("never lets two of twenty processes in", function()
        write(path .. ".count", "0")
        local code = [[
          for _ = 1, 10 do
            wait(function()
              local held, why = store:lock "key"
              assert(held ~= nil, why)
              return held
            end)
            if exists(path .. ".inside") then say "two are in" end
            assert(io.open(path .. ".inside", "w")):close()
            local file = assert(io.open(path .. ".count"))
            local count = file:read "*n"
            file:close()
            require("socket").sleep(0.0005)
            file = assert(io.open(path .. ".count", "w"))
            file:write(("%d"):format(count + 1))
            file:close()
            os.remove(path .. ".inside")
            store:unlock "key"
          end]]
        local child = command(path, code, disk)
        assert.equal("", output("( for n in $(seq 20); do " .. child
          .. " & done; wait ) 2>&1"))
        assert.equal("200", read(path .. ".count"))
      end)

      it("loses no token of several writers, and readers see whole files", function()
        local code = [[
          local me = os.getenv "ME"
          for n = 1, 15 do
            assert(store:set("writer " .. me, ("secret %s "):format(me):rep(n * 20)))
            assert(store:set("writer " .. me .. ", round " .. n, "secret"))
            local token, message = store:get("writer " .. me)
            assert(token == ("secret %s "):format(me):rep(n * 20), message)
          end]]
        local child = command(path, code, disk)
        assert.equal("", output("( for n in 1 2 3 4 5 6; do ME=$n " .. child
          .. " & done; wait ) 2>&1"))
        for me = 1, 6 do
          for n = 1, 15 do
            assert.same({ "secret" }, get("writer " .. me .. ", round " .. n))
          end
        end
        assert.is_nil(listing():find "tokens%.%x")
      end)
    end)
  end

  it("that is collected is closed for finalizers as well", function()
    assert.equal("false\tattempt to use a closed uqpay file store\n", run(path, [[
      local function finalizer()
        local ok, message = pcall(Kept.get, Kept, "key")
        say(ok, (message:gsub("^.-: ", "")))
      end
      local object       -- older than the store, so it is finalized after it
      if newproxy then
        object = newproxy(true)
        getmetatable(object).__gc = finalizer
      else
        object = setmetatable({}, { __gc = finalizer })
      end
      Kept = uqpay.file_store(path)
      assert(Kept:lock "key")]]))
    assert.is_true(store:lock "key")
    store:unlock "key"
  end)

  it("opens a descriptor only as long as needed, and no child inherits it", function()
    assert.is_true(store:lock "theirs")
    assert.equal("0\n1\n0\n0\n", run(path, [[
      local function output(command)
        local pipe = io.popen(command)
        local text = pipe:read "*a"
        pipe:close()
        return text
      end
      -- of all but the command's own pipe, whose other end may go while it is listed
      local function count(pid)
        local list = output("ls -l /proc/" .. pid .. "/fd 2> /dev/null")
          :gsub("[^\n]+pipe:[^\n]+.", ""):gsub("l%?[^\n]+.", "")
        return select(2, list:gsub("\n", "")), select(2, list:gsub("/tokens", ""))
      end
      local before = count "$PPID"
      local function more() return count "$PPID" - before end
      for n = 1, 20 do
        local other = uqpay.file_store(path)
        assert(store:lock "key" and other:lock "another")
        assert(store:set("key", "secret") and store:get "key")
        assert(not store:lock "theirs")
        assert(not other:lock "key" and other:unlock "another" and store:unlock "key")
        assert(not store:lock "theirs")
        assert(not uqpay.file_store("/dev/null"):get "key")
        assert(not uqpay.file_store(path .. "/x"):lock "key")
      end
      say(more())
      assert(store:lock "key" and store:lock "another")
      say(more())
      say(select(2, count "self"))
      store:unlock "key"
      store:unlock "another"
      say(more())]]))
    store:unlock "theirs"
  end)
end)
