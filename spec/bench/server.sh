#!/bin/sh
# server.sh: the bench's nginx, on loopback.
#
#   server.sh start DIR    start it in the empty directory DIR, print name=value lines
#   server.sh stop DIR     stop the one that runs in DIR
#
# BENCH_SERVER_WRAP stands before the command: taskset, to keep it on a core of its own.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
launcher=$here/../../src/uqpay/testing/launcher
. "$launcher/nginx.sh"
dir=$(cd "${2:?"usage: server.sh start|stop DIR"}" && pwd -P)
answer='{"balance_id":"72970a7c-7921-431c-b95f-3438724ba16f","currency":"USD",'
answer=$answer'"available_balance":5000.25,"margin_balance":10000,'
answer=$answer'"frozen_balance":2353.25,"create_time":"2024-03-21T17:17:32+08:00",'
answer=$answer'"last_trade_time":"2024-03-21T17:17:32+08:00","balance_status":"ACTIVE"}'

start() {
    find_nginx || { echo "server.sh: there is no nginx" >&2; exit 1; }
    sh "$launcher/certificates.sh" "$dir"
    printf %s "$answer" > "$dir/answer.json"
    load_modules > "$dir/modules.conf"
    for try in 1 2 3 4 5; do
        port=$((10240 + $(od -An -N2 -tu2 /dev/urandom) % 7000 * 3))
        sed "s/@http@/$port/;s/@https@/$((port + 1))/;s/@h2@/$((port + 2))/" \
            "$here/nginx.conf" > "$dir/nginx.conf"
        # shellcheck disable=SC2086
        if without_paths ${BENCH_SERVER_WRAP-} "$nginx" -p "$dir" -c "$dir/nginx.conf" \
            -e error.log -g 'daemon on;' < /dev/null > /dev/null 2> "$dir/start.log"; then
            echo "http=http://127.0.0.1:$port"
            echo "https=https://127.0.0.1:$((port + 1))"
            echo "h2=https://127.0.0.1:$((port + 2))"
            echo "ca_file=$dir/ca.pem"
            return
        fi
        grep -q 'bind() to .* failed' "$dir/start.log" || break
    done
    cat "$dir/start.log" >&2
    echo "server.sh: nginx did not start (try $try)" >&2
    exit 1
}

stop() {
    pid=$(cat "$dir/nginx.pid" 2> /dev/null) || return 0
    case $(ps -o args= -p "$pid") in
    *"-p $dir "*) kill -s QUIT "$pid" ;;    # ours, not one that came by the number
    esac
}

case $1 in
start) start ;;
stop) stop ;;
*) exit 2 ;;
esac
