#!/bin/sh
# sandbox.sh: a UQPAY sandbox on this machine, loopback only (nginx with its Lua module).
#
#   sandbox.sh start DIR   make DIR, start there, print name=value lines (also in DIR/env);
#                          DIR/exports has what the examples need, for a shell
#   sandbox.sh stop DIR    stop the one that runs in DIR, remove DIR
#   sandbox.sh guard DIR   stop it when standard input ends: the keeper of a test process
#   sandbox.sh run         start in a temporary directory, stay until interrupted
#
# UQPAY_NGINX names the nginx to use (nginx, then openresty, by default).
set -eu
umask 077
unset CDPATH
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../support/paths.sh"
PATH=$PATH:/usr/sbin:/usr/local/sbin:/usr/local/openresty/bin
servers="https http control other expired wrong_host self_signed old_tls goaway \
    http1 one_stream"

die() {
    echo "sandbox.sh: $*" >&2
    exit 1
}

nap() { sleep 0.05 2> /dev/null || sleep 1; }

# No proxy and no configuration of the user comes between us and loopback.
ask() { curl -q -s --noproxy '*' --max-time 30 "$@"; }

find_nginx() {
    for nginx in ${UQPAY_NGINX:-nginx openresty}; do
        command -v "$nginx" > /dev/null && return
    done
    die "no nginx found; on Debian: apt-get install nginx libnginx-mod-http-lua"
}

# Distributions ship Lua as two modules to load; OpenResty has it inside.
write_modules() {
    modules=$("$nginx" -V 2>&1 | tr ' ' '\n' | sed -n 's/^--modules-path=//p')
    for module in ndk_http_module ngx_http_lua_module; do
        [ ! -e "$modules/$module.so" ] || echo "load_module \"$modules/$module.so\";"
    done > "$dir/modules.conf"
    nginx_paths "\$prefix/lua/?.lua" "" > "$dir/paths.conf"
}

# A run of eleven ports below the ones the system hands out by itself, on which nobody
# listens now (7 is curl's "could not connect"). Somebody may still be quicker than nginx:
# then start_nginx draws again.
draw_ports() {
    for draw in 1 2 3 4 5 6 7 8 9 10; do
        base=$(od -An -N2 -tu2 /dev/urandom)
        base=$((10240 + base % 2000 * 11))
        busy=$(ask -o /dev/null -w '%{exitcode}\n' --max-time 2 \
            "http://127.0.0.1:[$base-$((base + 10))]/" | grep -vc '^7$') || true
        [ "$busy" != 0 ] || return 0
    done
    die "found no free ports in $draw draws"
}

port_of() {
    port=$base
    for server in $servers; do
        [ "$server" != "$1" ] || { echo "$port"; return; }
        port=$((port + 1))
    done
}

write_conf() {
    edits=
    for server in $servers; do edits="$edits;s/@$server@/$(port_of "$server")/"; done
    sed "${edits#;}" "$here/server/nginx.conf" > "$dir/nginx.conf"
}

# A thousand clients at once are as many descriptors.
raise_limit() {
    [ "$(ulimit -S -n)" = unlimited ] || [ "$(ulimit -S -n)" -ge 8192 ] ||
        ulimit -S -n 8192 2> /dev/null || ulimit -S -n "$(ulimit -H -n)" || true
}

# nginx goes to the background by itself, and only once its ports are bound: when the
# command returns, a connection succeeds. There is nothing to wait for.
start_nginx() {
    raise_limit
    for try in 1 2 3 4 5; do
        draw_ports
        write_conf
        if without_paths "$nginx" -p "$dir" -c "$dir/nginx.conf" -e error.log -g 'daemon on;' \
            < /dev/null > /dev/null 2> "$dir/start.log"; then return 0; fi
        grep -q 'bind() to .* failed' "$dir/start.log" || break
    done
    cat "$dir/start.log" >&2
    die "nginx did not start (try $try)"
}

write_env() {
    control=http://127.0.0.1:$(port_of control)
    facts=$(ask -f "$control/env") || {
        cat "$dir/error.log" >&2
        die "nginx runs but does not answer at $control"
    }
    {
        echo "url=https://127.0.0.1:$(port_of https)/api"
        echo "http_url=http://127.0.0.1:$(port_of http)/api"
        echo "other_url=https://127.0.0.1:$(port_of other)/api"
        for server in expired wrong_host self_signed old_tls goaway http1 one_stream; do
            echo "${server}_url=https://127.0.0.1:$(port_of "$server")/api"
        done
        echo "ca_file=$dir/ca.pem"
        echo "exports=$dir/exports"
        echo "control=$control"
        echo "$facts"
    } > "$dir/env.new"
    mv "$dir/env.new" "$dir/env"
}

