#!/bin/sh
# nginx.sh: sourced by scripts that run an nginx with Lua.
PATH=$PATH:/usr/sbin:/usr/local/sbin:/usr/local/openresty/bin

# find_nginx: sets nginx to the first of UQPAY_NGINX (nginx, then openresty, by default) that
# is there. False if none is.
find_nginx() {
    for nginx in ${UQPAY_NGINX:-nginx openresty}; do
        ! command -v "$nginx" > /dev/null || return 0
    done
    return 1
}

# load_modules: prints lines of nginx.conf. Distributions ship Lua as two modules to load;
# OpenResty has it inside.
load_modules() {
    modules=$("$nginx" -V 2>&1 | tr ' ' '\n' | sed -n 's/^--modules-path=//p')
    for module in ndk_http_module ngx_http_lua_module; do
        [ ! -e "$modules/$module.so" ] || echo "load_module \"$modules/$module.so\";"
    done
}

# tidy PATHS: prints them without ";;", which stands for the interpreter's default.
tidy() { printf %s "$1" | sed 's/;;*/;/g; s/^;//; s/;$//'; }

# nginx_paths PATH CPATH: prints lines of nginx.conf. Lua modules are searched in these paths,
# then in the default ones, then in the user's LUA_PATH and LUA_CPATH. UQPAY_NGINX_PATH and
# UQPAY_NGINX_CPATH are used in place of these where they are set for another Lua.
nginx_paths() {
    path=$(tidy "${UQPAY_NGINX_PATH-${LUA_PATH-}}")
    cpath=$(tidy "${UQPAY_NGINX_CPATH-${LUA_CPATH-}}")
    printf '%s;;%s\n%s;;%s\n' "$1" "$path" "$2" "$cpath" |
        sed 's/["\\]/\\&/g; 1s/.*/lua_package_path "&";/; 2s/.*/lua_package_cpath "&";/'
}

# without_paths COMMAND...: runs it without the variables: they would replace nginx's default
# paths, in which it finds what it needs to start.
without_paths() { (unset LUA_PATH LUA_CPATH; exec "$@"); }
