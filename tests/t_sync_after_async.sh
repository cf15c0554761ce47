#!/bin/bash
# A slave that has everything is in sync for a master that becomes a SYNC_MASTER, however much was
# written while nobody waited for it; and status/replication says how far it is.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
master=$work/master slave=$work/slave
start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,haSlaveFallbehindMax=65536"
start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none"
mkdir "$master/topics/t"
is_behind() { [ "$(cat "$master"/status/replication/slave-*/behind)" = "$1" ]; }
has_all() { [ "$(cat "$slave/status/dispatched")" = "$(cat "$master/status/written")" ]; }
eventually 20 is_behind 0
for round in 1 2 3; do
	echo ASYNC_MASTER > "$master/config/brokerRole"
	seq_lines 1 10000 'a line of some length, so that a slave would be far behind' >> "$master/topics/t/q0"
	eventually 20 has_all
	echo SYNC_MASTER > "$master/config/brokerRole"
	echo "round $round" >> "$master/topics/t/q1" || fail "a slave that has everything is not in sync"
	want "round $round" "$(tail -n 1 "$slave/topics/t/q1")" "what the slave has"
	eventually 20 is_behind 0
done
