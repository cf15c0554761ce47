#!/bin/bash
# A RocketMQ master that takes seconds to say where its log begins and ends is followed all the same.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
PYTHONPATH=$top_srcdir/tests/reader python3 - "$work/told" <<'END'
import sys, mqstore
w = mqstore.Writer(sys.argv[1], segment_bytes=65536)
for i in range(10):
    w.append('orders', 1, b'order %d' % i)
w.finish()
END
PYTHONPATH=$top_srcdir/tests python3 "$top_srcdir/tests/rocketmq.py" "$port" "$work/told/commitlog" 4 &
eventually 20 is_listened_to "$port"
start_mqfs "$work/s" "$mnt" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,haSendHeartbeatInterval=300" \
	-o mappedFileSizeCommitLog=65536,maxMessageSize=20000
has_all() { [ "$(cat "$mnt/topics/orders/q1")" = "$(seq_lines 0 9 order)" ]; }
eventually 30 has_all
want "" "$(cat "$mnt/status/replication/trouble")" "the trouble"
stop_mqfs "$mnt"
