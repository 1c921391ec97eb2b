#!/bin/sh
# luas.sh LUA...: prints, in one line, those of these Luas (5.4, jit) that the specs can run on
# here, and on standard error why each of the others is omitted.
set -u

# True if the headers of Lua $1 are where the Makefile looks.
has_headers() {
    dir=$(${MAKE:-make} -s --no-print-directory LUA="$1" print-incdir 2> /dev/null)
    [ -e "$dir/lua.h" ]
}

# Sets why: the reason why Lua $1 is omitted, or nothing.
examine() {
    why=
    command -v "$bin" > /dev/null || { why="there is no $bin"; return; }
    has_headers "$1" || { why="its headers are not installed"; return; }
    for module in busted.runner socket ssl; do
        LUA_INIT='' "$bin" -e "require '$module'" > /dev/null 2>&1 ||
            { why="there is no module ${module%.runner} for it"; return; }
    done
}

available=
for lua in "$@"; do
    case $lua in
    jit) bin=luajit name=LuaJIT ;;
    *) bin=lua$lua name="Lua $lua" ;;
    esac
    examine "$lua"
    if [ -z "$why" ]; then available="$available $lua"; else
        echo "$name is left out: $why" >&2
    fi
done
echo "${available# }"
