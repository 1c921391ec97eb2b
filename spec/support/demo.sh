#!/bin/sh
# demo.sh OUT: a sandbox, and the example that fetches balances from it through the module
# in the folder OUT. LUA_BIN names the interpreter, LUA_ABI its version.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../src/uqpay/testing/launcher/nginx.sh"
. "$here/paths.sh"
sandbox=$here/../../src/bin/uqpay-sandbox
out=$1
dir=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-demo.XXXXXX")
trap 'sh "$sandbox" stop "$dir"' EXIT
trap 'exit 130' INT TERM HUP

sh "$sandbox" start "$dir" > /dev/null
. "$dir/exports"
use_paths "$LUA_ABI" "$here/../../src/?.lua" "$out/?.so"
"$LUA_BIN" "$here/../../examples/balances.lua"
