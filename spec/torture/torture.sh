#!/bin/sh
# torture.sh [VARIABLE=VALUE] KIND:SECONDS...: runs `make torture-KIND` for each, one after
# the other, each for so many seconds at most. Ends with a table and the totals. What a
# target says of its runs ("runs: N") is in the table, or else what passed and failed.
set -u
dir=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-torture.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP
variables=

sum() { sed -n "s/^$1\$/\\1/p" "$dir/log" | awk '{ n += $1 } END { print n + 0 }'; }

row() {
    counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed.*$/\1 \2/p' "$dir/log" |
        tail -n 1)
    passed=${counts% *} failed=${counts#* } why=
    # one that came to a bad end without a failure has failed once
    [ "$status" = 0 ] || [ "${failed:-0}" != 0 ] || failed=1
    [ "$status" != 124 ] || why="  ended after $limit s"
    runs=$(sum 'runs: \([0-9]*\)')
    [ "$runs" != 0 ] || runs=$((${passed:-0} + failed))
    printf '%-10s %10d %8d %8d %8d%s\n' "$kind" "$runs" "$seconds" "${passed:-0}" \
        "$failed" "$why" >> "$dir/table"
}

for word in "$@"; do
    case $word in
    *=*) variables="$variables $word"; continue ;;
    esac
    kind=${word%:*} limit=${word#*:} started=$(date +%s)
    echo "== torture-$kind$variables, $limit s at most"
    # shellcheck disable=SC2086
    { timeout -k 10 "$limit" ${MAKE:-make} --no-print-directory "torture-$kind" \
        $variables 2>&1; echo $? > "$dir/status"; } < /dev/null | tee "$dir/log"
    status=$(cat "$dir/status") seconds=$(($(date +%s) - started))
    row
done

printf '%-10s %10s %8s %8s %8s\n' target runs seconds passed failed
cat "$dir/table"
awk '{ passed += $4; failed += $5 }
    END { print passed + 0 " passed, " failed + 0 " failed"; exit failed > 0 }' "$dir/table"
