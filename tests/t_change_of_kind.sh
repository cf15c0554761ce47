#!/bin/bash
# A slave whose log mqfs has written does not follow who answers as a RocketMQ broker,
# unless it is told to; and whoever is followed must have the bytes that the log ends with.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
fast=haSendHeartbeatInterval=300,mappedFileSizeCommitLog=65536,maxMessageSize=20000
trouble() { grep -q "$1" "$slave/status/replication/trouble"; }
no_trouble() { [ ! -s "$slave/status/replication/trouble" ]; }
rocketmq() {
	PYTHONPATH=$top_srcdir/tests python3 "$top_srcdir/tests/rocketmq.py" "$port" "$1" &
	rocketmq_pid=$!
	eventually 20 is_listened_to "$port"
}
end_rocketmq() {
	kill "$rocketmq_pid"
	eventually 20 is_gone "$rocketmq_pid"
}

# Two logs that part after message 100, and two lengths of the second one.
start_mqfs "$work/m" "$master" -o "$fast"
mkdir "$master/topics/t"
seq 100 >> "$master/topics/t/q0"
mkdir "$master/.snapshots/common"
cp -r "$master/.snapshots/common" "$work/s"
cp -r "$master/.snapshots/common" "$work/other"
seq 101 200 >> "$master/topics/t/q0"
stop_mqfs "$master"
start_mqfs "$work/other" "$master" -o "$fast"
seq 90101 90150 >> "$master/topics/t/q0"
cp -r "$master/commitlog" "$work/shorter"
seq 90151 90900 >> "$master/topics/t/q0"
stop_mqfs "$master"

rocketmq "$work/m/commitlog"
start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),$fast"
end=$(written "$slave")
eventually 20 trouble 'it answers as a RocketMQ broker does, and this log was written by mqfs'
trouble 'echo rocketmq > config/masterKind'
want "$end" "$(written "$slave")" "nothing came of it"
echo rocketmq > "$slave/config/masterKind"
has() { [ "$(tail -n 1 "$slave/topics/t/q0")" = "$1" ]; }
eventually 30 has 200
eventually 10 no_trouble
end_rocketmq

# The master has lost the end of its log, and then writes more than it had.
end=$(written "$slave")
rocketmq "$work/shorter"
eventually 30 trouble 'its log is another one'
end_rocketmq
rocketmq "$work/other/commitlog"
eventually 30 trouble 'has other bytes than this log between .*: its log is another one'
want "$end" "$(written "$slave")" "the slave's log"
has 200
echo mqfs > "$slave/config/masterKind"
eventually 30 trouble 'masterKind is mqfs'
end_rocketmq
stop_mqfs "$slave"
fsck.mqfs -n "$work/s"
