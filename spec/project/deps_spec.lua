-- The packages that `make deps` and its relatives would install, with stand-ins for apt
-- and dpkg; the Luas that the specs run on; the totals of several runs.

local driver = require "spec.support.driver"

local dir

-- For a group of specs: a directory for each, with a folder of programs.
local function with_directory()
  before_each(function()
    dir = driver.directory "deps"
    driver.output("mkdir " .. driver.quote(dir .. "/bin"))
  end)
  after_each(function() driver.output(driver.command("rm", "-rf", dir)) end)
end

local function write(name, text)
  local file = assert(io.open(dir .. "/" .. name, "w"))
  file:write(text)
  file:close()
end

local function program(name, body)
  write("bin/" .. name, "#!/bin/sh\n" .. body .. "\n")
  driver.output("chmod +x " .. driver.quote(dir .. "/bin/" .. name))
end

-- A system that has `installed`, and whose suite has `available`: lists of packages.
local function system(os_release, installed, available, user)
  write("os-release", os_release)
  write("installed", " " .. installed:gsub("%s+", " ") .. " ")
  write("available", " " .. available:gsub("%s+", " ") .. " ")
  program("id", "echo " .. (user or 0))
  program("dpkg-query", [[for name; do
    ! grep -q " $name " "$DIR/installed" || echo "$name install ok installed"
  done]])
  program("apt-cache", [[for name; do
    grep -q " $name " "$DIR/available" && candidate=1.0 || candidate='(none)'
    printf '%s:\n  Installed: (none)\n  Candidate: %s\n' "$name" "$candidate"
  done]])
  program("apt-get", [[echo "$@" >> "$DIR/asked"]])
end

-- Returns the output, the exit status and what apt-get was called with.
local function deps(target, path)
  local output = driver.output(("DIR=%s OS_RELEASE=%s PATH=%s sh spec/support/deps.sh %s "
    .. "2>&1; echo \"status $?\""):format(driver.quote(dir), driver.quote(
      dir .. "/os-release"), driver.quote(path or dir .. "/bin:" .. os.getenv "PATH"),
      target))
  local asked = driver.output("cat " .. driver.quote(dir .. "/asked") .. " 2> /dev/null")
  return output, tonumber(output:match "status (%d+)\n$"), asked
end

local function words(text)
  local set = {}
  for word in text:gmatch "%S+" do set[word] = true end
  return set
end

local basic = "gcc libc6-dev make libcurl4-openssl-dev lua5.4 liblua5.4-dev lua-cjson "
  .. "nginx libnginx-mod-http-lua openssl curl procps "
local more = "lua5.1 liblua5.1-0-dev lua5.3 liblua5.3-dev lua-busted lua-socket lua-sec "
  .. "lua-check luarocks lua-cqueues lua-luv lua-copas lua-coxpcall ca-certificates "
  .. "locales iproute2 clang clang-format clang-tidy libclang-rt-dev llvm pmccabe "
  .. "valgrind debootstrap mount lua-http "
local old = more .. "luajit2 libluajit2-5.1-dev luajit libluajit-5.1-dev lua5.2 "
  .. "liblua5.2-dev lua-curl "
local new = more .. "luajit libluajit-5.1-dev lua5.5 liblua5.5-dev "
local debian = 'ID=debian\n'

