-- uqpay-sandbox: its options, messages and output, and that it leaves nothing behind.

local driver = require "spec.support.driver"
local processes = require "spec.support.processes"
local socket = require "socket"
local uqpay = require "uqpay"

local unpack = table.unpack or unpack
local alive, eventually = processes.alive, processes.eventually
local until_gone = processes.until_gone
local command = driver.here .. "/../../src/bin/uqpay-sandbox"

local folder     -- of this test, removed after it
local servers    -- the folders of those that it starts, stopped after it

local function write(name, text)
  local path = folder .. "/" .. name
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

local function script(name, text)
  local path = write(name, "#!/bin/sh\n" .. text .. "\n")
  driver.output(driver.command("chmod", "+x", path))
  return path
end

-- Runs it to its end; returns the exit status, and what it printed to both.
local function outcome(...)
  local text = driver.output("timeout 60 " .. driver.command("env", "TMPDIR=" .. folder,
    "sh", command, ...) .. " 2>&1; echo \"exit $?\"")
  local output, status = text:match "^(.*)exit (%d+)\n$"
  return tonumber(status), output
end

-- Its message, with this status, and no folder that is left behind.
local function refuses(status, message, ...)
  local got, output = outcome(...)
  assert.equal(status, got, output)
  assert.matches("^uqpay%-sandbox: ", output)
  assert.matches(message, output, 1, true)
  assert.equal("", driver.output("ls " .. driver.quote(folder) .. " | grep uqpay-"))
end

local function facts_of(dir)
  local facts = {}
  for name, value in driver.content(dir .. "/env"):gmatch "([%w_]+)=([^\n]*)" do
    facts[name] = value
  end
  return facts
end

local function new_dir()
  return driver.output(driver.command("mktemp", "-d", folder .. "/XXXXXX"))
    :match "[^\n]+"
end

local function stop(dir)
  return driver.output(driver.command("sh", command, "stop", dir) .. " 2>&1")
end

