#!/bin/sh
# deps.sh [bench]: installs what building and testing need, or what `make bench` needs
# besides, as Debian packages (Debian 12 or later, and its children). Nothing is asked of the
# network when all of it is there.
set -eu

# LuaJIT is OpenResty's luajit2: the upstream packages conflict with nginx's Lua module.
packages="
    gcc libc6-dev make
    libcurl4-openssl-dev lua-cjson
    lua5.1 liblua5.1-0-dev lua5.2 liblua5.2-dev lua5.3 liblua5.3-dev
    lua5.4 liblua5.4-dev luajit2 libluajit2-5.1-dev
    lua-busted lua-socket lua-sec lua-check luarocks
    lua-cqueues lua-luv lua-copas lua-coxpcall
    nginx libnginx-mod-http-lua openssl curl procps locales iproute2
    clang clang-format clang-tidy libclang-rt-dev llvm valgrind
"
target=deps
if [ "${1-}" = bench ]; then
    packages="lua-curl lua-http"
    target=bench-deps
fi

missing=
for package in $packages; do
    state=$(dpkg-query -W -f '${Status}' "$package" 2> /dev/null) || state=
    [ "$state" = "install ok installed" ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
    echo "$target: everything is installed"
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "$target: run 'sudo make $target' (only root can install:$missing)" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
export RUNLEVEL=1    # or the nginx package would start a server on port 80
apt-get update -q
# shellcheck disable=SC2086
apt-get install -q -y --no-install-recommends $missing
