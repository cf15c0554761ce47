#!/bin/bash
# A master on a copy serves slaves, whatever group and modes the copy has: mqrepld, which is not
# root, can read the segments that were copied and those that are made later.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_root

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
small=mappedFileSizeCommitLog=65536,maxMessageSize=20000,haSendHeartbeatInterval=300

start_mqfs "$work/original" "$mnt" -o "$small"
mkdir "$mnt/topics/t"
seq 2000 >> "$mnt/topics/t/q0"
mkdir "$mnt/.snapshots/s"
(umask 022 && cp -r "$mnt/.snapshots/s" "$work/world")	# the directory may be read by all, the segments may not
(umask 077 && cp -r "$mnt/.snapshots/s" "$work/own")
cp -r "$mnt/.snapshots/s" "$work/theirs"
stop_mqfs "$mnt"
chmod 755 "$work/world" "$work/world/commitlog"
chmod 400 "$work"/world/commitlog/0*
chown -R 1:12345 "$work/theirs"
chmod 750 "$work/theirs" "$work/theirs/commitlog"
chmod 640 "$work"/theirs/commitlog/0*
chgrp 54321 "$work/theirs/commitlog/00000000000000000000"

for copy in world own theirs; do
	start_mqfs "$work/$copy" "$master" -o "haListen=127.0.0.1,listenPort=$port,$small"
	start_mqfs "$work/slave-$copy" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$small"
	eventually 30 caught_up
	for _ in 1 2 3; do seq 2000 >> "$master/topics/t/q0"; done
	eventually 30 caught_up
	want_same "$master/topics/t/q0" "$slave/topics/t/q0" "$copy"
	want "" "$(cat "$master/status/replication/trouble")" "$copy: the master's trouble"
	stop_mqfs "$slave"
	stop_mqfs "$master"
done
