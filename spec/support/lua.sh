#!/bin/sh
# lua.sh: the interpreter that the specs run in, behind what UQPAY_WRAP puts before it (a
# sanitizer's preload, valgrind). Children that load the module are run by it as well.
# shellcheck disable=SC2086
exec ${UQPAY_WRAP-} "$UQPAY_LUA_BIN" "$@"
