#!/bin/sh
# check.sh RUN...: runs `make RUN` for each RUN (a target, and variables), all at once:
# specs wait more than they work. Prints what each printed, and ends with the totals:
# N passed, N failed[, N skipped]. A run that gave no totals counts as a failure.
set -u
dir=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-check.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP

run() {
    # shellcheck disable=SC2086
    ${MAKE:-make} --no-print-directory $1 > "$dir/$1" 2>&1 < /dev/null
    echo $? > "$dir/$1.exit"
}

# The sum of busted's lines: 12 successes / 0 failures / 0 errors / 0 pending : 1.5 seconds. A
# run that ended badly with nothing failed, a sanitizer's report for one, has failed once.
totals() {
    sed -n 's,^\([0-9]*\) success.* / \([0-9]*\) fail.* / \([0-9]*\) err.* / \([0-9]*\) pend.*,\1 \2 \3 \4,p' "$dir/$1" |
        awk -v status="$(cat "$dir/$1.exit")" '
            { for (i = 1; i <= 4; i++) sum[i] += $i }
            END { print sum[1] + 0, sum[2] + 0, sum[3] + 0, sum[4] + 0, status }'
}

: > "$dir/totals"
for name in "$@"; do
    run "$name" &
done
wait
for name in "$@"; do
    echo "== $name"
    cat "$dir/$name"
    totals "$name" >> "$dir/totals"
done

awk '
    { passed += $1; failed += $2 + $3; skipped += $4 }
    $5 != 0 && $2 + $3 == 0 { failed++ }
    END {
        line = (passed + 0) " passed, " (failed + 0) " failed"
        print line (skipped > 0 ? ", " skipped " skipped" : "")
        exit failed > 0
    }' "$dir/totals"
