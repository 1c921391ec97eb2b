#!/bin/sh
# check.sh RUN...: runs `make RUN` for each RUN (a target, and variables), all at the same
# time, since specs mostly wait. Prints the output of each, a line of totals for each, and at
# the end the totals of all: N passed, N failed[, N skipped]. Runs that differ in PART only,
# the last variable, have one line. A run without totals counts as a failure.
# UQPAY_CHECK_LIMIT: seconds after which a run is ended; UQPAY_CHECK_JOBS: the number of runs
# at a time, which begin in the order of the arguments.
set -u
UQPAY_CHECK_LIMIT=${UQPAY_CHECK_LIMIT-}
[ $# -gt 0 ] || { echo "check.sh: there is nothing to run" >&2; exit 1; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-check.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP
limit=${UQPAY_CHECK_LIMIT:+timeout -k 20 $UQPAY_CHECK_LIMIT}

# run NUMBER RUN
run() {
    # shellcheck disable=SC2086
    $limit ${MAKE:-make} --no-print-directory $2 > "$dir/$1" 2>&1 < /dev/null
    status=$?
    echo "$status" > "$dir/$1.exit"
    case $limit,$status in
    ?*,124 | ?*,137) echo "$2 was ended after $UQPAY_CHECK_LIMIT seconds" >> "$dir/$1" ;;
    esac
}

marks() { grep -oE '^[-+*.]+' "$dir/$1" | tr -cd "$2" | wc -c; }

# The sum of busted's lines: 12 successes / 0 failures / 0 errors / 0 pending : 1.5 seconds. A
# run with a bad exit status and no failure, as after a sanitizer's report, has failed once.
# A run that was ended has no such line: busted's marks are counted.
totals() {
    if grep -q " was ended after $UQPAY_CHECK_LIMIT seconds\$" "$dir/$1"; then
        echo "$(marks "$1" +) $(marks "$1" -) $(marks "$1" '*') $(marks "$1" .) 1"
        return
    fi
    sed -n 's,^\([0-9]*\) success.* / \([0-9]*\) fail.* / \([0-9]*\) err.* / \([0-9]*\) pend.*,\1 \2 \3 \4,p' "$dir/$1" |
        awk -v status="$(cat "$dir/$1.exit")" '
            { for (i = 1; i <= 4; i++) sum[i] += $i }
            END { print sum[1] + 0, sum[2] + 0, sum[3] + 0, sum[4] + 0, status }'
}

: > "$dir/totals"
jobs=${UQPAY_CHECK_JOBS:-$#}
job=0
while [ "$job" -lt "$jobs" ]; do # each job makes the next run that no other one has taken
    number=0
    for name in "$@"; do
        number=$((number + 1))
        ! mkdir "$dir/$number.taken" 2> /dev/null || run "$number" "$name"
    done &
    job=$((job + 1))
done
wait
number=0
for name in "$@"; do
    number=$((number + 1))
    echo "== $name"
    cat "$dir/$number"
    { printf '%s|' "$name"; totals "$number"; } >> "$dir/totals"
done

# The parts of a run have one line.
awk -F '[| ]+' '
    function line(passed, failed, skipped) {
        return (passed + 0) " passed, " (failed + 0) " failed" \
            (skipped > 0 ? ", " skipped " skipped" : "")
    }
    {
        failures = $(NF - 3) + $(NF - 2)
        if ($NF != 0 && failures == 0) failures = 1
        name = $0
        sub(/( PART=[^|]*)?[|].*/, "", name)
        if (!(name in passed)) names[++count] = name
        passed[name] += $(NF - 4); failed[name] += failures; skipped[name] += $(NF - 1)
        all_passed += $(NF - 4); all_failed += failures; all_skipped += $(NF - 1)
    }
    END {
        print ""
        for (i = 1; i <= count; i++) {
            name = names[i]
            printf "%-28s %s\n", name, line(passed[name], failed[name], skipped[name])
        }
        print line(all_passed, all_failed, all_skipped)
        exit all_failed > 0
    }' "$dir/totals"
