#!/bin/bash
# A slave follows over TLS; who has a wrong certificate, an old one, or none is refused
# with one clear line on both sides, and the master does not care.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool openssl

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
sh "$top_srcdir/tests/certificates.sh" "$work/tls"
chmod 600 "$work"/tls/*.key
common=mappedFileSizeCommitLog=65536,maxMessageSize=20000,haSendHeartbeatInterval=300,haHousekeepingInterval=3000

# tls NAME [AUTHORITY]   settings of who has that certificate
tls() { echo "tlsCert=$work/tls/$1.pem,tlsKey=$work/tls/$1.key,tlsCa=$work/tls/${2:-ca}.pem"; }

logged() { grep -q -- "$2" "$1/status/log"; }

# refused NAME_OF_CASE MASTER_SAYS SLAVE_SAYS SETTINGS [HOST]   a slave of its own comes, and is not let in
refused() {
	local at=$work/refused.$1
	mkdir "$at"
	start_mqfs "$work/s.$1" "$at" -o "role=slave,master=${5:-localhost}:$((port + 1)),haListen=none,$common${4:+,$4}"
	eventually 20 logged "$at" "$3"
	eventually 20 logged "$master" "$2"
	want 0 "$(written "$at")" "what a refused slave ($1) has"
	stop_mqfs "$at"
}

start_mqfs "$work/m" "$master" -o "haListen=0.0.0.0,listenPort=$port,$common,$(tls names)"
mkdir "$master/topics/orders"
seq_lines 1 3000 >> "$master/topics/orders/q0"
start_mqfs "$work/s" "$slave" -o "role=slave,master=localhost:$((port + 1)),haListen=none,$common,$(tls plain)"
eventually 20 caught_up
for i in $(seq 100); do echo "one by one $i" >> "$master/topics/orders/q1"; done
head -c 300000 /dev/urandom | base64 -w 15000 >> "$master/topics/orders/q2"
eventually 20 caught_up

refused other 'refused: its certificate is of no authority in tlsCa' 'does not take our certificate: unknown CA' "$(tls other)"
refused distrust 'refused: does not take our certificate: unknown CA' 'its certificate is of no authority in tlsCa' \
	"$(tls plain other-ca)"
refused expired 'refused: its certificate is not good: certificate has expired' \
	'does not take our certificate: certificate expired' "$(tls expired)"
refused misnamed 'refused: does not take our certificate: bad certificate' 'its certificate is not for 127.0.0.2' \
	"$(tls plain)" 127.0.0.2
refused plain 'refused: does not speak TLS' 'speaks TLS, but there is no tlsCert here' ""
openssl s_client -connect "localhost:$((port + 1))" -CAfile "$work/tls/ca.pem" < /dev/null > /dev/null 2>&1 || true
eventually 5 logged "$master" 'refused: has no certificate'

# The master has not noticed, nor have slaves that are what they should be.
echo after >> "$master/topics/orders/q0"
eventually 20 caught_up
stop_mqfs "$slave"

# A key that does not fit, or a file that is none: nothing is spoken, status/ says why, and the
# right file is taken up without another mount.
cp "$work/tls/plain.key" "$work/tls/far.key"
rm -r "$work/s"
start_mqfs "$work/s" "$slave" -o "role=slave,master=localhost:$((port + 1)),haListen=none,$common,$(tls far)"
eventually 10 grep -q "tlsKey $work/tls/far.key: is not the key of the certificate" "$slave/status/replication/trouble"
want 1 "$(grep -c 'is not the key of the certificate' "$slave/status/log")" "lines in the log about a key that does not fit"
cp "$work/tls/plain.pem" "$work/tls/far.pem"
eventually 20 caught_up
want "" "$(cat "$slave/status/replication/trouble")" "trouble, when all is well"

# Byte for byte.
end=$(written "$slave")
stop_mqfs "$slave"
stop_mqfs "$master"
for segment in "$work"/s/commitlog/*; do
	left=$((end - 10#${segment##*/}))
	[ $left -le 0 ] || cmp -n $((left < 65536 ? left : 65536)) "$segment" "$work/m/commitlog/${segment##*/}"
done
[ "$(find "$work/s/commitlog" -type f | wc -l)" -gt 5 ]

# Settings that cannot be, or files that are not there, are told who mounts.
cannot_mount() {
	timeout 60 mount.mqfs "$work/s" "$slave" -o "$1" 2> "$work/said" && fail "mounted with $1"
	grep -q "$2" "$work/said" || fail "no '$2' in $(cat "$work/said")"
	want 1 "$(wc -l < "$work/said")" "lines said about $1"
}
cannot_mount "tlsCert=$work/tls/plain.pem,tlsKey=$work/tls/plain.key" 'tlsCa'
cannot_mount "$(tls none)" "tlsCert $work/tls/none.pem: No such file"
cannot_mount "tlsCert=tls/plain.pem" 'must be a path from /'
cannot_mount "haAllow=10.0.0.0/33" 'must be addresses and prefixes'
