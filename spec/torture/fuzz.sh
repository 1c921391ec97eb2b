#!/bin/sh
# fuzz.sh OUT RUNS TARGET...: runs each fuzz target OUT/fuzz-TARGET RUNS times, starting from
# its small corpus (spec/torture/corpus/TARGET), two targets at a time, and prints the line
# coverage of the files that it tests. Ends with the totals. Inputs that fail are left in OUT.
set -u
out=$1 runs=$2
shift 2
dir=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-fuzz.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP

# lua-cjson leaks a buffer with each text that it rejects, so a run is done in slices, which
# limit the leak.
LSAN_OPTIONS=print_suppressions=0:suppressions=$PWD/spec/support/lsan.supp
export LSAN_OPTIONS
slice=100000

files() {
    case $1 in
    number) echo engine/number/number.c engine/number/decimal.c ;;
    answer | error)
        echo binding/response.c binding/flat_response.c binding/schema.c \
            binding/api_error.c binding/json.c ;;
    header) echo engine/http/response_headers.c engine/number/retry_after.c ;;
    option)
        echo binding/options.c binding/option_values.c binding/client_options.c \
            binding/call_options.c binding/query.c ;;
    time) echo engine/number/datetime.c ;;
    flat) echo engine/number/flat_json.c ;;
    quote) echo engine/number/json_numbers.c ;;
    redact) echo engine/base/redact.c ;;
    esac
}

coverage() {
    llvm-profdata merge -o "$dir/$1.profdata" "$dir/$1".*.profraw 2> /dev/null || return
    for file in $(files "$1"); do
        llvm-cov report "$out/fuzz-$1" -instr-profile="$dir/$1.profdata" "src/$file" \
            2> /dev/null | awk -v file="$file" '$1 == "TOTAL" {
                sub(".*/", "", file); printf ", %s of %s", $10, file }'
    done
}

# Makes $dir/TARGET.done on success.
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

# A lane runs the next target that the other lane has not taken.
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
