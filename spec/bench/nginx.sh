#!/bin/sh
# nginx.sh: starts the bench's server, and measures how resty.uqpay affects nginx. Started in
# the top folder of the repository by `make bench-openresty`, which builds what is measured.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../src/uqpay/testing/launcher/nginx.sh"
. "$here/../support/paths.sh"
export PATH
if [ "$(nproc)" -gt 1 ] && command -v taskset > /dev/null; then
    BENCH_SERVER_WRAP="taskset -c 0"
    BENCH_CLIENT_WRAP="taskset -c 1"
    export BENCH_SERVER_WRAP BENCH_CLIENT_WRAP
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-bench.XXXXXX")
trap 'sh "$here/server.sh" stop "$dir"; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP
sh "$here/server.sh" start "$dir" > "$dir.env"
mv "$dir.env" "$dir/env"
use_paths 5.1 "./?.lua" ""
UQPAY_OUT=build/jit luajit "$here/nginx_bench.lua" "$dir"
