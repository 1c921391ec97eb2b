#!/bin/sh
# outputs.sh COMMAND...: runs the command, which runs specs, with every hook of every client
# on (watch.lua), and looks for secrets in all that came out. Ends with the totals: specs
# and, one more, the search.
set -u
dir=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-outputs.XXXXXX")
chmod 1777 "$dir" # some specs run children as another user
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP

LC_ALL=C UQPAY_WATCH=$dir LUA_INIT=@$PWD/spec/torture/watch.lua "$@" > "$dir/run.said" 2>&1
totals=$(sed -n 's/^\([0-9]*\) succ.* \([0-9]*\) fail.* \([0-9]*\) err.*/\1 \2 \3/p' \
    "$dir/run.said" | tail -n 1)
# shellcheck disable=SC2086
set -- ${totals:-0 0 1}
passed=$1 failed=$(($2 + $3))
[ "$failed" = 0 ] || cat "$dir/run.said"

cat "$dir"/*.secrets | sort -u > "$dir/list"
secrets=$(wc -l < "$dir/list") bytes=$(cat "$dir"/*.said | wc -c)
cat "$dir"/*.said | LC_ALL=C grep -aFf "$dir/list" > "$dir/found"
if [ "$secrets" -gt 0 ] && [ ! -s "$dir/found" ]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "FAILED: secrets in:"
    cut -c 1-200 "$dir/found" | sort | uniq -c | sort -rn | head -n 40
fi
echo "$secrets secrets in $(wc -l < "$dir/found") lines of $bytes bytes of output"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
