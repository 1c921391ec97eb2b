#!/bin/sh
# busted.sh ARGUMENT...: busted in the interpreter UQPAY_LUA. Debian's command begins in the
# system's `lua`, whichever that is, and looks for busted there before it starts another:
# in vain where that is Lua 5.2, for which newer Debians have none. LuaRocks' is a shell
# script, which knows its Lua.
set -eu
file=$(command -v "${BUSTED:-busted}") || { echo "busted is not installed" >&2; exit 127; }
case $(head -n 1 "$file") in
"#!"*lua*) exec "$UQPAY_LUA" "$file" --ignore-lua "$@" ;;
*) exec "$file" --lua="$UQPAY_LUA" "$@" ;;
esac
