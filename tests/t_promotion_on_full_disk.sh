#!/bin/bash
# A slave whose disk is full is told to be the master: it takes no message before it has
# begun its epoch, loses nothing, and goes on by itself when there is space.
. "$top_builddir/tests/functions.sh"
requires_fuse
loop_disk ext4 96M "$work/disk"

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
small=mappedFileSizeCommitLog=1048576,maxMessageSize=20000,haSendHeartbeatInterval=300,diskMaxUsedSpaceRatio=95
start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,$small"
mkdir "$master/topics/t"
seq_lines 1 2000 >> "$master/topics/t/q0"
start_mqfs "$work/disk/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$small"
eventually 20 caught_up
stop_mqfs "$master"
epoch=$(cat "$slave/status/epoch")

fallocate -l 200M "$work/disk/ballast" 2> /dev/null || true	# as much as there is
dd if=/dev/zero of="$work/disk/crumbs" bs=4k status=none 2> /dev/null || true
full() { [ "$(cat "$slave/status/disk_full")" = 1 ]; }
eventually 30 full
bash -c "echo ASYNC_MASTER > '$slave/config/brokerRole'" 2> "$work/said" || true
say "told to be the master on a full disk: $(cat "$slave/config/brokerRole") $(cat "$work/said")"
if bash -c "echo early >> '$slave/topics/t/q1'" 2> /dev/null; then fail "a message without space, or without an epoch"; fi
want "$(seq_lines 1 2000)" "$(cat "$slave/topics/t/q0")" "all is there, on the full disk"
want "$epoch" "$(cat "$slave/status/epoch")" "no epoch has begun"

rm -f "$work/disk/ballast" "$work/disk/crumbs"
promoted() {
	echo ASYNC_MASTER > "$slave/config/brokerRole"
	echo late >> "$slave/topics/t/q1"
} 2> /dev/null
eventually 30 promoted
want late "$(tail -n 1 "$slave/topics/t/q1")" "with space again"
[ "$(cat "$slave/status/epoch")" -gt "$epoch" ] || fail "no epoch has begun"
want "$(seq_lines 1 2000)" "$(cat "$slave/topics/t/q0")" "all is there"
stop_mqfs "$slave"
fsck.mqfs -n "$work/disk/s"
