#!/bin/sh
# lua.sh: runs the interpreter of the specs with the prefix UQPAY_WRAP (a sanitizer's preload,
# valgrind). Children that load the module are run by it as well.
# shellcheck disable=SC2086
exec ${UQPAY_WRAP-} "$UQPAY_LUA_BIN" "$@"
