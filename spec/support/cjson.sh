#!/bin/sh
# cjson.sh INCDIR TARGET: builds lua-cjson for a Lua for which Debian has no package of it,
# from Debian's source package, with the headers in INCDIR, into TARGET (.../cjson.so). Only
# the specs use it. The rules of the source package know a fixed list of Luas, so its three
# sources are compiled here. The signed source indexes come from the mirrors that apt knows
# and are kept apart from apt's own state: root is not needed.
set -eu
incdir=$1 target=$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-cjson.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP

fail() {
    echo "cjson.sh: $*; with LuaRocks: luarocks --lua-version=... install lua-cjson" >&2
    exit 1
}

# An old index is good enough: it is signed, and has the checksum of the source.
apt_here() {
    apt-get -q -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir/cache" \
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none \
        -o Acquire::Retries=3 -o Acquire::Check-Valid-Until=false "$@"
}

command -v apt-get > /dev/null || fail "there is no apt-get"
# Only Debian's own archive, which has lua-cjson: other archives have other keys.
# shellcheck disable=SC2016
apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 'Component: main' 'Label: Debian' | sort -u > "$dir/sources.list"
[ -s "$dir/sources.list" ] || fail "apt knows no mirror of Debian"
mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/source" \
    "$(dirname "$target")"
target=$(cd "$(dirname "$target")" && pwd)/$(basename "$target")
cd "$dir/source"
if ! { apt_here update && apt_here source --download-only --tar-only lua-cjson; } > "$dir/log" 2>&1
then
    cat "$dir/log" >&2
    fail "apt-get source gives no lua-cjson"
fi
tar -xzf lua-cjson_*.orig.tar.gz --strip-components=1
${CC:-cc} -O2 -fPIC -shared -w -DNDEBUG -I"$incdir" -o "$target" \
    lua_cjson.c strbuf.c fpconv.c
echo "cjson.sh: built $target from Debian's $(echo lua-cjson_*.orig.tar.gz)"
