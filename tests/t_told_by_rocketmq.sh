#!/bin/bash
# What a slave takes over from a RocketMQ master goes on to its own slaves: topics, groups
# and offsets, of which the log says nothing; and what is committed there comes back.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
near=$work/near far=$work/far
mkdir "$near" "$far"
fast=haSendHeartbeatInterval=300
PYTHONPATH=$top_srcdir/tests python3 "$top_srcdir/tests/rocketmq.py" "$port" &
eventually 20 is_listened_to "$port"
start_mqfs "$work/n" "$near" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=127.0.0.1,listenPort=$((port + 5)),$fast"
start_mqfs "$work/f" "$far" -o "role=slave,master=127.0.0.1:$((port + 6)),haListen=none,$fast"

knows() { [ -d "$1/groups/billing/orders" ] && [ -d "$1/topics/orders" ]; }
eventually 30 knows "$near"
eventually 30 knows "$far"
want "$(ls "$near/topics/orders")" "$(ls "$far/topics/orders")" "its queues"
[ ! -s "$far/status/replication/trouble" ] || fail "$(cat "$far/status/replication/trouble")"
