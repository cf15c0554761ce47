#!/bin/bash
# Peers that lie: slaves and clients that say every wrong thing to a master, and somebody between
# a slave and its master who says every wrong thing to the slave.  No mqrepld ends by itself, an
# honest slave follows all the while, and the deceived one has the master's log when the lies end.
#
#	--cycles N       so many times
#	--seconds N      so long each
. "$top_srcdir/tests/lab/kit.sh"
requires_fuse
requires_tool python3

lab_options "cycles=1 seconds=8 seed=$RANDOM" "cycles=60 seconds=60" "$@"
say "$cycles times, each $seconds s, seed $seed"
deceived=$work/deceived
mkdir "$slave" "$deceived"
settings=mappedFileSizeCommitLog=1048576,maxMessageSize=65536,haSendHeartbeatInterval=300

crashed() { grep -hE 'mqrepld (was killed by signal|ended with status)|mqrepld was ended' "$1/status/log"; }
no_crash() { if crashed "$1"; then fail "$2: mqrepld ended by itself"; fi; }

cycle() {
	local n=$1 port repld i=0 slaves
	port=$(free_port)
	rm -rf "$work/m" "$work/s" "$work/d" "$work/honest"
	start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,$settings"
	mkdir "$master/topics/t"
	start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),$settings"
	eventually 20 caught_up
	repld=$(cat "$master/status/mqrepld")
	python3 "$lab/liars.py" master "$seed.$n" $((port + 6)) $((port + 1)) "$work/honest" > "$work/to-slave" &
	between=$!
	start_mqfs "$work/d" "$deceived" -o \
		"role=slave,master=127.0.0.1:$((port + 6)),masterRemoting=127.0.0.1:$port,haHousekeepingInterval=2000,$settings"
	python3 "$lab/liars.py" slaves "$seconds" "$seed.$n" $((port + 1)) "$port" > "$work/to-master" &
	slaves=$!
	while ! is_gone $slaves; do
		i=$((i + 1))
		seq_lines 1 200 "cycle $n, round $i" >> "$master/topics/t/q0"
		eventually 10 caught_up
	done
	wait_for $slaves
	touch "$work/honest"
	eventually 60 caught_up "$master" "$deceived"
	want_same "$master/topics/t/q0" "$deceived/topics/t/q0" "what the deceived slave has"
	want_same "$master/topics/t/q0" "$slave/topics/t/q0" "what the honest slave has"
	want "$repld" "$(cat "$master/status/mqrepld")" "the master's mqrepld is the same process"
	no_crash "$master" "the master"
	no_crash "$slave" "the honest slave"
	no_crash "$deceived" "the deceived slave"
	for at in "$deceived" "$slave" "$master"; do stop_mqfs "$at"; done
	kill -TERM $between
	wait_for $between
	lies=$((lies + $(awk '{ n += $1 } END { print n + 0 }' "$work/to-slave" "$work/to-master")))
	kinds=$(cat "$work/to-slave" "$work/to-master" | sed 's/^ *[0-9]* *//' | cat - <(echo "${kinds:-}") | sed '/^$/d' | sort -u)
	say "cycle $n: $i rounds of appends"
}

lies=0 kinds=
for ((n = from; n < from + cycles; n++)); do
	choose "$n"
	cycle "$n"
	forget_logs
done
[ $lies -gt 20 ] || fail "only $lies lies were told"
sum "$lies lies of $(wc -l <<< "$kinds") kinds were told in $cycles cycles"
