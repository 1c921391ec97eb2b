-- A CA file that was not there, not a file, or not one of certificates failed each call
-- with the kind `tls` and libcurl's words, which do not say what was wrong with it. Now
-- `new` refuses it with the system's reason, and a call without its file says `config`.

local driver = require "spec.support.driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local uqpay = require "uqpay"

describe("CA certificates", function()
  local dir

  setup(function() sandbox.start() end)
  before_each(function()
    sandbox.reset()
    dir = driver.directory "trust"
  end)
  after_each(function()
    os.execute("chmod -R u+rwx " .. driver.quote(dir))
    os.execute(driver.command("rm", "-rf", dir))
  end)

  local function write(name, text)
    local file = assert(io.open(dir .. "/" .. name, "wb"))
    assert(file:write(text))
    file:close()
    return dir .. "/" .. name
  end

  local function authority()
    local file = assert(io.open(sandbox.ca_file, "rb"))
    local text = file:read "*a"
    file:close()
    return text
  end

  local function refused(changes, option, path, reason)
    local ok, message = pcall(uqpay.new, fixture.options(changes))
    assert.is_false(ok, path)
    assert.equal(("bad option '%s' to 'new' (%s: %s)"):format(option, path, reason),
      (message:gsub("^[^ ]+:%d+: ", "")))
  end

  local function file_is_refused(path, reason)
    refused({ ca_file = path }, "ca_file", path, reason)
    -- in clear, too: the program is not right
    refused({ ca_file = path, base_url = sandbox.http_url }, "ca_file", path, reason)
  end

  local function folder_is_refused(path, reason)
    refused({ ca_file = false, ca_path = path }, "ca_path", path, reason)
    refused({ ca_path = path }, "ca_path", path, reason) -- with a good file beside it
  end

  it("that are not there are refused, with the system's reason", function()
    file_is_refused(dir .. "/none.pem", "No such file or directory")
    file_is_refused(dir, "Is a directory")
    file_is_refused(write("x", "x") .. "/y", "Not a directory")
    folder_is_refused(dir .. "/none", "No such file or directory")
    folder_is_refused(sandbox.ca_file, "Not a directory")
    os.execute(driver.command("ln", "-s", dir .. "/loop", dir .. "/loop"))
    file_is_refused(dir .. "/loop", "Too many levels of symbolic links")
  end)

  it("without a certificate in them are refused", function()
    local none = "no certificate in it (PEM expected)"
    file_is_refused(write("empty", ""), "is empty")
    file_is_refused(write("text", "certificate\n"), none)
    file_is_refused(write("zeros", ("\0"):rep(20000)), none)
    file_is_refused(write("key", (authority():gsub("CERTIFICATE", "PRIVATE KEY"))), none)
    file_is_refused("/dev/null", "is not a regular file")
    os.execute(driver.command("mkfifo", dir .. "/fifo"))
    file_is_refused(dir .. "/fifo", "is not a regular file") -- and does not wait for it
  end)

  it("are found wherever they are in a file", function()
    for _, before in ipairs { 0, 1, 8150, 8170, 8192, 8200, 100000 } do
      local file = write("ca.pem", ("some text\n"):rep(before):sub(1, before) .. "\n"
        .. authority())
      local client = fixture.client { ca_file = file }
      fixture.succeeded(client:balance "USD")
      client:close()
    end
    fixture.client { ca_file = false, ca_path = dir }:close() -- whatever is in it
  end)

  it("that cannot be read are refused", function()
    write("ca.pem", authority())
    os.execute("chmod 0 " .. driver.quote(dir .. "/ca.pem"))
    os.execute("mkdir -m 0 " .. driver.quote(dir .. "/hashed"))
    os.execute("chmod 755 " .. driver.quote(dir))
    local code = ([[
      package.cpath = %q
      local new = require "uqpay".new
      print(pcall(new, { token = "t", ca_file = %q }))
      print(pcall(new, { token = "t", ca_path = %q }))
    ]]):format(package.cpath, dir .. "/ca.pem", dir .. "/hashed")
    -- root reads everything
    local root = driver.output "id -u":match "^0"
    if root and driver.output "command -v setpriv" == "" then
      pending "without setpriv, root cannot be anybody else"
      return
    end
    local text = driver.output((root and "setpriv --reuid=65534 --regid=65534 "
      .. "--clear-groups " or "") .. driver.command(os.getenv "UQPAY_LUA", "-e", code)
      .. " 2>&1")
    if text:find "lua%.sh'?: Permission denied" then
      pending "another user cannot read this folder"
      return
    end
    for option, name in pairs { ca_file = "ca.pem", ca_path = "hashed" } do
      assert.matches(("'%s' to 'new' (%s/%s: Permission denied)")
        :format(option, dir, name), text, 1, true)
    end
  end)

  local function call_fails(client, option, path, reason)
    local err = fixture.failed("config", client:balance "USD")
    assert.matches(("%s: %s: %s"):format(option, reason, path), err.message, 1, true)
    assert.is_false(err.retryable)
    assert.equal(1, err.attempts)
    client:close()
    return err
  end

  it("that have gone since then fail a call, with the reason", function()
    local client = fixture.client { ca_file = write("ca.pem", authority()) }
    os.remove(dir .. "/ca.pem")
    local gone = "No such file or directory"
    local err = call_fails(client, "ca_file", dir .. "/ca.pem", gone)
    assert.equal(2, err.os_errno)
    client = fixture.client { ca_file = write("ca.pem", authority()) }
    write("ca.pem", "")
    call_fails(client, "ca_file", dir .. "/ca.pem", "is empty")
    os.execute(driver.command("mkdir", dir .. "/hashed"))
    client = fixture.client { ca_file = false, ca_path = dir .. "/hashed" }
    os.execute(driver.command("rmdir", dir .. "/hashed"))
    call_fails(client, "ca_path", dir .. "/hashed", gone)
    client = fixture.client { ca_file = write("ca.pem", authority()), token = false,
      client_id = sandbox.client_id, api_key = sandbox.api_key }
    os.remove(dir .. "/ca.pem")
    err = fixture.failed("config", client:balance "USD")
    assert.matches("login failed: ca_file: " .. gone, err.message, 1, true)
  end)

  it("that only look like some are of the kind config", function()
    local torn = authority():gsub("\n%w%w%w%w%w%w", "\n******")
    local client = fixture.client { ca_file = write("ca.pem", torn) }
    local err = fixture.failed("config", client:balance "USD")
    assert.matches(dir .. "/ca.pem", err.message, 1, true)
    assert.is_false(err.retryable)
  end)
end)
