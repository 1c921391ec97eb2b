#!/bin/sh
# suite.sh DIR SUITE[:ARCH]: runs matrix.sh's commands on one suite, in a chroot in DIR. It has
# a mount namespace to itself: no mount needs to be undone. Prints rows of the table as
# "row: ROW". If the chroot cannot be made, prints "no chroot: REASON", exit status 77.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
dir=$1 label=$2 suite=${2%:*}
arch=$(dpkg --print-architecture)
[ "$suite" = "$label" ] || arch=${label#*:}
name=$(echo "$label" | tr : -)
root=$dir/$name

no_chroot() {
    echo "no chroot: $*"
    exit 77
}

# Makes the chroot, which is kept for a week: a suite hardly changes in that time. It is made
# under another name first, so that an incomplete one is never used.
make_root() {
    [ -n "$FRESH" ] || [ -z "$(find "$root.made" -mtime -7 2> /dev/null)" ] || return 0
    rm -rf --one-file-system "$root" "$root.new" "$root.made"
    timeout 60 wget -q -O /dev/null "${MIRROR%/}/dists/$suite/Release" ||
        no_chroot "the mirror does not answer, or lacks $suite"
    timeout -k 20 900 debootstrap --variant=minbase --include=make --arch="$arch" \
        --cache-dir="$dir/packages" "$suite" "$root.new" "$MIRROR" ||
        no_chroot "debootstrap failed"
    mv "$root.new" "$root"
    : > "$root.made"
}

# The network is the machine's.
mount_all() {
    mount --make-rprivate / &&
        mount --bind "$root" "$root" &&
        mount -t proc proc "$root/proc" &&
        mount --rbind /dev "$root/dev" &&
        mount --bind "$dir/packages" "$root/var/cache/apt/archives" ||
        no_chroot "mounting is not permitted here"
    cat /etc/resolv.conf > "$root/etc/resolv.conf"
    [ -e "$root/etc/hosts" ] || cp /etc/hosts "$root/etc/hosts"
}

# Copies the files that a clone of this repository has.
copy_tree() {
    rm -rf --one-file-system "$root/srv/uqpay"
    find "$root/tmp" "$root/root" -xdev -mindepth 1 -delete
    mkdir -p "$root/srv/uqpay"
    if [ -e "$top/.git" ]; then
        [ -z "$(git -c safe.directory="$top" -C "$top" status --porcelain)" ] ||
            echo "# changes that are not committed are not tested" >&2
        git -c safe.directory="$top" -C "$top" archive HEAD
    else
        tar -C "$top" -c --exclude=./build .
    fi | tar -C "$root/srv/uqpay" -x
}

# enter SECONDS COMMAND: runs a shell command in the copy, with a time limit.
enter() {
    timeout -k 30 "$1" $emulate chroot "$root" env -i HOME=/root TERM=dumb \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ${http_proxy:+"http_proxy=$http_proxy"} UQPAY_CHECK_LIMIT="$LIMIT" \
        sh -c "cd /srv/uqpay && $2" < /dev/null
}

# step SECONDS COMMAND: the same, and prints the command and its time; sets status.
step() {
    echo "\$ $2"
    began=$(date +%s)
    enter "$1" "$2"
    status=$?
    echo "# $label: $2: exit status $status after $(($(date +%s) - began)) s"
}

# checked SECONDS COMMAND BUILD: the same, and prints rows of the table from check.sh's totals.
# The module under test is in build/BUILD. Sets result to 1 on failure.
checked() {
    { step "$1" "$2"; echo "$status" > "$dir/$name.status"; } 2>&1 | tee "$dir/$name.out"
    status=$(cat "$dir/$name.status")
    awk -v head="$label|$(versions "$3")" -v status="$status" '
        /^spec[^ ]*( LUA=[^ ]+)? +[0-9]+ passed, [0-9]+ failed/ {
            lua = $2 ~ /^LUA=/ ? substr($2, 5) : $1
            sub(/^spec-/, "", lua)
            match($0, /[0-9]+ passed/)
            split(substr($0, RSTART), words, " ")
            failed += words[3]
            print "row: " head "|" lua "|" words[1] "|" words[3] "|" words[5] + 0
            rows++
        }
        END { if (!rows || status != 0 && !failed) print "row: " head "|-|0|1|0" }
    ' "$dir/$name.out"
    [ "$status" = 0 ] || result=1
}

# Prints libcurl and TLS of the module in build/$1, as cells of a row.
versions() {
    enter 20 "LUA_CPATH='build/$1/?.so;;' lua5.4 -e '
        local i = require \"uqpay\".info()
        print(i.libcurl .. \"|\" .. i.tls)'" 2> /dev/null || echo "-|-"
}

# A function, so that all of it is read before it runs: the file may be edited during the run.
main() {
    result=0
    emulate=
    [ "$arch" != i386 ] || emulate="setarch i386"
    make_root
    mount_all
    copy_tree || exit 1
    for demo in demo demo-openresty; do
        step 1200 "make deps $demo"
        [ "$status" = 0 ] || { echo "row: $label|-|-|demo|0|1|0"; exit 1; }
    done
    echo "row: $label|$(versions 5.4)|demo|2|0|0"
    checked $((LIMIT + 1800)) "make dev-deps check${LUAS:+ LUAS='$LUAS'}" 5.4
    if [ "$suite" = bookworm ]; then
        checked $((LIMIT + 300)) "make gnutls" 5.4-gnutls
    fi
    exit $result
}

main
