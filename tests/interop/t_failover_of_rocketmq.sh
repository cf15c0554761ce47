#!/bin/bash
# With RocketMQ's property files for 2m-2s-async, 2m-2s-sync and 2m-noslave, a master dies:
# producers go on with the other one, consumers with the slave; when it is back nothing that was
# committed is consumed again and nothing is missing. A backlog is read from the slave.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
. "$top_srcdir/tests/interop/cluster.sh"
requires_fuse
requires_rocketmq

start_namesrv
# as ROLE [SLAVE...]   masters a and b of that role, and slaves
as() {
	set_up mqfs a broker-a 0 "$1"
	set_up mqfs b broker-b 0 "$1"
	start a
	start b
	shift
	local slave
	for slave; do
		set_up mqfs "$slave" "broker-${slave%%-*}" 1 SLAVE
		start "$slave"
	done
}
stop_all() {
	local name
	for name; do stop_mqfs "$work/mnt.$name"; done
}

as ASYNC_MASTER a-s b-s
mkdir "$(at a)" "$(at b)"
start_flow
eventually 60 routed 8

# Some is consumed and committed, some waits when the master dies; what is committed of it at the
# slave the master knows when it is back.
flow produce p1 Orders
flow consume c1 G Orders
eventually 60 has_got c1 100
given=$(flow leave c1)
eventually 60 same_commits a a-s
eventually 60 has_more a $(($(lines a) + 50))
kill_it a
eventually 60 routed 4
eventually 60 has_more b $(($(lines b) + 50))
flow rest p1 > "$work/sent"
flow consume c2 G Orders
eventually 60 has_got c2 $(($(lines a-s b) - given))
given=$((given + $(flow leave c2)))
want "$(lines a-s b)" "$given" "messages given without the master of some"
want "$(lines a-s)" "$(sum_committed a-s)" "messages committed at the slave"
start a
eventually 60 same_commits a a-s
eventually 60 routed 8
flow consume c3 G Orders
flow await G
flow leave c3 > "$work/late"
want "missing=0 strangers=0 again=0 disorder=0" "$(flow judge G)" "of all that was sent"

# A backlog is read from the slave, also while the master does not answer, and then from the master.
pulled() { flow pull P Orders broker-a 0 "$1"; }
want "FOUND 4 0 0" "$(pulled 0)" "from the master"
echo 0 > "$work/mnt.a/config/accessMessageInMemoryMaxRatio"
want "FOUND 8 0 1" "$(pulled 4)" "from the master, for the last time"
remoted=$(cat "$work/mnt.a/status/mqremoted")
kill -STOP "$remoted"
eventually 20 is_stopped "$remoted"
want "FOUND 12 1 0" "$(pulled 8)" "from the slave"
kill -CONT "$remoted"
echo 40 > "$work/mnt.a/config/accessMessageInMemoryMaxRatio"
want "FOUND 16 0 0" "$(pulled 12)" "from the master again"
stop_all a b a-s b-s

# A synchronous master dies: all that was answered by SEND_OK is consumed without it.
as SYNC_MASTER a-s b-s
eventually 60 routed 8
in_sync() { grep -qx transfer "$work/mnt.$1"/status/replication/*/state; }
eventually 60 in_sync a
eventually 60 in_sync b
flow consume c4 G Orders
flow produce p2 Orders
eventually 60 has_got c4 100
kill_it a
eventually 60 routed 4
eventually 60 has_more b $(($(lines b) + 50))
flow rest p2 > "$work/sent"
flow await G
start a
eventually 60 routed 8
flow produce p3 Orders
eventually 60 has_more a $(($(lines a) + 50))
flow rest p3 > "$work/sent"
flow await G
want "missing=0 strangers=0 again=0 disorder=0" "$(flow judge G)" "of all that was sent to synchronous masters"
flow leave c4 > "$work/late"
stop_all a b a-s b-s

# Two masters without slaves.
as ASYNC_MASTER
eventually 60 routed 8
flow produce p4 Orders
flow consume c5 G Orders
eventually 60 has_got c5 100
kill_it a
eventually 60 has_more b $(($(lines b) + 50))
flow rest p4 > "$work/sent"
start a
flow await G
# What was consumed right before the death, and not committed yet, comes again.
want "missing=0 strangers=0" "$(flow judge G | cut -d ' ' -f 1,2)" "of all that was sent without slaves"
flow leave c5 > "$work/late"
stop_all a b
sound_store a b a-s b-s
