#!/bin/sh
# busted.sh ARGUMENT...: runs busted in the interpreter UQPAY_LUA. Debian's command starts in
# the system's `lua` and needs busted there before it starts another interpreter; that fails
# if `lua` is Lua 5.2, for which newer Debians have no busted. The command of LuaRocks is a
# shell script, which needs no such Lua.
set -eu
file=$(command -v "${BUSTED:-busted}") || { echo "busted is not installed" >&2; exit 127; }
case $(head -n 1 "$file") in
"#!"*lua*) exec "$UQPAY_LUA" "$file" --ignore-lua "$@" ;;
*) exec "$file" --lua="$UQPAY_LUA" "$@" ;;
esac
