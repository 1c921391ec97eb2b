#!/bin/sh
# matrix.sh SUITE...: the README's two commands, `make deps demo` and `make dev-deps check`, on
# suites of Debian, each in a chroot of its own below build/matrix, which is kept for the next
# run: trixie, sid, bookworm:i386 (another architecture), with bookworm also the specs on its
# libcurl-gnutls. Prints all that they print, a table, and the totals. From the top of the
# repository, as root.
#
# MIRROR is a mirror of Debian, otherwise the one of this machine's apt. LUAS are the Luas to
# test, otherwise all that a suite has. FRESH=1 makes the chroots again. SKIP=1: that a chroot
# cannot be made is not a failure. LIMIT: seconds for the specs of a suite.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(pwd)
dir=$top/build/matrix
MIRROR=${MIRROR-} LUAS=${LUAS-} FRESH=${FRESH-} SKIP=${SKIP-} LIMIT=${LIMIT:-1800}
export MIRROR LUAS LIMIT
mkdir -p "$dir/packages" || exit 1
rows=$dir/rows
: > "$rows"

# The mirror that has this system's suite; not its updates, nor what else apt knows.
find_mirror() {
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    apt-get indextargets --format '$(COMPONENT) $(RELEASE) $(CODENAME) $(LABEL) $(SITE)' \
        'Created-By: Packages' 2> /dev/null | awk -v codename="$codename" '
        $1 != "main" || $NF !~ /^https?:/ { next }
        $2 == codename || $3 == codename || $2 ~ /^(sid|(un|old)?stable|testing)$/ {
            print $NF; exit }'
}

# Why there can be no chroot, or nothing.
obstacle() {
    if [ "$(id -u)" != 0 ]; then echo "only root can make a chroot"; return; fi
    if ! unshare --mount --pid --fork --kill-child \
        mount -t tmpfs none "$dir/packages" 2> /dev/null; then
        echo "this machine lets nobody mount"
        return
    fi
    command -v debootstrap > /dev/null || sh "$here/../support/deps.sh" matrix-deps >&2 ||
        { echo "debootstrap cannot be installed"; return; }
    [ -n "$MIRROR" ] || echo "apt names no mirror of Debian; give MIRROR="
}

# Mounts and processes of a suite are in namespaces that end with it, however it ends.
run_suite() {
    name=$1
    suite=${name%:*} arch=${name#"$suite"}
    arch=${arch#:}
    [ -z "$FRESH" ] || rm -rf --one-file-system "${dir:?}/$suite${arch:+-$arch}"
    unshare --mount --pid --fork --kill-child sh "$here/suite.sh" "$dir" "$suite" \
        "${arch:-$(dpkg --print-architecture)}" "$suite${arch:+-$arch}"
}

# A row: suite|libcurl|TLS|Lua|passed|failed|skipped
[ -n "$MIRROR" ] || MIRROR=$(find_mirror)
why=$(obstacle)
for suite in "$@"; do
    echo "== $suite"
    if [ -z "$why" ]; then
        log=$dir/$(echo "$suite" | tr : -).log
        { run_suite "$suite" < /dev/null 2>&1; echo "exit $?"; } | tee "$log"
        sed -n 's/^row: //p' "$log" >> "$rows"
        exit=$(sed -n 's/^exit //p' "$log" | tail -n 1)
        reason=$(sed -n 's/^no chroot: //p' "$log" | tail -n 1)
        [ "$exit" != 77 ] || { echo "$suite|$reason||-|0|$((${SKIP:-0} == 0))|${SKIP:-0}" >> "$rows"; }
        [ "$exit" = 77 ] || [ "$exit" = 0 ] || grep -q "^$suite|.*|[1-9][0-9]*|[0-9]*\$" "$rows" ||
            echo "$suite|ended with $exit||-|0|1|0" >> "$rows"
    else
        echo "$why"
        echo "$suite|$why||-|0|$((${SKIP:-0} == 0))|${SKIP:-0}" >> "$rows"
    fi
done

echo
awk -F '|' '
    function row(suite, curl, tls, lua, passed, failed, skipped) {
        printf "%-15s %-9s %-16s %-6s %7s %7s %7s\n", suite, curl, tls, lua, passed, failed, skipped
    }
    BEGIN { row("suite", "libcurl", "TLS", "Lua", "passed", "failed", "skipped") }
    {
        row($1, $2, $3, $4, $5, $6, $7)
        passed += $5; failed += $6; skipped += $7
    }
    END {
        printf "\n%d passed, %d failed%s\n", passed, failed,
            skipped > 0 ? ", " skipped " skipped" : ""
        exit failed > 0 || NR == 0
    }' "$rows"
