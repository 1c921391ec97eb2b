#!/bin/sh
# check.sh TARGET LUA...: runs `make TARGET LUA=...` for each Lua, two at a time, prints
# what each run printed, and ends with the totals: N passed, N failed[, N skipped].
# A run that gave no totals counts as a failure.
set -u
target=$1
shift
dir=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-check.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP

run() {
    ${MAKE:-make} --no-print-directory "$target" LUA="$1" > "$dir/$1" 2>&1 < /dev/null
    echo $? > "$dir/$1.exit"
}

# busted's line: 12 successes / 0 failures / 0 errors / 0 pending : 1.5 seconds. A run that
# ended badly with nothing failed, a sanitizer's report for one, has failed once.
totals() {
    counts=$(sed -n 's,^\([0-9]*\) success.* / \([0-9]*\) fail.* / \([0-9]*\) err.* / \([0-9]*\) pend.*,\1 \2 \3 \4,p' "$dir/$1")
    echo "${counts:-0 0 0 0} $(cat "$dir/$1.exit")"
}

luas=$*
while [ $# -gt 0 ]; do
    run "$1" &
    first=$!
    if [ $# -gt 1 ]; then run "$2"; fi
    wait "$first"
    for lua in "$1" ${2+"$2"}; do
        echo "== Lua $lua"
        cat "$dir/$lua"
    done
    shift
    [ $# = 0 ] || shift
done

for lua in $luas; do totals "$lua"; done | awk '
    { passed += $1; failed += $2 + $3; skipped += $4 }
    $5 != 0 && $2 + $3 == 0 { failed++ }
    END {
        line = (passed + 0) " passed, " (failed + 0) " failed"
        print line (skipped > 0 ? ", " skipped " skipped" : "")
        exit failed > 0
    }'