describe("dependencies:", function()
  with_directory()

  it("deps installs the demo's packages, and no tools of the specs", function()
    system(debian, "make", basic .. old)
    local output, status, asked = deps "deps"
    assert.equal(0, status, output)
    local update, install = asked:match "^(.-)\n(.-)\n$"
    assert.matches("Acquire::Retries=%d.* update", update)
    assert.matches("Acquire::Retries=%d.* install .*%-%-no%-install%-recommends", install)
    local list = words(install)
    for name in basic:gmatch "%S+" do
      assert.equal(name ~= "make", list[name] == true, name)
    end
    assert.is_true(list["libluajit2-5.1-dev"])
    for name in old:gmatch "%S+" do
      assert.equal(name == "libluajit2-5.1-dev" or nil, list[name], name)
    end
  end)

  it("dev-deps takes the LuaJIT that there is, and says what there is not", function()
    system(debian, basic, basic .. new)
    local output, status, asked = deps "dev-deps"
    assert.equal(0, status, output)
    local list = words(asked)
    for name in new:gmatch "%S+" do
      assert.equal(name ~= "lua-http" or nil, list[name], name)
    end
    assert.matches("no package of: lua5.2 liblua5.2-dev\n", output, 1, true)

    system(debian, basic, basic .. old)
    os.remove(dir .. "/asked")
    output, status, asked = deps "dev-deps"
    assert.equal(0, status, output)
    list = words(asked)
    assert.is_true(list.luajit2 and list["lua5.2"])
    assert.is_nil(list.luajit or list["libluajit-5.1-dev"])
    assert.matches("no package of: lua5.5 liblua5.5-dev\n", output, 1, true)
  end)

  it("the network is not used when everything is installed", function()
    for _, suite in ipairs { old, new } do
      for _, target in ipairs { "deps", "dev-deps", "bench-deps", "matrix-deps" } do
        system(debian, basic .. suite, basic .. suite, 1000)
        local output, status, asked = deps(target)
        assert.equal(0, status, output)
        assert.equal("", asked)
        assert.matches("\n" .. target .. ": everything is installed\n", "\n" .. output, 1,
          true)
      end
    end
  end)

  it("the headers of another libcurl are not replaced", function()
    local have = basic:gsub("openssl%-dev", "gnutls-dev")
    system(debian, have .. new, basic .. new, 1000)
    local output, status = deps "deps"
    assert.equal(0, status, output)
  end)

  it("only root installs", function()
    for _, target in ipairs { "deps", "dev-deps" } do
      system(debian, "make", basic .. new, 1000)
      local output, status, asked = deps(target)
      assert.equal(1, status)
      assert.equal("", asked)
      assert.matches(target .. ": run 'sudo make " .. target .. "' (", output, 1, true)
      assert.matches(" lua-cjson ", output, 1, true)
    end
  end)

  it("an update that fails leaves what can be installed", function()
    system(debian, "make", basic .. new)
    program("apt-get", 'echo "$@" >> "$DIR/asked"; case $* in *update*) exit 100 ;; esac')
    local output, status, asked = deps "deps"
    assert.equal(0, status, output)
    assert.matches("install .* lua%-cjson", asked)
    assert.matches("deps: apt's lists may be old\n", output, 1, true)
  end)

  it("a package that is needed and in no repository is named", function()
    system(debian, basic, basic .. new:gsub("lua%-busted", ""))
    local output, status, asked = deps "dev-deps"
    assert.equal(1, status)
    assert.matches("do not have: lua-busted\n", output, 1, true)
    assert.is_nil(asked:find "install")
  end)

  it("another system's packages are named, and nothing fails", function()
    local names = { "Fedora +dnf install .* libcurl%-devel lua%-devel",
      "Alpine +apk add .* lua5%.4%-cjson", "Arch +pacman %-S .* lua54",
      "Homebrew +brew install .* openresty/brew/openresty" }
    for _, os_release in ipairs { "ID=fedora\n", 'ID="rhel"\nID_LIKE="fedora"\n',
      "ID=alpine\n", "ID=arch\n", "" } do
      system(os_release, "", basic)
      local output, status, asked = deps "deps"
      assert.equal(0, status)
      assert.equal("", asked)
      for _, name in ipairs(names) do assert.matches(name, output) end
    end
    -- Without apt-get, and without a file that tells the system.
    system(debian, "", basic)
    driver.output(("cd %s && for name in sh grep cat tr; do "
      .. "ln -s $(command -v $name) bin/; done; rm bin/apt-get")
      :format(driver.quote(dir)))
    local output, status = deps("deps", dir .. "/bin")
    assert.equal(0, status)
    assert.matches("brew install", output)
    os.remove(dir .. "/os-release")
    output, status = deps "deps"
    assert.equal(0, status)
    assert.matches("brew install", output)
  end)

  it("derivatives of Debian are taken for Debian", function()
    system('ID=ubuntu\nID_LIKE=debian\n', "make", basic .. new)
    local _, status, asked = deps "deps"
    assert.equal(0, status)
    assert.matches("lua5.4", asked, 1, true)
  end)
end)

