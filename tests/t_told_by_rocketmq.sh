#!/bin/bash
# What a slave takes over from a RocketMQ master goes on to its own slaves: topics, groups
# and offsets, of which the log says nothing; and what is committed there comes back.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
near=$work/near far=$work/far
mkdir "$near" "$far"
fast=haSendHeartbeatInterval=300,mappedFileSizeCommitLog=65536,maxMessageSize=20000
PYTHONPATH=$top_srcdir/tests/reader python3 - "$work/told" <<'END'
import sys, mqstore
w = mqstore.Writer(sys.argv[1], segment_bytes=65536)
for i in range(10):
    w.append('orders', 1, b'order %d' % i)
w.finish()
END
PYTHONPATH=$top_srcdir/tests python3 "$top_srcdir/tests/rocketmq.py" "$port" "$work/told/commitlog" &
eventually 20 is_listened_to "$port"
start_mqfs "$work/n" "$near" -o "role=slave,master=127.0.0.1:$((port + 1)),listenPort=$((port + 5)),$fast" \
	-o haListen=127.0.0.1
start_mqfs "$work/f" "$far" -o "role=slave,master=127.0.0.1:$((port + 6)),haListen=none,$fast"

# committed N MNT...   by the group, there
committed() {
	local at
	for at in "${@:2}"; do [ "$(cat "$at/groups/billing/orders/q1.offset")" = "$1" ] || return 1; done
}
eventually 30 committed 7 "$near" "$far"
want "$(ls "$near/topics/orders")" "$(ls "$far/topics/orders")" "its queues"
want "$(printf 'order %d\n' 0 1 2 3 4 5 6 7 8 9)" "$(cat "$far/topics/orders/q1")" "its messages"
no_trouble() { [ ! -s "$near/status/replication/trouble" ] && [ ! -s "$far/status/replication/trouble" ]; }
eventually 30 no_trouble

# What is consumed at the end of the chain is known at its begin.
want "$(printf 'order %d\n' 7 8 9)" "$(cat <> "$far/groups/billing/orders/q1")" "consumed from where the group was"
master_knows() {
	PYTHONPATH=$top_srcdir/tests python3 - "$port" "$1" <<-'END'
	import json, sys
	import remoting

	sock = remoting.connect(int(sys.argv[1]))
	sock.sendall(remoting.request(remoting.JSON, 43))
	at = json.loads(remoting.response(sock)[5])["offsetTable"]["orders@billing"]["1"]
	sys.exit(at != int(sys.argv[2]))
	END
}
eventually 60 master_knows 10
eventually 60 committed 10 "$near" "$far"
