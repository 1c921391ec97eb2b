#!/bin/sh
# paths.sh: sourced by other scripts, after src/uqpay/testing/launcher/nginx.sh. Programs search
# Lua modules in our folders, then in the interpreter's default ones, then in the user's LUA_PATH
# and LUA_CPATH (`eval "$(luarocks path)"`). So the user's folders hide neither our modules nor
# the default ones, which are built for this Lua.

# use_paths VERSION PATH CPATH: exports LUA_PATH and LUA_CPATH for that Lua. Unsets LUA_PATH_5_4
# and its like, which Lua 5.2 and later prefer.
use_paths() {
    version=$(printf %s "$1" | tr . _)
    export UQPAY_NGINX_PATH="${UQPAY_NGINX_PATH-${LUA_PATH-}}"
    export UQPAY_NGINX_CPATH="${UQPAY_NGINX_CPATH-${LUA_CPATH-}}"
    eval "path=\${LUA_PATH_$version-\${LUA_PATH-}}"
    eval "cpath=\${LUA_CPATH_$version-\${LUA_CPATH-}}"
    export LUA_PATH="$2;;$(tidy "$path")"
    export LUA_CPATH="$3;;$(tidy "$cpath")"
    unset LUA_PATH_5_2 LUA_PATH_5_3 LUA_PATH_5_4 LUA_PATH_5_5
    unset LUA_CPATH_5_2 LUA_CPATH_5_3 LUA_CPATH_5_4 LUA_CPATH_5_5
}
