-- Bytes that a server sent without a request stayed in an idle connection, and the next
-- call took them for its answer: the balance of an earlier call, or of another account.

local faulty = require "spec.support.faulty_driver"
local fixture = require "spec.support.fixture"
local sandbox = require "spec.sandbox.sandbox"
local socket = require "socket"

local function http(amount) return fixture.http(fixture.body(amount)) end

-- Waits until a connection of this machine to the port has unread bytes. A line of the
-- kernel's table has the two addresses, then tx_queue:rx_queue.
local function until_unread(port)
  local pattern = ("^%%s*%%d+: %%x+:%%x+ %%x+:%04X %%x+ %%x+:(%%x+)"):format(port)
  local deadline = socket.gettime() + 60
  repeat
    for line in io.lines "/proc/net/tcp" do
      local unread = line:match(pattern)
      if unread and tonumber(unread, 16) > 0 then return end
    end
    socket.sleep(0.002)
  until socket.gettime() > deadline
  error "the second answer never came"
end

describe("an unsolicited answer", function()
  local server, client
  local closing = fixture.closing()
  setup(function() sandbox.start() end)

  local function start(late, changes)
    server = closing(faulty.start {
      { { read = true, send = http(1) }, { hold = true, send = late },
        { read = true, send = http(98), keep = true } },
      { read = true, send = http(2), keep = true },
    })
    changes = changes or {}
    changes.base_url, changes.ca_file = server.url, false
    client = closing(fixture.client(changes))
    assert.equal(1, fixture.succeeded(client:balance "USD").available_balance)
  end

  for name, late in pairs {
    ["a whole one"] = http(99), ["half of one"] = http(99):sub(1, 40),
    ["two of them"] = http(99) .. http(99), ["a line end"] = "\r\n",
  } do
    it("is not taken for a later call's if it comes on an idle connection: " .. name,
      function()
        start(late)
        server:go()
        until_unread(server.port)
        assert.equal(2, fixture.succeeded(client:balance "USD").available_balance)
        assert.equal(2, client:stats().connections)
      end)
  end

  it("is not given to the call in whose on_request it comes", function()
    local waiting
    start(http(99), { on_request = function()
      if not waiting then return end
      server:go()
      until_unread(server.port)
    end })
    waiting = true
    assert.equal(2, fixture.succeeded(client:balance "USD").available_balance)
    assert.equal(0, client:stats().hook_errors)
  end)
end)
