#!/bin/bash
# A slave mount is its master a moment ago: same files, same offsets, same log;
# through restarts of either, of both, and of mqrepld.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
small=mappedFileSizeCommitLog=65536,maxMessageSize=20000,haSendHeartbeatInterval=300,haHousekeepingInterval=3000
master_options=haListen=127.0.0.1,listenPort=$port,$small
slave_options=role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$small

same_topics() { diff <(cd "$master/topics" && ls -R) <(cd "$slave/topics" && ls -R) > "$work/diff"; }

start_mqfs "$work/m" "$master" -o "$master_options"
mkdir "$master/topics/orders"
seq_lines 1 3000 >> "$master/topics/orders/q0"		# several segments before the slave is there

start_mqfs "$work/s" "$slave" -o "$slave_options"
eventually 20 caught_up
eventually 10 same_topics
want "$(cat "$master/topics/orders/q0")" "$(cat "$slave/topics/orders/q0")" "what was there before the slave"
fails_with EROFS sh -c "echo no >> '$slave/topics/orders/q0'"
fails_with EROFS mkdir "$slave/topics/mine"

# A slave may be there for the log alone.
id=$(sed -n '1s/.*"msgId":"\([0-9A-F]*\)".*/\1/p' "$slave/topics/orders/q0:format=json")
want "line 1" "$(cat "$slave/messages/$id")" "a message by its id"
echo false > "$slave/config/slaveReadEnable"
for name in topics/orders/q0 topics/orders/q0@0..1 topics/orders/all "messages/$id"; do
	fails_with EREMOTE cat "$slave/$name"
done
ls -l "$slave/topics/orders" > /dev/null
echo true > "$slave/config/slaveReadEnable"

# A reader on the slave sleeps at the end, and an append on the master wakes it.
head -n 1 "$slave/topics/orders/q1:follow" > "$work/got" &
reader=$!
eventually 5 is_waiting "$reader"
echo awake >> "$master/topics/orders/q1"
wait "$reader"
want awake "$(cat "$work/got")" "the slave's reader"

# mqrepld is killed again and again, on both sides, under load.
(for i in $(seq 400); do echo "load $i $(printf '%0200d' "$i")" >> "$master/topics/orders/q2"; done) &
load=$!
for _ in $(seq 5); do
	for mnt in "$master" "$slave"; do
		pid=$(cat "$mnt/status/mqrepld")
		[ "$pid" = 0 ] || kill -KILL "$pid" 2> /dev/null || true
	done
	sleep 0.2
done
wait "$load"
eventually 30 caught_up
want "$(cat "$master/topics/orders/q2")" "$(cat "$slave/topics/orders/q2")" "what came meanwhile"

# The slave dies and comes back, the master too.
kill_mqfs "$slave"
seq_lines 1 500 >> "$master/topics/orders/q3"
start_mqfs "$work/s" "$slave" -o "$slave_options"
eventually 30 caught_up
kill_mqfs "$master"
start_mqfs "$work/m" "$master" -o "$master_options"
echo again >> "$master/topics/orders/q3"
eventually 30 caught_up
want "$(cat "$master/topics/orders/q3")" "$(cat "$slave/topics/orders/q3")" "after both had died"
eventually 10 grep -q transfer "$slave/status/replication/master/state"
is_not_behind() { [ "$(cat "$slave/status/replication/master/behind")" = 0 ]; }
eventually 5 is_not_behind

# Byte for byte: every segment of the log, up to where the slave is.
end=$(written "$slave")
stop_mqfs "$slave"
stop_mqfs "$master"
for segment in "$work"/s/commitlog/*; do
	left=$((end - 10#${segment##*/}))
	[ $left -le 0 ] || cmp -n $((left < 65536 ? left : 65536)) "$segment" "$work/m/commitlog/${segment##*/}"
done
[ "$(find "$work/s/commitlog" -type f | wc -l)" -gt 3 ]
