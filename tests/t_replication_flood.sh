#!/bin/bash
# Peers that misbehave by the hundred cost mqrepld little memory, and an honest slave
# does not notice; in plain and in TLS.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool openssl python3

master=$work/master slave=$work/slave
mkdir "$master" "$slave"
sh "$top_srcdir/tests/certificates.sh" "$work/tls"

limit=$((96 << 10))
if keeps_freed; then limit=$((512 << 10)); fi

# rss MNT   the most that the mqrepld of MNT has ever had in memory, in KiB
rss() { awk '/^VmHWM/ { print $2 }' "/proc/$(cat "$1/status/mqrepld")/status"; }

# through_a_flood NAME [SETTINGS [SETTINGS_OF_THE_SLAVE]]
through_a_flood() {
	local port flood i pid
	port=$(free_port)
	start_mqfs "$work/m.$1" "$master" -o "listenPort=$port,haListen=localhost${2:+,$2}"
	mkdir "$master/topics/t"
	start_mqfs "$work/s.$1" "$slave" -o \
		"role=slave,master=localhost:$((port + 1)),haListen=none,haSendHeartbeatInterval=500${3:+,$3}"
	eventually 20 caught_up
	pid=$(cat "$master/status/mqrepld")
	python3 "$top_srcdir/tests/flood.py" 8 "$port" $((port + 1)) > "$work/connections" &
	flood=$!
	i=0
	while ! is_gone $flood; do
		i=$((i + 1))
		seq_lines 1 200 "flood $i" >> "$master/topics/t/q0"
		eventually 5 caught_up
	done
	wait $flood
	[ "$(cat "$work/connections")" -gt 480 ] || fail "that was no flood: $(cat "$work/connections") connections"
	want "$pid" "$(cat "$master/status/mqrepld")" "mqrepld lives ($1)"
	[ "$(rss "$master")" -lt $limit ] || fail "mqrepld has used $(rss "$master") KiB ($1)"
	[ "$(wc -l < "$master/status/log")" -lt 60 ] || fail "the log is full of it ($1)"
	stop_mqfs "$slave"
	start_mqfs "$work/s.$1" "$slave" -o \
		"role=slave,master=localhost:$((port + 1)),haListen=none${3:+,$3}"
	echo "after it" >> "$master/topics/t/q0"
	eventually 20 caught_up
	want_same "$master/topics/t/q0" "$slave/topics/t/q0" "what the slave has ($1)"
	say "$1: $(cat "$work/connections") connections, $i rounds, $(rss "$master") KiB"
	stop_mqfs "$slave"
	stop_mqfs "$master"
}

tls() { echo "tlsCert=$work/tls/$1.pem,tlsKey=$work/tls/$1.key,tlsCa=$work/tls/ca.pem"; }
through_a_flood plain
through_a_flood tls "$(tls names)" "$(tls plain)"
