#!/bin/sh
# layers.sh LUA_INCDIR: files below src/engine include no header of Lua, binding files none of
# curl, directly or indirectly, and each C file has a header of its own and includes it.
set -u
incdir=$1
cc="${CC:-cc} -std=c99 -Isrc"
broken=0

complain() {
    echo "layers: $*" >&2
    broken=1
}

# The pollers share a header.
own_header() {
    case $1 in
    src/engine/event/epoll.c | src/engine/event/kqueue.c | src/engine/event/poll.c)
        echo engine/event/poller_system.h ;;
    *) echo "${1#src/}" | sed 's/c$/h/' ;;
    esac
}

for file in src/engine/*/*.c; do
    seen=$($cc -M "$file") || complain "$file does not compile without Lua's headers"
    case $seen in */lua.h* | */lauxlib.h*) complain "$file includes Lua's headers" ;; esac
done
for file in src/*.c src/binding/*.c; do
    seen=$($cc -I"$incdir" -M "$file") || complain "$file does not compile"
    case $seen in */curl/*) complain "$file includes curl's headers" ;; esac
done
for file in src/binding/*.c src/engine/*/*.c; do
    header=$(own_header "$file")
    { [ -f "src/$header" ] && grep -q "^#include \"$header\"" "$file"; } ||
        complain "$file does not include $header, its own header"
done
[ $broken = 0 ] && echo "layers: as designed"
exit $broken