describe("the Luas of make check", function()
  it("are those that are installed, and why one is not is said", function()
    local output = driver.output "MAKE=make sh spec/support/luas.sh 5.4 4.9 jit 2>&1"
    assert.matches("Lua 4.9 is left out: there is no lua4.9\n", output, 1, true)
    assert.matches("\n5%.4[^\n]*\n$", output)
  end)

  it("leave out one without the modules of the specs", function()
    local output = driver.output(
      "MAKE=make LUA_PATH=none LUA_CPATH=none sh spec/support/luas.sh 5.4 2>&1")
    assert.equal("Lua 5.4 is left out: there is no module busted for it\n\n", output)
  end)

  it("on the command line are taken as they are", function()
    local output = driver.output "env -u MAKEFLAGS make -n LUAS='4.9 5.4' check 2>&1"
    local names = {}
    for name in output:gmatch "'spec (LUA=%S+ PART=%S+)'" do names[name] = true end
    for _, name in ipairs { "LUA=5.4 PART=1/6", "LUA=5.4 PART=6/6",
      "LUA=4.9 PART=2/2" } do
      assert.is_true(names[name], name .. ": " .. output)
    end
  end)
end)

describe("the parts of the specs", function()
  -- What make puts in place of a text, without the variables of the run.
  local function made(text, variables)
    return driver.output("env -u MAKEFLAGS -u SPEC -u PART -u UQPAY_BINDING_ONLY "
      .. "-u UQPAY_SECOND make -s --no-print-directory " .. variables
      .. " --eval='made:;@echo " .. text .. "' made")
  end

  local function chosen(variables)
    local seen = {}
    for file in made("$(CHOSEN)", variables):gmatch "%S+" do
      assert.is_nil(seen[file], file)
      seen[file] = true
    end
    return seen
  end

  it("are together all files, each in one", function()
    local seen = {}
    for part = 1, 6 do
      for file in pairs(chosen("PART=" .. part .. "/6")) do
        assert.is_nil(seen[file], file)
        seen[file] = true
      end
    end
    for _, file in ipairs(driver.lines(driver.output "ls spec/*/*_spec.lua")) do
      assert.is_true(seen[file], file)
      seen[file] = nil
    end
    assert.is_nil(next(seen))
  end)

  it("are without what two Luas are enough for, if one of these is there", function()
    local few = chosen "LUA=5.1 UQPAY_BINDING_ONLY='5.1 5.2'"
    assert.is_true(few["spec/client/call_spec.lua"])
    assert.is_nil(few["spec/engine/numbers_spec.lua"] or few.spec)
    assert.same({ spec = true }, chosen "LUA=5.4 UQPAY_BINDING_ONLY='5.1 5.2'")
    assert.same({ spec = true }, chosen "LUA=5.1")
    local second = chosen "LUA=jit UQPAY_SECOND=jit"
    assert.is_true(second["spec/engine/numbers_spec.lua"])
    assert.is_true(second["spec/sandbox/same_answers_spec.lua"])
    assert.is_nil(second["spec/sandbox/command_spec.lua"] or second.spec)
    assert.same({ spec = true }, chosen "LUA=5.4 UQPAY_SECOND=jit")
    assert.equal("5.1 5.3\n", made("$(BINDING_ONLY)", "LUAS='5.1 5.3 jit'"))
    assert.equal("\n", made("$(BINDING_ONLY)", "LUAS='5.1 5.3'"))
    assert.equal("\n", made("$(BINDING_ONLY)", "LUAS='5.4 jit'"))
  end)
end)

