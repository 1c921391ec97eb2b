-- Where file sizes and inode numbers have 32 bits unless 64 are asked for (i386, 32-bit
-- ARM), files and folders with larger ones could not be opened: a token store or a folder
-- of CA certificates on a disk that numbers its inodes beyond 2^32 (XFS, overlays).

local driver = require "spec.support.driver"
local uqpay = require "uqpay"

describe("a large file", function()
  local dir
  before_each(function() dir = driver.directory "large" end)
  after_each(function() driver.output(driver.command("rm", "-rf", dir)) end)

  it("of 3 GiB, a sparse one, can be locked by a store", function()
    local path = dir .. "/tokens"
    driver.output("umask 077; truncate -s 3G " .. driver.quote(path .. ".lock"))
    local store = uqpay.file_store(path)
    assert(store:lock "key")
    assert(store:set("key", "token", os.time() + 1000))
    assert(store:unlock "key")
    assert.equal("token", (store:get "key"))
  end)

  it("is asked for with 64 bits, wherever there are 32 as well", function()
    local bits = driver.output "getconf LONG_BIT":match "%d+"
    local symbols = driver.output("nm -D --undefined-only "
      .. driver.quote(os.getenv "UQPAY_OUT" .. "/uqpay.so"))
    assert.matches(" U readdir", symbols)
    for _, name in ipairs { "open", "stat", "fstat", "lstat", "readdir" } do
      for line in symbols:gmatch "[^\n]+" do
        local found = line:match "%sU%s(%w+)"
        assert.is_true(bits ~= "32" or found ~= name, line)
      end
    end
  end)
end)
