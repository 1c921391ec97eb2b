-- beside.lua PROGRAM [ARGUMENT...]: runs a program beside a sandbox, which it finds by
-- UQPAY_SANDBOX_ENV, and ends as it does.

local driver = require "spec.support.driver"
local sandbox = require "spec.sandbox.sandbox"

sandbox.start()
local file = driver.kept "sandbox".dir .. "/env"
local command = driver.command("env", "UQPAY_SANDBOX_ENV=" .. file,
  (table.unpack or unpack)(arg))
local status = os.execute(command)
sandbox.stop()
os.exit((status == true or status == 0) and 0 or 1)
