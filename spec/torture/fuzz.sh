#!/bin/sh
# fuzz.sh OUT RUNS TARGET...: runs each fuzz target OUT/fuzz-TARGET so many times from its
# small corpus (spec/torture/corpus/TARGET) on, two at a time, and prints how much of the
# file that it is about was executed. Ends with the totals. What a target finds is left in
# OUT.
set -u
out=$1 runs=$2
shift 2
dir=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-fuzz.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP

# lua-cjson loses a buffer with each text that it refuses: not ours, and never more than
# the slice of a run can bear.
LSAN_OPTIONS=print_suppressions=0:suppressions=$PWD/spec/support/lsan.supp
export LSAN_OPTIONS
slice=100000

files() {
    case $1 in
    number) echo amount.c decimal.c ;;
    answer | error) echo answer.c json.c ;;
    header) echo received.c retry.c ;;
    option) echo options.c query.c ;;
    time) echo moment.c ;;
    *) echo "$1.c" ;;
    esac
}

coverage() {
    llvm-profdata merge -o "$dir/$1.profdata" "$dir/$1".*.profraw 2> /dev/null || return
    for file in $(files "$1"); do
        llvm-cov report "$out/fuzz-$1" -instr-profile="$dir/$1.profdata" "src/$file" \
            2> /dev/null | awk -v file="$file" '$1 == "TOTAL" {
                printf ", %s of the lines of %s", $10, file }'
    done
}

# Leaves $dir/TARGET.done behind if all went well.
fuzz() {
    done=0 began=$(date +%s)
    mkdir "$dir/$1"
    while [ "$done" -lt "$runs" ]; do
        n=$((runs - done < slice ? runs - done : slice))
        LLVM_PROFILE_FILE=$dir/$1.$done.profraw "$out/fuzz-$1" -runs="$n" -max_len=1024 \
            -timeout=10 -artifact_prefix="$out/$1-" "$dir/$1" "spec/torture/corpus/$1" \
            > "$dir/$1.log" 2>&1 || { tail -n 40 "$dir/$1.log"; break; }
        done=$((done + n))
    done
    [ "$done" -lt "$runs" ] || touch "$dir/$1.done"
    echo "$1: $done executions in $(($(date +%s) - began)) s$(coverage "$1")"
    echo "runs: $done"
}

# A lane takes the next target that nobody has taken.
lane() {
    for target in "$@"; do
        if mkdir "$dir/$target.taken" 2> /dev/null; then fuzz "$target"; fi
    done
}

lane "$@" &
lane "$@"
wait
passed=$(find "$dir" -name '*.done' | wc -l)
failed=$(($# - passed))
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
