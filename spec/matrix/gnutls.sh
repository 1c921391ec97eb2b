#!/bin/sh
# gnutls.sh DIR: unpacks Debian's libcurl-gnutls and its headers to DIR/lib and DIR/include:
# the package of these headers conflicts with that for OpenSSL.
set -eu
dir=$1
[ ! -e "$dir/lib" ] || exit 0
rm -rf "$dir"
mkdir -p "$dir/packages"
available() { apt-cache show "$1" > /dev/null 2>&1; }
available libcurl4-gnutls-dev || apt-get -o Acquire::Retries=3 update -q
library=libcurl3-gnutls
available "$library" || library=libcurl3t64-gnutls
# apt's own user must be able to write to the folder, so it is below /tmp.
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
chmod 755 "$packages"
(cd "$packages" && apt-get -o Acquire::Retries=3 -o APT::Sandbox::User=root \
    download -q "$library" libcurl4-gnutls-dev)
for package in "$packages"/*.deb; do dpkg -x "$package" "$dir/packages"; done
triplet=$(basename "$(dirname "$(ls -d "$dir"/packages/usr/include/*/curl)")")
ln -s "packages/usr/include/$triplet" "$dir/include"
ln -s "packages/usr/lib/$triplet" "$dir/lib"
if ldd "$dir/lib/libcurl-gnutls.so" | grep 'not found'; then
    rm "$dir/lib"
    echo "gnutls: libraries that $library needs are not installed" >&2
    exit 1
fi
