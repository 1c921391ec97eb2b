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
        "src/uqpay.c", "src/binding/admission.c", "src/binding/amount.c",
        "src/binding/api_error.c", "src/binding/attempt.c", "src/binding/auxlib.c",
        "src/binding/batch.c", "src/binding/batch_calls.c", "src/binding/batch_result.c",
        "src/binding/body_form.c", "src/binding/call.c", "src/binding/call_error.c",
        "src/binding/call_options.c", "src/binding/calls.c", "src/binding/check.c",
        "src/binding/client.c", "src/binding/client_clock.c",
        "src/binding/client_options.c", "src/binding/compat.c", "src/binding/course.c",
        "src/binding/custom_transport.c", "src/binding/error.c",
        "src/binding/failed_attempt.c", "src/binding/file_store.c",
        "src/binding/flat_response.c", "src/binding/hook.c", "src/binding/internal.c",
        "src/binding/json.c", "src/binding/login.c", "src/binding/login_wait.c",
        "src/binding/option_reading.c", "src/binding/option_values.c",
        "src/binding/options.c", "src/binding/query.c", "src/binding/reclaim.c",
        "src/binding/response.c", "src/binding/response_error.c", "src/binding/schema.c",
        "src/binding/shared_limit.c", "src/binding/time.c", "src/binding/token.c",
        "src/binding/token_store.c", "src/engine/api/endpoint.c", "src/engine/base/buf.c",
        "src/engine/base/clock.c", "src/engine/base/redact.c", "src/engine/base/uuid.c",
        "src/engine/event/epoll.c", "src/engine/event/kqueue.c",
        "src/engine/event/poll.c", "src/engine/event/poller.c",
        "src/engine/http/connections.c", "src/engine/http/curl_error.c",
        "src/engine/http/easy_handle.c", "src/engine/http/http_version.c",
        "src/engine/http/latency.c", "src/engine/http/liveness.c",
        "src/engine/http/multi.c", "src/engine/http/process.c",
        "src/engine/http/response_headers.c", "src/engine/http/transfer.c",
        "src/engine/http/transfer_error.c", "src/engine/http/transfer_pool.c",
        "src/engine/http/transport.c", "src/engine/http/trust.c", "src/engine/http/url.c",
        "src/engine/number/currency.c", "src/engine/number/datetime.c",
        "src/engine/number/decimal.c", "src/engine/number/flat_json.c",
        "src/engine/number/json_numbers.c", "src/engine/number/number.c",
        "src/engine/number/retry_after.c", "src/engine/policy/rate_limiter.c",
        "src/engine/policy/retry.c", "src/engine/policy/run_queue.c",
        "src/engine/policy/sent_keys.c", "src/engine/store/lock_file.c",
        "src/engine/store/private_file.c", "src/engine/store/token_file.c",
      },
      libraries = { "curl", "pthread", "m" },
      incdirs = { "src", "$(CURL_INCDIR)" },
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
    ["uqpay.types.uqpay.testing"] = "src/types/uqpay/testing.lua",
    ["uqpay.testing"] = "src/uqpay/testing.lua",
    ["uqpay.testing.clock"] = "src/uqpay/testing/clock.lua",
    ["uqpay.testing.fault"] = "src/uqpay/testing/fault.lua",
    ["uqpay.testing.nginx"] = "src/uqpay/testing/nginx.lua",
    ["uqpay.testing.requests"] = "src/uqpay/testing/requests.lua",
    ["uqpay.testing.sandbox"] = "src/uqpay/testing/sandbox.lua",
    ["uqpay.testing.server.accounts"] = "src/uqpay/testing/server/accounts.lua",
    ["uqpay.testing.server.api"] = "src/uqpay/testing/server/api.lua",
    ["uqpay.testing.server.balances"] = "src/uqpay/testing/server/balances.lua",
    ["uqpay.testing.server.base64"] = "src/uqpay/testing/server/base64.lua",
    ["uqpay.testing.server.control"] = "src/uqpay/testing/server/control.lua",
    ["uqpay.testing.server.encode"] = "src/uqpay/testing/server/encode.lua",
    ["uqpay.testing.server.endpoints"] = "src/uqpay/testing/server/endpoints.lua",
    ["uqpay.testing.server.faults"] = "src/uqpay/testing/server/faults.lua",
    ["uqpay.testing.server.fixtures"] = "src/uqpay/testing/server/fixtures.lua",
    ["uqpay.testing.server.idempotency"] = "src/uqpay/testing/server/idempotency.lua",
    ["uqpay.testing.server.journal"] = "src/uqpay/testing/server/journal.lua",
    ["uqpay.testing.server.json"] = "src/uqpay/testing/server/json.lua",
    ["uqpay.testing.server.ledger"] = "src/uqpay/testing/server/ledger.lua",
    ["uqpay.testing.server.limits"] = "src/uqpay/testing/server/limits.lua",
    ["uqpay.testing.server.login"] = "src/uqpay/testing/server/login.lua",
    ["uqpay.testing.server.media_type"] = "src/uqpay/testing/server/media_type.lua",
    ["uqpay.testing.server.misuse"] = "src/uqpay/testing/server/misuse.lua",
    ["uqpay.testing.server.pages"] = "src/uqpay/testing/server/pages.lua",
    ["uqpay.testing.server.query"] = "src/uqpay/testing/server/query.lua",
    ["uqpay.testing.server.random"] = "src/uqpay/testing/server/random.lua",
    ["uqpay.testing.server.record"] = "src/uqpay/testing/server/record.lua",
    ["uqpay.testing.server.reply"] = "src/uqpay/testing/server/reply.lua",
    ["uqpay.testing.server.seed"] = "src/uqpay/testing/server/seed.lua",
    ["uqpay.testing.server.settings"] = "src/uqpay/testing/server/settings.lua",
    ["uqpay.testing.server.times"] = "src/uqpay/testing/server/times.lua",
    ["uqpay.testing.server.tokens"] = "src/uqpay/testing/server/tokens.lua",
    ["uqpay.testing.server.transactions"] = "src/uqpay/testing/server/transactions.lua",
    ["uqpay.testing.server.world"] = "src/uqpay/testing/server/world.lua",
    ["uqpay.testing.transport"] = "src/uqpay/testing/transport.lua",
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
    bin = { "src/bin/uqpay-sandbox" },
    -- A key names the folder only: these go to uqpay/testing/launcher.
    lua = {
      ["uqpay.testing.launcher.certificates"] =
        "src/uqpay/testing/launcher/certificates.sh",
      ["uqpay.testing.launcher.conf"] = "src/uqpay/testing/launcher/nginx.conf",
      ["uqpay.testing.launcher.nginx"] = "src/uqpay/testing/launcher/nginx.sh",
    },
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
