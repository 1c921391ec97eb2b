#!/bin/sh
# symbols.sh MODULE: the module exports its luaopen_ functions and nothing else.
set -u
exported=$(nm -D --defined-only "$1" | awk '{ print $NF }')
for symbol in $exported; do
    case $symbol in
    luaopen_*) ;;
    *)
        echo "symbols: $1 exports $symbol" >&2
        exit 1
        ;;
    esac
done
echo "symbols: $1 exports $exported"