describe("the totals of several runs", function()
  with_directory()

  local function check(runs, limit, jobs)
    return driver.output(("UQPAY_CHECK_LIMIT=%s UQPAY_CHECK_JOBS=%s MAKE=%s "
      .. "sh spec/support/check.sh %s 2>&1; echo status $?"):format(limit or "",
      jobs or "", driver.quote(dir .. "/bin/make"), runs))
  end

  local busted = "%s successes / %s failures / %s errors / %s pending : 1.5 seconds"

  it("are a line for each, then one for all", function()
    program("make", 'echo "' .. busted:format("$2", 1, 1, "$3") .. '"; [ "$4" = good ]')
    assert.matches("\n\n7 3 +7 passed, 2 failed, 3 skipped\n"
      .. "10 0 good +10 passed, 2 failed\n"
      .. "17 passed, 4 failed, 3 skipped\nstatus 1\n$", check "'7 3' '10 0 good'")
    program("make", 'echo "' .. busted:format("$2", 0, 0, 0) .. '"')
    assert.matches("\n5 +5 passed, 0 failed\n5 passed, 0 failed\nstatus 0\n$", check "5")
    assert.matches("status 1\n$", check "")
  end)

  it("have one line for the parts of a run, each of which can fail", function()
    program("make", "case $* in *PART=2*) failed=2 ;; *) failed=0 ;; esac\necho \""
      .. busted:format(5, "$failed", 0, 1) .. "\"; test $failed = 0")
    assert.matches("\n\nspec A +10 passed, 2 failed, 2 skipped\n"
      .. "spec B +5 passed, 0 failed, 1 skipped\n"
      .. "15 passed, 2 failed, 3 skipped\nstatus 1\n$",
      check "'spec A PART=1/2' 'spec B PART=1/1' 'spec A PART=2/2'")
    program("make", 'case $* in *PART=2*) kill -9 $$ ;; esac; echo "'
      .. busted:format(5, 0, 0, 0) .. '"')
    assert.matches("\n\nspec A +5 passed, 1 failed\n5 passed, 1 failed\nstatus 1\n$",
      check "'spec A PART=1/2' 'spec A PART=2/2'")
  end)

  it("are of no more runs at a time than are asked for", function()
    program("make", 'mkdir "$0.runs" && sleep 0.2 && rmdir "$0.runs" && echo "'
      .. busted:format(1, 0, 0, 0) .. '"')
    assert.matches("\n3 passed, 0 failed\nstatus 0\n$", check("a b c", nil, 1))
  end)

  it("have a run that does not end as a failure, with what it had passed", function()
    program("make", 'echo "+++.+-*"; [ "$2" != hangs ] || sleep 600')
    local output = check("hangs", "0.3")
    assert.matches("\n+++.+-*\nhangs was ended after 0.3 seconds\n", output, 1, true)
    assert.matches("\n4 passed, 2 failed, 1 skipped\nstatus 1\n$", output)
    program("make", 'echo "+++"; [ "$2" != hangs ] || sleep 600')
    output = check("hangs", "0.3")
    assert.matches("\n3 passed, 1 failed\nstatus 1\n$", output)
  end)
end)

describe("the matrix", function()
  with_directory()

  local function matrix(variables)
    return driver.output(("here=$(pwd); cd %s && %s PATH=bin:$PATH sh "
      .. "$here/spec/matrix/matrix.sh trixie sid 2>&1; echo status $?"):format(
      driver.quote(dir), variables))
  end

  it("says why a chroot cannot be made, and fails unless that may be", function()
    program("id", "echo 1000")
    local output = matrix ""
    assert.matches("== trixie\nonly root can make a chroot (sudo make matrix)\n", output,
      1, true)
    assert.matches("\n0 passed, 2 failed\nstatus 1\n$", output)
    assert.matches("\n0 passed, 0 failed, 2 skipped\nstatus 0\n$", matrix "SKIP=1")
    program("id", "echo 0")
    program("unshare", "exit 1")
    output = matrix "SKIP=1"
    assert.matches("== sid\nmounting is not permitted here\n", output, 1, true)
    assert.matches("\n0 passed, 0 failed, 2 skipped\nstatus 0\n$", output)
  end)

  it("counts what the suites print", function()
    program("id", "echo 0")
    program("unshare", [[case $* in *suite.sh*) ;; *) exit 0 ;; esac
      for label; do :; done
      case $label in
      sid) echo "no chroot: the mirror does not answer"; exit 77 ;;
      *)
        echo "row: $label|8.14.1|OpenSSL|5.4|30|0|2"
        echo "row: $label|8.14.1|OpenSSL|jit|20|$FAILED|0"
        exit $((FAILED > 0)) ;;
      esac]])
    program("debootstrap", "")
    local output = matrix "MIRROR=http://127.0.0.1/debian SKIP=1 FAILED=0"
    assert.matches("\ntrixie +8.14.1 +OpenSSL +5.4 +30 +0 +2 *\n", output)
    assert.matches("\nsid .* 0 +0 +1 +the mirror does not answer\n", output)
    assert.matches("\n50 passed, 0 failed, 3 skipped\nstatus 0\n$", output)
    output = matrix "MIRROR=http://127.0.0.1/debian FAILED=3"
    assert.matches("\n50 passed, 4 failed, 2 skipped\nstatus 1\n$", output)
  end)
end)