quoted() { printf "'"; printf %s "$1" | sed "s/'/'\\\\''/g"; printf "'"; }

# The variables of the examples. All of them, so that any can be run: UQPAY_TOKEN wins over
# the login, where an example has no use for the login alone.
write_exports() {
    value token > "$dir/token"
    for pair in CLIENT_ID:client_id API_KEY:api_key TOKEN:token BASE_URL:url \
        CA_FILE:ca_file SUB_ACCOUNT:sub_account; do
        echo "export UQPAY_${pair%:*}=$(quoted "$(value "${pair#*:}")")"
    done > "$dir/exports"
    for pair in TOKEN_FILE:token TOKEN_STORE:tokens; do
        echo "export UQPAY_${pair%:*}=$(quoted "$dir/${pair#*:}")"
    done >> "$dir/exports"
}

start() {
    find_nginx
    rmdir "$dir" 2> /dev/null || true   # an empty one (of mktemp -d) is taken over
    mkdir -m 700 "$dir" 2> /dev/null || die "$dir cannot be made, or is not empty"
    dir=$(cd "$dir" && pwd -P)
    : > "$dir/.uqpay-sandbox"
    trap '[ $? = 0 ] || stop' EXIT
    trap 'exit 130' INT TERM HUP
    ln -s "$here/server" "$dir/lua"
    sh "$here/../support/certificates.sh" "$dir"
    write_modules
    start_nginx
    write_env
    write_exports
}

# Our own process only: the pid must still be the nginx that was started with this prefix.
ours() {
    kill -0 "$pid" 2> /dev/null || return 1
    args=$(ps -o args= -p "$pid" 2> /dev/null) || return 0     # a system without ps
    case $args in *"-p $dir "*) return 0 ;; esac
    return 1
}

# nginx removes its pid file as it ends; asking for the file also works where nobody
# collects the dead process.
gone() {
    for tick in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ -e "$dir/nginx.pid" ] && kill -0 "$pid" 2> /dev/null || return 0
        nap
    done
    return "$((tick > 0))"
}

stop() {
    [ -d "$dir" ] || return 0
    [ -e "$dir/.uqpay-sandbox" ] || die "$dir is no sandbox; nothing was removed"
    dir=$(cd "$dir" && pwd -P)
    if pid=$(cat "$dir/nginx.pid" 2> /dev/null) && [ -n "$pid" ]; then
        for signal in QUIT TERM KILL; do
            ours || break
            kill -s "$signal" "$pid" 2> /dev/null || break
            gone && break
        done
    fi
    rm -rf "$dir"
}

value() { sed -n "s/^$1=//p" "$dir/env"; }

run() {
    dir=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-sandbox.XXXXXX")
    start
    trap 'kill "${watch-}" 2> /dev/null || true; stop' EXIT
    sed 's/=/ = /' "$dir/env"
    cat <<EOF

For the examples, and programs that use uqpay.from_env():

$(cat "$dir/exports")

Try it:

lua examples/balances.lua       # in a shell that has these variables

curl --cacert $(value ca_file) $(value url)/v1/issuing/balances \\
  -H 'Content-Type: application/json' -H 'x-auth-token: Bearer $(value token)' \\
  -H "x-idempotency-key: \$(cat /proc/sys/kernel/random/uuid)" -d '{"currency":"USD"}'

curl --cacert $(value ca_file) -X POST $(value url)/v1/connect/token \\
  -H 'x-client-id: $(value client_id)' -H 'x-api-key: $(value api_key)'

Specs join this sandbox with UQPAY_SANDBOX_ENV=$dir/env. Interrupt (Ctrl-C) to stop it.
EOF
    pid=$(value pid)
    while kill -0 "$pid" 2> /dev/null; do
        sleep 1 &
        watch=$!
        wait "$watch" || true
    done
    die "the server ended by itself"
}

case ${1-} in
start | stop | guard) dir=${2:?"usage: sandbox.sh $1 DIR"} ;;
run) ;;
*) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" | sed '/^set /,$d' >&2; exit 2 ;;
esac

case $1 in
start)
    start
    cat "$dir/env"
    ;;
stop) stop ;;
guard)
    trap '' INT HUP TERM    # meant for the test process; its end is what we wait for
    cat > /dev/null
    stop
    ;;
run) run ;;
esac
