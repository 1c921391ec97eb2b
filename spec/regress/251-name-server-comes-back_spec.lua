-- From 8.20 on libcurl has at most 20 threads for looking up names: once so many calls
-- had met a name server that did not answer, all later ones failed until the system's
-- resolver had given up, up to half a minute after the name server was back.

local driver = require "spec.support.driver"

-- In a network and a view of the files of its own, where the system permits that.
describe("a name server that comes back", function()
  local script = [[
    ip link set lo up
    echo 'nameserver 127.0.0.1' > "$0" && mount --bind "$0" /etc/resolv.conf || exit 99
    exec "$@"]]

  local code = [[
    local socket = require "socket"
    local uqpay = require "uqpay"
    local server = socket.udp()
    assert(server:setsockname("127.0.0.1", 53))
    server:settimeout(0)
    local client = uqpay.new { base_url = "https://nobody.example/api", token = "t",
      proxy = "", max_retries = 0, http_version = "1.1" }

    -- Starts so many calls and gives the kinds of their errors, once each.
    local function kinds(count, timeout, answer)
      local calls, seen, list = {}, {}, {}
      for n = 1, count do
        calls[n] = client:start_balance("USD", { timeout = timeout })
      end
      for _, call in ipairs(calls) do
        while not call:step() do
          client:step(0.01)
          local query, address, port = server:receivefrom()
          if query and answer then    -- there is no such name
            server:sendto(query:sub(1, 2) .. "\129\131" .. query:sub(5), address, port)
          end
        end
        local kind = select(3, call:result()).kind
        if not seen[kind] then list[#list + 1] = kind end
        seen[kind] = true
      end
      return table.concat(list, " ")
    end

    print(kinds(50, 0.5, false))
    print(kinds(3, 3, true))]]

  it("is asked at once", function()
    if driver.output "unshare -nm true 2>&1; echo $?" ~= "0\n" then
      return pending "no namespaces of our own"
    end
    local file = driver.output "mktemp":match "%S+"
    local text = driver.output(driver.command("unshare", "-nm", "sh", "-c", script, file,
      "env", "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath,
      "ASAN_OPTIONS=detect_leaks=0", os.getenv "UQPAY_LUA", "-e", code) .. " 2>&1")
    os.remove(file)
    assert.equal("timeout\ndns\n", text)
  end)
end)
