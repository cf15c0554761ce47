#!/bin/bash
# A master that has no descriptor to spare goes on replicating when it has, and meanwhile
# what needs none goes on.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool prlimit

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
options=haSendHeartbeatInterval=300,haHousekeepingInterval=3000
start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,$options"
mkdir "$master/topics/t"
start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$options"
lines() { [ "$(wc -l < "$slave/topics/t/q0")" = "$1" ]; }
follows() { grep -qx transfer "$slave/status/replication/master/state"; }
exec 5>> "$master/topics/t/q0"
echo 1 >&5
eventually 20 lines 1

limit() { prlimit --pid "${daemons[$1]}" --nofile="$2:"; }
before() { prlimit --pid "${daemons[$1]}" --nofile --output SOFT --noheadings --raw; }

n=1
for round in 1 2 3; do
	limit=$(before "$master")
	limit "$master" 3
	echo during >&5
	eventually 20 lines $((n += 1))
	if [ $round = 2 ]; then kill -KILL "$(cat "$master/status/mqrepld")"; fi
	sleep 1.5				# the mount looks after its slaves at least once a second
	limit "$master" "$limit"
	echo after >&5
	eventually 30 lines $((n += 1))

	limit=$(before "$slave")
	limit "$slave" 3
	kill -KILL "$(cat "$slave/status/mqrepld")"
	echo during >&5
	sleep 1.5
	limit "$slave" "$limit"
	eventually 30 lines $((n += 1))
	eventually 30 follows
done
exec 5>&-
