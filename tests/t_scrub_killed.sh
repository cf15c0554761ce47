#!/bin/bash
# A slave that is killed while it heals itself has lost nothing more, and is healed afterwards.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
small=mappedFileSizeCommitLog=1048576,maxMessageSize=32000
start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,$small"
mkdir "$master/topics/t"
seq_lines 1 60000 >> "$master/topics/t/q0"
start_slave() {
	start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,listenPort=$((port + 5)),$small"
}
status() { cat "$slave/status/$1"; }
summed() { [ "$(find "$work/s/sums" -name '0*' | wc -l)" = $(($(status flushed) / 1048576)) ]; }
start_slave
eventually 20 caught_up
eventually 20 summed

# Much of two segments is gone; while it comes again, the broker is killed, sooner or later.
for delay in 0.02 0.1 0.3 0.6; do
	for segment in 00000000000000000000 00000000000002097152; do
		dd if=/dev/urandom of="$work/s/commitlog/$segment" bs=65536 seek=2 count=13 conv=notrunc,fsync \
			status=none
	done
	echo scrub > "$slave/ctl"
	sleep "$delay"
	kill_mqfs "$slave"
	start_slave
	echo scrub > "$slave/ctl"
	is_whole() { cmp -s "$work/m/commitlog/00000000000000000000" "$work/s/commitlog/00000000000000000000" &&
		cmp -s "$work/m/commitlog/00000000000002097152" "$work/s/commitlog/00000000000002097152"; }
	eventually 60 is_whole
done

# Views that were made meanwhile lack what was bad; the next mount makes them anew.
stop_mqfs "$slave"
start_slave
want "$(seq_lines 1 60000 | cksum)" "$(cksum < "$slave/topics/t/q0")" "messages of the slave"
for note in "$slave"/lost+found/*.txt; do
	[ -s "$note" ] || fail "$note is empty"
done
