rockspec_format = "3.0"
package = "uqpay"
version = "scm-1"
source = {
  url = "git+https://github.com/lua-uqpay/lua-uqpay.git",
}
description = {
  summary = "Client for the UQPAY card issuing API: issuing balances",
  detailed = [[
    Retrieves issuing balances from UQPAY. A C module on libcurl: exact amounts, typed
    errors, safe retries under one deadline, no stale or mixed-up balance.
  ]],
  homepage = "https://github.com/lua-uqpay/lua-uqpay",
  issues_url = "https://github.com/lua-uqpay/lua-uqpay/issues",
  license = "MIT",
  labels = { "uqpay", "payment", "http", "api-client" },
}
dependencies = {
  "lua >= 5.1, < 5.6",
  "lua-cjson >= 2.1.0",
}
-- The library, not its header: Debian and Ubuntu keep the header where LuaRocks does not
-- look, and compilers do.
external_dependencies = {
  CURL = { library = "curl" },
}
build = {
  type = "builtin",
  modules = {
    uqpay = {
      sources = {
        "src/uqpay.c", "src/auxlib.c", "src/compat.c", "src/internal.c",
        "src/client.c", "src/call.c", "src/attempt.c", "src/reclaim.c", "src/hook.c",
        "src/token.c", "src/login.c",
        "src/share.c", "src/filestore.c", "src/endpoint.c", "src/query.c",
        "src/options.c", "src/answer.c", "src/error.c", "src/json.c", "src/values.c",
        "src/transport.c", "src/handle.c", "src/trust.c", "src/liveness.c",
        "src/idle.c", "src/activity.c", "src/latency.c", "src/received.c", "src/outcome.c",
        "src/process.c", "src/address.c",
        "src/poller.c", "src/epoll.c", "src/kqueue.c", "src/poll.c", "src/clock.c",
        "src/schedule.c", "src/pace.c", "src/retry.c", "src/store.c",
        "src/filelock.c", "src/private.c", "src/redact.c", "src/quote.c",
        "src/flat.c", "src/amount.c", "src/decimal.c", "src/currency.c",
        "src/moment.c", "src/uuid.c", "src/check.c", "src/buf.c",
      },
      libraries = { "curl", "pthread", "m" },
      incdirs = { "$(CURL_INCDIR)" },
      libdirs = { "$(CURL_LIBDIR)" },
    },
    ["uqpay.batch"] = "src/uqpay/batch.lua",
    ["uqpay.env"] = "src/uqpay/env.lua",
    ["uqpay.hub"] = "src/uqpay/hub.lua",
    ["uqpay.pages"] = "src/uqpay/pages.lua",
    ["uqpay.loop"] = "src/uqpay/loop.lua",
    ["uqpay.cqueues"] = "src/uqpay/cqueues.lua",
    ["uqpay.luv"] = "src/uqpay/luv.lua",
    ["resty.uqpay"] = "src/resty/uqpay.lua",
    ["resty.uqpay.shared"] = "src/resty/uqpay/shared.lua",
    ["resty.uqpay.cache"] = "src/resty/uqpay/cache.lua",
    ["resty.uqpay.driver"] = "src/resty/uqpay/driver.lua",
    ["resty.uqpay.lock"] = "src/resty/uqpay/lock.lua",
    ["uqpay.copas"] = "src/uqpay/copas.lua",
    ["uqpay.types.uqpay"] = "src/types/uqpay.lua",
    ["uqpay.types.uqpay.loop"] = "src/types/uqpay/loop.lua",
    ["uqpay.types.uqpay.cqueues"] = "src/types/uqpay/cqueues.lua",
    ["uqpay.types.uqpay.luv"] = "src/types/uqpay/luv.lua",
    ["uqpay.types.uqpay.copas"] = "src/types/uqpay/copas.lua",
    ["uqpay.types.uqpay.resty"] = "src/types/uqpay/resty.lua",
  },
  -- With copy_directories LuaRocks does not copy the manual and the licence by itself; it
  -- shows those in doc (`luarocks doc uqpay`).
  copy_directories = { "examples" },
  install = {
    conf = {
      ["../doc/README.md"] = "README.md",
      ["../doc/CHANGELOG.md"] = "CHANGELOG.md",
      ["../doc/LICENSE"] = "LICENSE",
    },
  },
}
-- `luarocks --lua-version 5.1 test [SPEC...]` runs this with the Lua of that version.
test = {
  type = "command",
  script = "spec/support/luarocks_test.lua",
}
