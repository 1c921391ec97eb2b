#!/bin/sh
# matrix.sh SUITE...: runs the README's commands, `make deps demo`, `make deps demo-openresty`
# and `make dev-deps check`, on suites of Debian: trixie, sid, bookworm:i386 (a suite and an
# architecture); on bookworm also `make gnutls`. Each suite has a chroot below build/matrix,
# which is kept for the next run. Prints the output of the commands, a table, and the totals.
# To be run from the top of the repository, as root.
#
# MIRROR: a mirror of Debian; default: the one that this machine's apt uses
# LUAS:   the Luas to test; default: all that a suite has
# LIMIT:  seconds for the specs of a suite; default: 1800
# FRESH=1 makes the chroots again
# SKIP=1  counts a chroot that cannot be made as skipped, not as failed
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(pwd)
dir=$top/build/matrix
MIRROR=${MIRROR-} LUAS=${LUAS-} FRESH=${FRESH-} SKIP=${SKIP-} LIMIT=${LIMIT:-1800}
export MIRROR LUAS LIMIT FRESH
rows=$(mktemp) || exit 1
trap 'rm -f "$rows"' EXIT
trap 'exit 130' INT TERM HUP

# Prints the mirror of Debian's main archive, not that of security updates or of another
# repository. Prints nothing if apt has no lists yet.
find_mirror() {
    apt-get indextargets --format '$(COMPONENT)|$(LABEL)|$(RELEASE)|$(SITE)' \
        'Created-By: Packages' 2> /dev/null | awk -F '|' '
        $1 == "main" && $2 == "Debian" && $3 !~ /-/ && $4 ~ /^https?:/ { print $4; exit }'
}

get_mirror() {
    [ -z "$MIRROR" ] || return 0
    MIRROR=$(find_mirror)
    [ -z "$MIRROR" ] || return 0
    timeout 300 apt-get -o Acquire::Retries=3 update -q >&2
    MIRROR=$(find_mirror)
}

# Sets why: the reason why no chroot can be made, or nothing.
look_for_obstacles() {
    why=
    [ "$(id -u)" = 0 ] || { why="only root can make a chroot (sudo make matrix)"; return; }
    mkdir -p "$dir/packages" || { why="$dir cannot be made"; return; }
    unshare --mount --pid --fork --kill-child \
        mount -t tmpfs none "$dir/packages" ||
        { why="mounting is not permitted here"; return; }
    command -v debootstrap > /dev/null || sh "$here/../support/deps.sh" matrix-deps ||
        { why="debootstrap cannot be installed"; return; }
    get_mirror
    [ -n "$MIRROR" ] || why="apt names no mirror of Debian; give MIRROR="
}

# The mounts and processes of a suite are in namespaces that end with their first process.
# That one only waits, so that a signal ends it at once.
run_suite() {
    unshare --mount --pid --fork --kill-child sh -c 'trap "exit 130" INT TERM HUP
        sh "$@" &
        wait "$!"' sh "$here/suite.sh" "$dir" "$1"
}

# A row is suite|libcurl|TLS|Lua|passed|failed|skipped[|remark].
left_out() {
    counts='1|0'
    [ -z "$SKIP" ] || counts='0|1'
    echo "$suite|-|-|-|0|$counts|$1" >> "$rows"
}

# A function, so that all of it is read before it runs: the file may be edited during the run.
main() {
    look_for_obstacles
    for suite in "$@"; do
        echo "== $suite"
        if [ -z "$why" ]; then
            log=$dir/$(echo "$suite" | tr : -).log
            { run_suite "$suite" < /dev/null 2>&1; echo "exit $?"; } | tee "$log"
            sed -n 's/^row: //p' "$log" >> "$rows"
            exit=$(sed -n 's/^exit //p' "$log" | tail -n 1)
            reason=$(sed -n 's/^no chroot: //p' "$log" | tail -n 1)
            case $exit in
            77) left_out "$reason" ;;
            0) ;;
            *)
                grep -q "^$suite|.*|[1-9][0-9]*|[0-9]*\$" "$rows" ||
                    echo "$suite|-|-|-|0|1|0|ended with status $exit" >> "$rows"
                ;;
            esac
        else
            echo "$why"
            left_out "$why"
        fi
    done

    echo
    awk -F '|' '
        function row() {
            printf "%-15s %-9s %-16s %-10s %7s %7s %7s  %s\n", $1, $2, $3, $4, $5, $6, $7, $8
        }
        BEGIN {
            $0 = "suite|libcurl|TLS|Lua|passed|failed|skipped"
            row()
        }
        {
            row()
            passed += $5; failed += $6; skipped += $7
        }
        END {
            printf "\n%d passed, %d failed%s\n", passed, failed,
                (skipped > 0 ? ", " skipped " skipped" : "")
            exit failed > 0 || NR == 0
        }' "$rows"
}

main "$@"
