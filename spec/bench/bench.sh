#!/bin/sh
# bench.sh: checks that everything is there, starts the server, measures, stops the server.
# From the top of the repository; `make bench` has built what is measured.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../src/uqpay/testing/launcher/nginx.sh"
. "$here/../support/paths.sh"

missing=
for command in nginx openssl valgrind lua5.4 luajit; do
    command -v "$command" > /dev/null || missing="$missing $command"
done
for module in cjson curl http.client socket ssl; do
    luajit -e "require '$module'" > /dev/null 2>&1 || missing="$missing LuaJIT's:$module"
done
if [ -n "$missing" ]; then
    echo "bench: missing:$missing; on Debian: make bench-deps" >&2
    exit 1
fi

# Server and client on a core each, the server's the first.
if [ "$(nproc)" -gt 1 ] && command -v taskset > /dev/null; then
    BENCH_SERVER_WRAP="taskset -c 0"
    BENCH_CLIENT_WRAP="taskset -c 1"
    export BENCH_SERVER_WRAP BENCH_CLIENT_WRAP
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-bench.XXXXXX")
trap 'sh "$here/server.sh" stop "$dir"; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP
env=$(sh "$here/server.sh" start "$dir")
echo "$env" > "$dir/env"
use_paths 5.4 "./?.lua;./src/?.lua" ""
lua5.4 "$here/bench.lua" "$dir"
