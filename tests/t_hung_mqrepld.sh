#!/bin/bash
# An mqrepld that stands still is replaced, so that nobody counts on slaves of which nothing
# can be heard; and it does not outlive its broker.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
fast=haSendHeartbeatInterval=300
start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,slaveTimeout=${patience}000,$fast"
mkdir "$master/topics/t"
q=$master/topics/t/q0
echo SYNC_MASTER > "$master/config/brokerRole"
start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$fast"
usable() { sh -c "echo probe >> '$q'" 2> /dev/null; }
eventually 20 usable

hung=$(cat "$master/status/mqrepld")
kill -STOP "$hung"
eventually 20 is_stopped "$hung"
eventually 30 is_gone "$hung"
grep -q 'mqrepld has not answered for .* s; it is started again' "$master/status/log"
eventually 20 usable
[ "$(cat "$master/status/mqrepld")" != "$hung" ]

hung=$(cat "$master/status/mqrepld")
kill -STOP "$hung"
eventually 20 is_stopped "$hung"
kill_mqfs "$master"
eventually 10 is_gone "$hung"
