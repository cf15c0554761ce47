#!/bin/bash
# Many clients at once send to a SYNC_MASTER, with either kind of flush: each is answered when the
# slave has its message, and none waits for a time to be up.
. "$top_builddir/tests/functions.sh"
requires_fuse

remote=$top_builddir/tests/bench/remote
count=4000
first_is_stored() { echo first >> "$master/topics/t/q0"; }	# EHOSTDOWN until the slave follows
for flush in ASYNC_FLUSH SYNC_FLUSH; do
	port=$(free_port)
	master=$work/$flush.master slave=$work/$flush.slave
	small=mappedFileSizeCommitLog=4M
	start_mqfs "$work/$flush.m" "$master" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un),$small" \
		-o "role=SYNC_MASTER,flushDiskType=$flush,haListen=127.0.0.1,slaveTimeout=${patience}000"
	start_mqfs "$work/$flush.s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$small"
	eventually 20 mkdir -p "$master/topics/t"
	eventually 20 first_is_stored
	for connections in 1 16 64; do
		if ! timeout "$patience" "$remote" send "$port" t 4 $connections 1 100 $count > "$work/sent"; then
			fail "$connections clients are not answered, with $flush"
		fi
	done
	want $((3 * count + 1)) "$(wc -l < "$slave/topics/t/all")" "messages on the slave"
	stop_mqfs "$slave"
	stop_mqfs "$master"
done
