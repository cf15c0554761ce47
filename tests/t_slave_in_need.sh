#!/bin/bash
# A slave whose disk is full, or read-only, harms no asynchronous master, says why on
# both ends, and goes on by itself when it can.
. "$top_builddir/tests/functions.sh"
requires_fuse
loop_disk ext4 192M "$work/disk"

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
small=mappedFileSizeCommitLog=1048576,maxMessageSize=20000,haSendHeartbeatInterval=300,diskMaxUsedSpaceRatio=95
start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,$small"
mkdir "$master/topics/t"
echo first >> "$master/topics/t/q0"
slave_options=role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$small
start_mqfs "$work/disk/s" "$slave" -o "$slave_options"

slave_says() { grep -qi "$1" "$slave/status/replication/trouble"; }
master_knows() { grep -qsi "$1" "$master"/status/replication/slave-*/trouble; }
no_trouble() { [ ! -s "$slave/status/replication/trouble" ]; }
some_lines() { seq -f "$1 %0900.0f" "$2" >> "$master/topics/t/q1"; }
eventually 20 caught_up

fallocate -l 140M "$work/disk/ballast"
some_lines full 40000
eventually 30 slave_says 'disk is over\|no space left'
eventually 20 master_knows 'disk is over\|no space left'
some_lines 'the master does not mind' 100
want first "$(cat "$slave/topics/t/q0")" "what the slave has can be read"
rm "$work/disk/ballast"
eventually 60 caught_up
eventually 10 no_trouble
cmp "$master/topics/t/q1" "$slave/topics/t/q1"

# A disk that fails is made read-only by the kernel.
mount -o remount,errors=remount-ro "$work/disk"
loop=$(findmnt -n -o SOURCE "$work/disk")
echo 1 > "/sys/fs/ext4/${loop##*/}/trigger_fs_error"
some_lines 'read-only' 3000
# either an append or the flush before it has found out
why='read-only\|sync: input/output error'
eventually 30 slave_says "$why"
eventually 20 master_knows "$why"
some_lines 'the master does not mind' 100
want first "$(cat "$slave/topics/t/q0")" "what the slave has can still be read"
kill_mqfs "$slave"
umount "$work/disk"
e2fsck -fy "$work/disk.disk" > "$work/e2fsck" 2>&1 || [ $? -lt 4 ]
mount -o loop "$work/disk.disk" "$work/disk"
start_mqfs "$work/disk/s" "$slave" -o "$slave_options"
eventually 60 caught_up
cmp "$master/topics/t/q1" "$slave/topics/t/q1"