-- Starts one in a folder of its own, stops it when the test ends.
local function started(...)
  local dir = new_dir()
  servers[#servers + 1] = dir
  local status, output = outcome("start", dir, ...)
  assert.equal(0, status, output)
  return facts_of(dir), dir, output
end

-- Runs a shell script after the exports of a sandbox; returns its output.
local function with_exports(dir, code, ...)
  return driver.output(driver.command("env", "UQPAY_CA_FILE=/nonexistent",
    "LUA_CPATH=" .. package.cpath, "sh", "-c", '. "$0"; ' .. code, dir .. "/exports", ...)
    .. " 2>&1")
end

-- Runs `run` in the background behind these words. Returns its process, what it printed,
-- and the server's process and folder.
local function running(before, ...)
  local log = folder .. "/log"
  local words = { "sh", command, ... }
  local pid = driver.output("setsid env TMPDIR=" .. driver.quote(folder) .. " "
    .. before .. driver.command(unpack(words)) .. " > " .. driver.quote(log)
    .. " 2>&1 & echo $!"):match "%d+"
  finally(function() driver.output("kill -s TERM -- -" .. pid .. " 2> /dev/null") end)
  local text = eventually(function()
    local text = driver.content(log)
    return text:find "are in %S+/env\r?\n" and text
  end)
  local dir = text:match "are in (%S+)/env"
  return { pid = pid, text = text, server = facts_of(dir).pid, dir = dir }
end

describe("uqpay-sandbox", function()
  before_each(function() folder, servers = driver.directory "command", {} end)
  after_each(function()
    for _, dir in ipairs(servers) do stop(dir) end
    driver.output(driver.command("rm", "-rf", folder))
  end)

  describe("prints", function()
    it("its options, which are those that it takes", function()
      local status, text = outcome "--help"
      assert.equal(0, status)
      local code = driver.content(command):match "read_options%(%) {(.-)\n}"
      local listed, taken = {}, {}
      for name in text:gmatch "\n  (%-%-%l+)" do listed[name] = true end
      for name in code:gmatch "%-%-%l+" do taken[name] = true end
      assert.same(taken, listed)
      for name in pairs(taken) do
        assert.matches("\n| [^\n]*`" .. name:gsub("%-", "%%-") .. "[ `]",
          driver.content "README.md")
      end
    end)

    it("the version of the module", function()
      local status, text = outcome "--version"
      assert.equal(0, status)
      assert.equal("uqpay-sandbox " .. uqpay._VERSION .. "\n", text)
    end)

    it("commands for a shell that make a client work", function()
      local _, dir, output = started()
      assert.equal(driver.content(dir .. "/exports"), output)
      assert.equal("USD\t5000.25\tACTIVE\n", driver.pointed(with_exports(dir,
        'exec "$@"', os.getenv "UQPAY_LUA", "examples/balance.lua")))
    end)
  end)

  describe("refuses", function()
    it("arguments that it does not know, with status 2", function()
      refuses(2, "unknown option '--prot'", "--prot", "8443")
      refuses(2, "unknown option '-p'", "run", "-p")
      refuses(2, "unknown command 'strat'", "strat", folder)
      refuses(2, "unexpected argument 'x'", "run", "x")
      refuses(2, "unknown option '--plain=x'", "--plain=x")
      refuses(2, "'start' takes a folder", "start")
      refuses(2, "'stop' takes a folder", "stop", "--plain")
      for _, option in ipairs { "--port", "--seed", "--nginx" } do
        refuses(2, option .. " takes a value", option)
      end
      for _, port in ipairs { "", "0", "65536", "x", "0x10", "1e3", "-1", "80 80",
        ("9"):rep(30) } do
        refuses(2, "--port takes a number from 1 to 65535, not '" .. port .. "'",
          "--port", port)
      end
    end)

    it("a port in use", function()
      local listener = assert(socket.bind("127.0.0.1", 0))
      local _, port = listener:getsockname()
      refuses(1, "port " .. port .. " is in use", "--plain", "--port", port)
      listener:close()
    end)

    it("a folder that is not its own", function()
      write("mine", "")
      for _, word in ipairs { "start", "stop" } do
        refuses(1, folder, word, folder)
        assert.is_true(driver.exists(folder .. "/mine"))
      end
    end)

    it("a missing nginx, and says which packages have one", function()
      refuses(1, "there is no /nonexistent/nginx", "--nginx", "/nonexistent/nginx")
      local _, text = outcome "--nginx=/nonexistent/nginx"
      assert.matches("apt-get install nginx libnginx-mod-http-lua", text, 1, true)
      assert.matches("brew install openresty", text, 1, true)
    end)

    it("an nginx without Lua", function()
      refuses(1, "has no Lua module. Install one that has:", "--nginx",
        script("nginx", '[ "$1" = -V ] || : > "$2/modules.conf"; exec nginx "$@"'))
    end)

    it("a program that is no nginx", function()
      refuses(1, "true started, but nothing answers at http://127.0.0.1:", "--plain",
        "--nginx", "/bin/true")
    end)

    it("an nginx whose Lua finds no lua-cjson", function()
      refuses(1, "finds no lua-cjson", "--nginx", script("nginx", [[
        [ "$1" = -V ] ||
          sed -i 's|^lua_package_cpath.*|lua_package_cpath "/none/?.so";|' "$2/paths.conf"
        exec nginx "$@"]]))
    end)

    -- All commands but this one, in a folder that is PATH.
    local function without(name)
      local bin = folder .. "/bin"
      driver.output(([[mkdir %s; for file in /usr/local/bin/* /usr/bin/* /bin/*; do
        [ "${file##*/}" = %s ] || ln -s "$file" %s 2> /dev/null; done]]):format(bin, name,
        bin))
      local text = driver.output(driver.command("env", "PATH=" .. bin, "timeout", 60,
        "sh", command, "run") .. " 2>&1; echo \"exit $?\"")
      assert.matches("exit 1\n$", text)
      return text
    end

    it("a system without openssl, unless it needs none", function()
      assert.matches("there is no openssl, which makes the certificates; --plain",
        without "openssl", 1, true)
      local dir = new_dir()
      servers[#servers + 1] = dir
      driver.output(driver.command("env", "PATH=" .. folder .. "/bin", "sh", command,
        "start", dir, "--plain"))
      assert.matches("^http://", facts_of(dir).url)
    end)

    it("a system without curl", function()
      assert.matches("there is no curl", without "curl", 1, true)
    end)

    it("to start without its files", function()
      local copy = folder .. "/uqpay-sandbox"
      driver.output(driver.command("cp", command, copy))
      local text = driver.output(driver.command("sh", copy) .. " 2>&1; echo \"exit $?\"")
      assert.matches("its files (uqpay/testing) are in none of these folders", text, 1,
        true)
      assert.matches("exit 1\n$", text)
    end)
  end)

  describe("has the option", function()
    local function free_port()
      local listener = assert(socket.bind("127.0.0.1", 0))
      local _, port = listener:getsockname()
      listener:close()
      return port
    end

    it("--port, for the API over TLS", function()
      local port = free_port()
      local facts, dir = started("--port", port)
      assert.equal("https://127.0.0.1:" .. port .. "/api", facts.url)
      local client = uqpay.new { base_url = facts.url, ca_file = dir .. "/ca.pem",
        client_id = facts.client_id, api_key = facts.api_key }
      assert.equal(5000.25, assert(client:balance "USD").available_balance)
      client:close()
    end)

    it("--plain, for the API without TLS, with --port for that", function()
      local port = free_port()
      local facts, dir = started("--plain", "--port=" .. port)
      assert.equal("http://127.0.0.1:" .. port .. "/api", facts.url)
      assert.equal("", facts.ca_file)
      assert.equal("", driver.output("ls " .. driver.quote(dir) .. " | grep pem"))
      assert.equal("USD\t5000.25\tACTIVE\n", driver.pointed(with_exports(dir,
        'exec "$@"', os.getenv "UQPAY_LUA", "examples/balance.lua")))
      -- a variable of an earlier sandbox does not stay
      assert.equal("[]", with_exports(dir, 'printf "[%s]" "$UQPAY_CA_FILE"'))
    end)

    it("--nginx, which takes precedence over UQPAY_NGINX", function()
      local mark = folder .. "/mark"
      started("--nginx", script("an nginx", ": > '" .. mark .. '\'; exec nginx "$@"'))
      assert.is_true(driver.exists(mark))
    end)

    it("--seed, for balances and settings", function()
      local path = write("it's a seed.json", [[{
        "balances": { "USD": "12.50", "SGD": { "available": "3", "frozen": "1" } },
        "settings": { "amounts": "string" } }]])
      local facts, dir = started("--plain", "--seed", path)
      local client = uqpay.new { base_url = facts.url, token = facts.token,
        amounts = "string" }
      assert.equal("12.50", assert(client:balance "USD").available_balance)
      assert.equal("1", assert(client:balance "SGD").frozen_balance)
      assert.equal(2, client:balances().total_items)
      client:close()
      -- amounts are strings in JSON, as the Go SDK takes them
      assert.matches('"available_balance":"12.50"', with_exports(dir, [[
        curl -q -s "$UQPAY_BASE_URL/v1/issuing/balances?page_size=10&page_number=1" \
          -H "x-auth-token: Bearer $UQPAY_TOKEN"]]), 1, true)
    end)

    it("--seed, for all that the README's example has", function()
      local text = driver.content("README.md"):match "```json\n(%b{})\n```"
      local facts = started("--plain", "--seed", write("seed.json", text))
      local client = uqpay.new { base_url = facts.url, client_id = facts.client_id,
        api_key = facts.api_key, amounts = "string" }
      assert.equal("5000.25", assert(client:balance "USD").available_balance)
      assert.equal("1.00", assert(client:balance "SGD").frozen_balance)
      assert.equal("10.00", assert(client:balance { currency = "EUR",
        on_behalf_of = "CB4488338944" }).available_balance)
      client:close()
    end)

    it("--seed, whose file is named by where one stands", function()
      write("seed.json", '{ "balances": { "USD": "7" } }')
      local dir = folder .. "/server"
      servers[#servers + 1] = dir
      local here = driver.output "pwd":match "[^\n]+"
      local text = driver.output(driver.command("sh", "-c", 'cd "$0" && sh "$1" start '
        .. "server --plain --seed seed.json 2>&1", folder, here .. "/" .. command))
      local facts = driver.exists(dir .. "/env") and facts_of(dir)
      assert.is_table(facts, text)
      local client = uqpay.new { base_url = facts.url, token = facts.token }
      assert.equal(7, assert(client:balance "USD").available_balance)
      client:close()
    end)

    it("--seed, and names what is wrong with the file", function()
      refuses(1, "the seed file '/nonexistent' cannot be read", "--seed", "/nonexistent")
      refuses(1, "cannot be read", "--seed", folder)
      for text, message in pairs {
        ['{ "balances": { "USD": 5 } }'] = "balances.USD must be text such as \"100.00\"",
        ['{ "balance": { "USD": "5" } }'] = "balance: unknown field",
        ['{ "settings": { "amount": "string" } }'] = "unknown setting: amount",
        ['{ "balances": '] = "Expected value",
        ["[1]"] = "unknown field",
        ['{ "settings": { "token_life": -1 } }'] = "token_life must be at least 0",
        ['{ "settings": { "delay": 1e400 } }'] = "delay must be at most",
        ['{ "accounts": [{ "short_id": "CB1" }] }'] = "accounts[1].short_id must be text",
        ['{ "balances": { "USD": null } }'] = "balances.USD must be text such",
        ["5"] = "table",
      } do
        local path = write("seed.json", text)
        refuses(1, message, "--plain", "--seed", path)
        local _, output = outcome("--plain", "--seed", path)
        assert.matches("^uqpay%-sandbox: /[^\n]*/seed%.json: [^\n]+\n$", output)
      end
    end)
  end)

  describe("run", function()
    -- The whole group is what a terminal interrupts: the children of the shell, too.
    for signal, status in pairs { TERM = 143, INT = 130, HUP = 129 } do
      for who, target in pairs { ["by itself"] = "", ["with all its group"] = "-" } do
        it("leaves nothing after " .. signal .. " " .. who, function()
          -- a shell has its background jobs ignore INT
          local report = script("report", 'trap : TERM INT HUP\n"$@" &\nchild=$!\n'
            .. 'echo $child > "$0.pid"\nwait $child; code=$?\n'
            .. 'while kill -0 $child 2> /dev/null; do wait $child; code=$?; done\n'
            .. 'echo $code > "$0.status"')
          local run = running(driver.quote(report)
            .. " env --default-signal=INT ", "run", "--plain")
          local inner = driver.content(report .. ".pid"):match "%d+"
          driver.output("kill -s " .. signal .. " -- "
            .. (target == "" and inner or "-" .. run.pid))
          until_gone(run.server, run.dir)
          eventually(function() return driver.exists(report .. ".status")
            and driver.content(report .. ".status") ~= "" end)
          assert.equal(status, tonumber(driver.content(report .. ".status")))
        end)
      end
    end

    it("ends with its terminal, even a killed one", function()
      local run = running(driver.quote(script("terminal",
        "exec script -q -c \"$1 '$2' run --plain\" /dev/null")) .. " ", "run")
      driver.output("kill -s KILL " .. run.pid)
      until_gone(run.server, run.dir)
    end)

    it("leaves nothing if it is killed", function()
      local run = running("", "run", "--plain")
      driver.output("kill -s KILL " .. run.pid)
      until_gone(run.server, run.dir)
    end)

    it("ends with status 1 if the server ends", function()
      local run = running("", "run", "--plain")
      driver.output("kill -s QUIT " .. run.server)
      until_gone(run.server, run.dir)
      eventually(function() return not alive(run.pid) end)
      assert.matches("uqpay-sandbox: the server ended by itself",
        driver.content(folder .. "/log"), 1, true)
    end)

    for _, plain in ipairs { false, true } do
      it("prints only what a shell can read, and a request that works, "
        .. (plain and "plain" or "over TLS"), function()
        local run = running("", "run", plain and "--plain" or nil)
        local text = driver.content(folder .. "/log")
        local path = write("commands", text:gsub("\n# curl", "\ncurl")
          :gsub("\n#   %-H", "\n  -H"))
        local answer = driver.output(driver.command("sh", path) .. " 2> /dev/null")
        assert.matches('"currency":"USD"', answer, 1, true)
        driver.output("kill -s TERM " .. run.pid)
        until_gone(run.server, run.dir)
      end)
    end
  end)

  describe("start and stop", function()
    it("have two side by side and stop each separately", function()
      local first, one = started()
      local second, two = started()
      assert.equal("", stop(one))
      assert.is_false(driver.exists(one))
      until_gone(first.pid, one)
      assert.is_true(alive(second.pid))
      assert.equal("", stop(two))
      assert.is_false(driver.exists(two))
      until_gone(second.pid, two)
    end)

    -- `od` is the command's source of random numbers: the first one is that of the ports
    -- of a sandbox that runs.
    it("ask nothing of a sandbox whose ports are drawn", function()
      local facts = started()
      local drawn = (tonumber(facts.url:match ":(%d+)/") - 10240) / 11
      local bin = new_dir()
      local file = assert(io.open(bin .. "/od", "w"))
      file:write(("#!/bin/sh\nmkdir '%s/drawn' 2> /dev/null && echo %d && exit\n"
        .. "PATH=${PATH#*:} exec od \"$@\"\n"):format(bin, drawn))
      file:close()
      driver.output(driver.command("chmod", "+x", bin .. "/od"))
      local dir = new_dir()
      servers[#servers + 1] = dir
      local output = driver.output("PATH=" .. bin .. ":$PATH "
        .. driver.command("sh", command, "start", dir) .. " 2>&1")
      assert.matches("\nexport UQPAY_BASE_URL=", "\n" .. output)
      assert.is_true(driver.exists(bin .. "/drawn"))
      assert.equal("[]", driver.output(driver.command("curl", "-q", "-s", "--noproxy",
        "*", "--max-time", 60, facts.control .. "/requests")):match "[^\n]+")
    end)

    it("work though requests hang", function()
      local facts, dir = started()
      local function order(...)
        return driver.output(driver.command("curl", "-q", "-s", "--noproxy", "*",
          "--max-time", 60, ...))
      end
      order(facts.control .. "/faults", "-d", '{"kind":"hang","seconds":600}')
      local pipe = io.popen(driver.command("curl", "-q", "-s", "--noproxy", "*",
        "-d", "x", facts.http_url .. "/v1"))
      eventually(function() return order(facts.control .. "/requests"):find "hang" end)
      local start = socket.gettime()
      stop(dir)
      pipe:close()
      assert.is_true(socket.gettime() - start < 60)
    end)

    it("work in a folder of any name but those that Lua or nginx misread", function()
      local dir = folder .. "/it's \"a\" HOME %d"
      servers[#servers + 1] = dir
      local status, output = outcome("start", dir)
      assert.equal(0, status, output)
      assert.equal("USD\t5000.25\tACTIVE\n", driver.pointed(with_exports(dir,
        'exec "$@"', os.getenv "UQPAY_LUA", "examples/balance.lua")))
      local facts = facts_of(dir)
      assert.equal("", stop(dir))
      until_gone(facts.pid, dir)
      for _, name in ipairs { "a;b", "a?b", "a$b" } do
        dir = folder .. "/" .. name
        refuses(1, dir .. ": its name cannot have ; ? or $ in it", "start", dir)
        assert.is_false(driver.exists(dir))
      end
    end)

    it("end with the process that started it, even a killed one", function()
      local code = [[local s = require("spec.sandbox.sandbox").start()
        print(s.pid, s.ca_file) io.stdout:flush() os.execute "kill -9 $PPID"]]
      local output = driver.output("exec 2> /dev/null; UQPAY_SANDBOX_ENV= lua5.4 -e "
        .. driver.quote(code) .. "; true")
      local pid, dir = output:match "(%d+)\t(.-)/ca.pem"
      assert.truthy(pid, output)
      until_gone(pid, dir)
    end)
  end)
end)
