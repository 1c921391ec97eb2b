#!/bin/sh
# demo_openresty.sh OUT: a sandbox, and an nginx that runs examples/nginx.conf with the module
# in the folder OUT. Shows a balance, and stops both; with WAIT=1 when it is interrupted.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
out=$(cd "$1" && pwd)
. "$top/src/uqpay/testing/launcher/nginx.sh"
sandbox=$top/src/bin/uqpay-sandbox
find_nginx || { echo "demo-openresty: there is no nginx" >&2; exit 1; }

dir=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-demo.XXXXXX")
trap 'sh "$sandbox" stop "$dir/nginx"; sh "$sandbox" stop "$dir/sandbox"
    rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP

sh "$sandbox" start "$dir/sandbox" > /dev/null
. "$dir/sandbox/exports"

# The example with other ports, log and module paths. If root runs it, the workers are root's,
# too, or they could not read this folder.
write_conf() {
    [ "$(id -u)" != 0 ] || echo "user root;"
    load_modules
    sed "/^load_module/d; s/127.0.0.1:8080/127.0.0.1:$port/
        s/127.0.0.1:8081/127.0.0.1:$((port + 1))/
        s|error_log stderr|error_log error.log|
        s|lua_package_path .*|include paths.conf;|" "$top/examples/nginx.conf"
}

mkdir "$dir/nginx"
: > "$dir/nginx/.uqpay-sandbox"     # so that uqpay-sandbox stop stops it
nginx_paths "$top/examples/nginx/?.lua;$top/src/?.lua" "$out/?.so" > "$dir/nginx/paths.conf"
for try in 1 2 3 4 5; do
    port=$((10240 + $(od -An -N2 -tu2 /dev/urandom) % 20000))
    write_conf > "$dir/nginx/nginx.conf"
    ! without_paths "$nginx" -p "$dir/nginx" -e error.log -c nginx.conf \
        -g 'daemon on;' < /dev/null 2> "$dir/start.log" || break
    if [ "$try" = 5 ] || ! grep -q 'bind() to .* failed' "$dir/start.log"; then
        cat "$dir/start.log" >&2
        exit 1
    fi
done

url=http://127.0.0.1:$port
printf '$ curl %s\n' "$url/balance/USD"
curl -q -sS --fail --noproxy '*' --max-time 30 "$url/balance/USD"
if [ "${WAIT-}" != 1 ]; then
    echo "WAIT=1 keeps it running: make demo-openresty WAIT=1"
    exit
fi
cat <<END

Try it:

curl $url/balance/SGD
curl $url/balance/USD?account=$UQPAY_SUB_ACCOUNT
curl -i $url/balance/ZZZ
curl -i -X POST $url/balance/USD
curl http://127.0.0.1:$((port + 1))/health
curl http://127.0.0.1:$((port + 1))/metrics

The sandbox it asks: $UQPAY_BASE_URL. Interrupt (Ctrl-C) to stop both.
END
pid=$(cat "$dir/nginx/nginx.pid")
while kill -0 "$pid" 2> /dev/null; do
    sleep 1 &
    wait "$!" || true
done
