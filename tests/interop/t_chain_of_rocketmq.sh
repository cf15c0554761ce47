#!/bin/bash
# An mqfs slave of a RocketMQ master has an mqfs slave itself: the second one has the log, and the topics,
# groups and offsets, of which the log says nothing; what is consumed there the RocketMQ master knows.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

near=$work/near far=$work/far
mkdir "$near" "$far"
start_namesrv
start_broker m
between=$(free_port)
fast=haSendHeartbeatInterval=300,$mqfs_small
start_mqfs "$work/n" "$near" -o "role=slave,master=127.0.0.1:$((port[m] + 1)),listenPort=$between,haListen=127.0.0.1,$fast"
start_mqfs "$work/f" "$far" -o "role=slave,master=127.0.0.1:$((between + 1)),haListen=none,$fast"
rocketmq <<END
topic 127.0.0.1:${port[m]} Orders 1
topic 127.0.0.1:${port[m]} Empty 3
batch Orders 0 10 order
consume G Orders * 10
send Orders 0 - - - not yet consumed
END

is_same() { same_log m f && [ "$(cat "$far/status/dispatched")" = "$(cat "$far/status/written")" ]; }
is_committed() { [ "$(cat "$1/groups/G/Orders/q0.offset")" = "$2" ]; }
eventually 60 is_same
eventually 60 is_committed "$far" 10
want "q0 q1 q2" "$(cd "$far/topics/Empty" && echo q?)" "a topic that has had no message"
want "$(seq_lines 1 10 order; echo not yet consumed)" "$(cat "$far/topics/Orders/q0")" "the messages"
no_trouble() { [ ! -s "$near/status/replication/trouble" ] && [ ! -s "$far/status/replication/trouble" ]; }
eventually 60 no_trouble

want 'not yet consumed' "$(cat <> "$far/groups/G/Orders/q0")" "consumed at the end of the chain"
master_knows() { rocketmq <<< "offsets G Orders" && [ "$(answer 1)" = "0 11 11" ]; }
eventually 60 master_knows
eventually 60 is_committed "$near" 11

for mount in "$far" "$near"; do stop_mqfs "$mount"; done
sound_store n f
