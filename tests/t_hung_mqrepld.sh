#!/bin/bash
# An mqrepld or mqremoted that stands still is replaced, so that nobody counts on slaves of which nothing
# can be heard; and neither it nor mqremoted outlives its broker, were it stopped.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
fast=haSendHeartbeatInterval=300
start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listen=127.0.0.1,listenPort=$port,slaveTimeout=${patience}000,$fast"
mkdir "$master/topics/t"
q=$master/topics/t/q0
echo SYNC_MASTER > "$master/config/brokerRole"
start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$fast"
usable() { sh -c "echo probe >> '$q'" 2> /dev/null; }
eventually 20 usable

hung=$(cat "$master/status/mqrepld") remoted=$(cat "$master/status/mqremoted")
for pid in "$hung" "$remoted"; do
	[ "$pid" != 0 ] || fail "a daemon does not run: $hung $remoted"
	kill -STOP "$pid"
	eventually 20 is_stopped "$pid"
done
for pid in "$hung" "$remoted"; do eventually 30 is_gone "$pid"; done
for daemon in mqrepld mqremoted; do
	grep -q "$daemon has not answered for .* s; it is started again" "$master/status/log"
done
eventually 20 usable
[ "$(cat "$master/status/mqrepld")" != "$hung" ]
is_another() { [ "$(cat "$master/status/mqremoted")" != 0 ]; }
eventually 20 is_another

hung="$(cat "$master/status/mqrepld") $(cat "$master/status/mqremoted")"
for pid in $hung; do
	[ "$pid" != 0 ] || fail "a daemon does not run: $hung"
	kill -STOP "$pid"
	eventually 20 is_stopped "$pid"
done
kill_mqfs "$master"
for pid in $hung; do eventually 10 is_gone "$pid"; done
