#!/bin/bash
# Clients speak TLS as RocketMQ's do, by the keys of tls.properties; certificates that are not good
# are refused with a reason.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool openssl python3

port=$(free_port)
scene() { timeout 100 python3 "$top_srcdir/tests/tls.py" "$port" "$@" >&9 2>&9 || fail "$*"; }
logged() { grep -q -- "$1" "$mnt/status/log"; }
listens() { timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port"; }
sh "$top_srcdir/tests/certificates.sh" "$work/tls"
chmod 600 "$work"/tls/*.key
pem=$work/tls

# broker OPTIONS   mounted anew
broker() {
	[ ! -d "$mnt/topics" ] || stop_mqfs "$mnt"
	start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un),$1"
	eventually 20 listens
}

# Without a word of TLS: a certificate that only a client takes which looks at none, as RocketMQ's test mode.
broker tlsConfigFile=
mkdir "$mnt/topics/t"
scene both
scene late
scene shut_out "$pem/ca.pem"
eventually 20 logged 'does not take our certificate'

broker tls.server.mode=disabled
scene plain
scene shut_out "$pem/ca.pem"
eventually 20 logged 'speaks TLS, which tls.server.mode does not allow'

# RocketMQ's file, unchanged.
cat > "$work/tls.properties" << EOF
tls.test.mode.enable=false
tls.server.need.client.auth=require
tls.server.keyPath=$pem/secret.key
tls.server.keyPassword=secret
tls.server.certPath=$pem/names.pem
tls.server.authClient=true
tls.server.trustCertPath=$pem/ca.pem
tls.client.authServer=true
EOF
broker "tls.server.mode=enforcing,tls.config.file=$work/tls.properties"
scene let_in "$pem/ca.pem" "$pem/plain"
scene shut_out "$pem/ca.pem"
eventually 20 logged 'refused: has no certificate'
scene shut_out "$pem/ca.pem" "$pem/expired"
eventually 20 logged 'refused: its certificate is not good: certificate has expired'
scene shut_out "$pem/ca.pem" "$pem/other"
eventually 20 logged 'refused: its certificate is of no authority in tls.server.trustCertPath'
timeout 20 python3 "$top_srcdir/tests/tls.py" "$port" plain >&9 2>&9 && fail "was let in without TLS"
eventually 20 logged 'refused: does not speak TLS'
! cat "$mnt/config/tlsServerKeyPassword" 2>&9 || fail "the passphrase is shown"

# A client need not show one where it is optional; what is shown is looked at.
broker "tls.server.need.client.auth=optional,tls.server.authClient=true,tls.server.trustCertPath=$pem/ca.pem,tls.server.certPath=$pem/names.pem,tls.server.keyPath=$pem/names.key"
scene let_in "$pem/ca.pem"
scene let_in "$pem/ca.pem" "$pem/plain"
scene shut_out "$pem/ca.pem" "$pem/nameless"
eventually 20 logged 'refused: its certificate has no name'
scene shut_out "$pem/other-ca.pem" "$pem/plain"
scene plain
stop_mqfs "$mnt"

# A file that cannot be used is told of by name; one that is not named with its key is refused at once.
start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,tls.server.certPath=$pem/names.pem,tls.server.keyPath=$pem/plain.key"
eventually 20 logged "tls.server.keyPath $pem/plain.key: is not the key of the certificate"
stop_mqfs "$mnt"
! mount.mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,tls.server.certPath=$pem/names.pem" 2> "$work/why" ||
	fail "a certificate without a key was taken"
grep -q 'tlsServerCertPath without tlsServerKeyPath' "$work/why" || fail "$(cat "$work/why")"
