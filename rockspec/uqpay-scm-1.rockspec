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
  "lua >= 5.1, < 5.5",
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
        "src/uqpay.c", "src/client.c", "src/call.c", "src/token.c", "src/endpoint.c",
        "src/options.c", "src/answer.c", "src/error.c", "src/json.c", "src/transport.c", "src/handle.c", "src/idle.c",
        "src/received.c", "src/outcome.c", "src/process.c", "src/address.c",
        "src/poller.c", "src/clock.c", "src/retry.c", "src/redact.c", "src/quote.c", "src/amount.c",
        "src/uuid.c", "src/buf.c",
      },
      libraries = { "curl", "pthread", "m" },
      incdirs = { "$(CURL_INCDIR)" },
      libdirs = { "$(CURL_LIBDIR)" },
    },
    ["uqpay.types.uqpay"] = "src/types/uqpay.lua",
  },
}
test = {
  type = "command",
  command = "make check",
}
