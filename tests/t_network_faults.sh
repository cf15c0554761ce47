#!/bin/bash
# A SYNC_MASTER and its slave on two hosts: cables pulled, packets lost one way,
# single bytes, jumping clocks, both killed: what was acknowledged is in both logs.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/network.sh"
requires_fuse
requires_net

master=$work/master slave=$work/slave
mkdir "$master" "$slave"
times=haSendHeartbeatInterval=300,haHousekeepingInterval=1500,slaveTimeout=1000
small=mappedFileSizeCommitLog=262144,maxMessageSize=20000,$times
net_open m s
master_options=role=SYNC_MASTER,haListen=$(net_address m),$small
slave_options=role=slave,master=$(net_address m):10912,haListen=none,$small

${CC:-cc} -shared -fPIC -o "$work/clock.so" "$top_srcdir/tests/clock_shift.c"
shift_clock() {		# HOST SECONDS
	python3 -c 'import struct, sys; open(sys.argv[1], "r+b").write(struct.pack("q", int(sys.argv[2])))' \
		"$work/clock.$1" "$2"
}
for host in m s; do head -c 8 /dev/zero > "$work/clock.$host"; done

start() {		# HOST: its broker, with a clock of its own
	local at=$master options=$master_options
	if [ "$1" = s ]; then at=$slave options=$slave_options; fi
	MQFS_WRAP="env LD_PRELOAD=$work/clock.so ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0
		MQFS_CLOCK_SHIFT=$work/clock.$1 ${MQFS_WRAP:-}" on_host "$1" start_mqfs "$work/$1" "$at" -o "$options"
}

state() { cat "$1/status/replication/$2/state"; }
master_misses_it() { ! grep -q transfer "$master"/status/replication/slave-*/state; }
slave_misses_it() { [ "$(state "$slave" master)" != transfer ]; }
follows() { [ "$(state "$slave" master)" = transfer ]; }
acked() { wc -l < "$work/acked"; }
touch "$work/acked"
more_acked() { [ "$(acked)" -gt "$1" ]; }
goes_on() { eventually 30 more_acked $(($(acked) + 20)); }

# Every acknowledged line is in both logs, once each or more (a retry of who was not
# answered), and both logs are the same bytes.
all_is_there() {
	local host at segment end left
	eventually 30 caught_up
	for host in m s; do
		at=$master
		[ $host = m ] || at=$slave
		sort "$at/topics/stubborn/q0" > "$work/there.$host"
		sort "$work/acked" | comm -23 - "$work/there.$host" > "$work/missing"
		[ ! -s "$work/missing" ] || fail "$1: acknowledged, but not on $host: $(head -n 3 "$work/missing")"
	done
	end=$(written "$slave")
	for segment in "$work"/s/commitlog/*; do
		left=$((end - 10#${segment##*/}))
		[ $left -le 0 ] || cmp -n $((left < 262144 ? left : 262144)) "$segment" "$work/m/commitlog/${segment##*/}" ||
			fail "$1: the logs differ"
	done
	say "$1: $(acked) acknowledged, all in both logs"
}

start m
start s
eventually 20 follows
mkdir "$master/topics/stubborn"
python3 "$top_srcdir/tests/stubborn.py" "$master/topics/stubborn/q0" "$work/acked" &
producer=$!
goes_on

net_cut s
eventually 10 master_misses_it
fails_with EHOSTDOWN bash -c "echo no >> '$master/topics/stubborn/q1'"
net_heal
goes_on
follows || fail "the slave does not follow again"

net_deaf s m			# the master hears nothing; the slave does not know
eventually 10 master_misses_it
net_heal
goes_on
net_deaf m s
eventually 10 slave_misses_it
net_heal
goes_on

shift_clock m 86400
goes_on
shift_clock s -86400
goes_on
shift_clock m -3600
goes_on
shift_clock m 0
shift_clock s 0

for first in m s; do		# both die at once; either is first to come back
	kill -STOP "${daemons[$master]}" "${daemons[$slave]}"
	kill_mqfs "$master"
	kill_mqfs "$slave"
	if [ $first = m ]; then start m; start s; else start s; start m; fi
	goes_on
done

touch "$work/acked.stop"
wait_for "$producer"
all_is_there "after all that"

# A slave that hears and says one byte at a time.
stop_mqfs "$slave"
echo ASYNC_MASTER > "$master/config/brokerRole"
seq -f 'a line of some length, number %.0f' 1500 >> "$master/topics/stubborn/q2" &
writer=$!
nsenter --net="/run/netns/$net-s" python3 "$top_srcdir/tests/trickle.py" \
	127.0.0.1:10912 "$(net_address m):10912" 127.0.0.1:10911 "$(net_address m):10911" \
	> "$work/trickle.log" 2>&1 9>&- < /dev/null &
trickle=$!
slave_options=${slave_options/master=$(net_address m)/master=127.0.0.1}
eventually 5 on_host s python3 -c 'import socket; socket.create_connection(("127.0.0.1", 10911))'
start s
wait_for "$writer"
all_is_there "one byte at a time"
kill "$trickle"
