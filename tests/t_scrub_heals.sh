#!/bin/bash
# A slave whose disk has lost bytes of the log has them again from its master, byte for byte.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
small=mappedFileSizeCommitLog=65536,maxMessageSize=32000
start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,$small"
mkdir "$master/topics/t" "$master/topics/p"
seq_lines 1 2000 >> "$master/topics/t/q0"
for i in $(seq 500); do
	echo "{\"body\":\"number $i\",\"tags\":\"T\",\"properties\":{\"P\":\"value $i\"}}"
done > "$work/json"
cat "$work/json" >> "$master/topics/p/q1:format=json"
head -c 30000 /dev/urandom >> "$master/topics/p/q2:whole"
seq_lines 2001 3000 >> "$master/topics/t/q0"
start_slave() {
	start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,listenPort=$((port + 5)),$small"
}
start_slave

status() { cat "$slave/status/$1"; }
summed() { [ "$(find "$work/s/sums" -name '0*' | wc -l)" = $(($(status flushed) / 65536)) ]; }
eventually 20 caught_up
eventually 20 summed
is_beyond() { [ "$(status scrub_passes)" -gt "$1" ]; }
scrubbed() {
	local passes
	passes=$(status scrub_passes)
	echo scrub > "$slave/ctl"
	eventually 30 is_beyond "$passes"
}
segment() { printf '%s/commitlog/%020d' "$work/s" "$1"; }
same() {
	local file
	for file in "$work"/s/sums/0*; do
		want_same "$work/m/commitlog/${file##*/}" "$work/s/commitlog/${file##*/}" "$1: segment ${file##*/}"
	done
	want 0 "$(status scrub_bad_ranges)" "$1: bad ranges"
}
# flip OFFSET SEGMENT
flip() {
	local byte
	byte=$(od -An -tu1 -j "$1" -N 1 "$(segment "$2")")
	printf '%b' "\\x$(printf %x $((byte ^ 16)))" |
		dd of="$(segment "$2")" bs=1 seek="$1" conv=notrunc,fsync status=none
}
scrubbed
same "before"

# A snapshot holds the segments, and somebody reads them.
mkdir "$slave/.snapshots/s"
exec 4< "$slave/commitlog/00000000000000065536"
cat <&4 > "$work/read"

# Bits here and there, which CRCs cover and not; a hole; the head of a segment
for at in 5 90 4000 20017 65000; do flip "$at" 65536; done
dd if=/dev/zero of="$(segment 131072)" bs=1 seek=30000 count=9000 conv=notrunc,fsync status=none
dd if=/dev/urandom of="$(segment 0)" bs=4096 count=2 conv=notrunc,fsync status=none
scrubbed
same "after bits were flipped"
[ "$(status scrub_healed_ranges)" -ge 3 ] || fail "healed: $(status scrub)"
want "$(seq_lines 1 3000)" "$(cat "$slave/topics/t/q0")" "messages of the slave"
cat < "$slave/commitlog/00000000000000065536" > "$work/read"
want_same "$work/m/commitlog/00000000000000065536" "$work/read" "the segment through the mount"
exec 4<&-
(cd "$slave/.snapshots/s" && sha256sum --quiet -c MANIFEST) || fail "the snapshot is not healed with it"
pieces=$(find "$slave/lost+found" -name 'commitlog-*[0-9]' | wc -l)
[ "$pieces" -ge 3 ] || fail "bad bytes are not kept: $pieces"
grep -lq 'replaced by what the master has there' "$slave"/lost+found/*.txt || fail "no note says why"
rmdir "$slave/.snapshots/s"

# A segment that is gone
rm "$(segment 65536)"
scrubbed
same "after a segment was gone"

# The master is away: told, and healed when it is back; a mount of the slave asks at once.
flip 90 65536
stop_mqfs "$master"
scrubbed
want 1 "$(status scrub_bad_ranges)" "bad ranges without a master"
grep -q '; not healed: ' "$slave/status/scrub" || fail "status/scrub: $(status scrub)"
start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,$small"
kill_mqfs "$slave"
start_slave
healed() { [ "$(status scrub_healed_ranges)" = 1 ]; }
eventually 30 healed
same "when the master is back"

# What the master has lost itself is not handed on.
flip 90 65536
byte=$(od -An -tx1 -j 90 -N 1 "$(segment 65536)" | tr -d ' ')
printf '%b' "\\x$byte" | dd of="$work/m/commitlog/00000000000000065536" bs=1 seek=90 conv=notrunc,fsync status=none
scrubbed
want 1 "$(status scrub_bad_ranges)" "bad ranges with a master that has them, too"
grep -q 'the master does not give the log from' "$slave/status/scrub" || fail "status/scrub: $(status scrub)"
