#!/bin/sh
# certificates.sh DIR: makes a certificate authority in DIR, for the life of a sandbox, and
# certificates that a TLS client must accept or reject:
#
#   ca.pem            the authority: the client's ca_file
#   server.pem        good: 127.0.0.1, ::1, localhost
#   expired.pem       signed by the authority, right names, ended in 2020
#   wrong-host.pem    signed by the authority, valid, but for another host
#   self-signed.pem   right names, signed by itself
#
# Each NAME.pem has its private key in NAME.key. EC P-256 keys take a millisecond,
# RSA keys a second. Nothing is kept between runs: no key can leak or expire.
set -eu
umask 077

dir=${1:?usage: certificates.sh DIR}
cd "$dir"

work=$(mktemp -d "${TMPDIR:-/tmp}/uqpay-certs.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# A configuration of its own: the system's openssl.cnf may be absent or add extensions.
cat > "$work/cnf" <<'EOF'
[req]
distinguished_name = name
prompt = no
[name]
CN = UQPAY sandbox
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[here]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, IP:::1, DNS:localhost
[elsewhere]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:elsewhere.invalid
[ca]
default_ca = book
[book]
database = $ENV::WORK/index
new_certs_dir = $ENV::WORK
serial = $ENV::WORK/serial
certificate = ca.pem
private_key = ca.key
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
EOF
: > "$work/index"
echo 1000 > "$work/serial"
WORK=$work
OPENSSL_CONF=$work/cnf
export WORK OPENSSL_CONF

fail() {
    cat "$work/log" >&2
    echo "certificates.sh: openssl could not make $1" >&2
    exit 1
}

key() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" 2> "$work/log" ||
        fail "$1.key"
}

# own NAME EXTENSIONS CN: a certificate that signs itself
own() {
    key "$1"
    openssl req -new -x509 -config "$work/cnf" -key "$1.key" -out "$1.pem" -sha256 \
        -days 30 -subj "/CN=$3" -extensions "$2" 2> "$work/log" || fail "$1.pem"
}

# signed NAME EXTENSIONS CN FROM TO: one that the authority signs. Only `openssl ca` can set
# past dates with every OpenSSL since 1.1.
signed() {
    key "$1"
    openssl req -new -config "$work/cnf" -key "$1.key" -out "$work/csr" -subj "/CN=$3" \
        2> "$work/log" || fail "$1.csr"
    openssl ca -batch -notext -config "$work/cnf" -in "$work/csr" -out "$1.pem" \
        -extensions "$2" -startdate "$4" -enddate "$5" 2> "$work/log" || fail "$1.pem"
}

own ca authority "UQPAY sandbox authority"
# The good ones begin long ago, so that a wrong clock fails no test; 2049 is the last year of
# the short date form.
signed server here localhost 20200101000000Z 20491231235959Z
signed expired here localhost 20190101000000Z 20200101000000Z
signed wrong-host elsewhere elsewhere.invalid 20200101000000Z 20491231235959Z
own self-signed here localhost
