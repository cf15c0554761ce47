#!/bin/bash
# A broker killed while it removes segments: the queue is the end of what was sent, from the
# first message of the log on, and retention goes on where it was.
. "$top_builddir/tests/functions.sh"
requires_fuse

hours=$(seq -s ';' -w 0 23)
opts=mappedFileSizeCommitLog=262144,maxMessageSize=65536,mappedFileSizeConsumeQueue=20000,deleteWhen=$hours
opts+=,cleanResourceInterval=100,deleteCommitLogFilesInterval=30,flushIntervalConsumeQueue=50
opts+=,diskSpaceWarningLevelRatio=100,diskSpaceCleanForciblyRatio=100

start_mqfs "$work/store" "$mnt" -o "$opts"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
: > "$work/sent"
for round in 1 2 3 4 5 6; do
	seq_lines "${round}0000" "${round}9999" 'as many words as it takes to fill a segment soon' > "$work/some"
	cat "$work/some" >> "$q"
	cat "$work/some" >> "$work/sent"
	sync "$q"
	before=$(cat "$mnt/status/begin")
	touch -c -d '100 hours ago' "$work"/store/commitlog/0*
	moved() { [ "$(cat "$mnt/status/begin")" -gt "$before" ]; }
	eventually 10 moved
	sleep "0.0$((round * 13 % 10))"
	kill_mqfs "$mnt"
	first=$(find "$work/store/commitlog" -name '0*' -printf '%f\n' | sort | head -n 1)
	start_mqfs "$work/store" "$mnt" -o "$opts,fileReservedTime=876000"
	want "$((10#$first))" "$(cat "$mnt/status/begin")" "begin after kill $round"
	min=$(xattr min_offset "$q")
	tail -n "+$((min + 1))" "$work/sent" > "$work/kept"
	cat "$q" > "$work/got"
	want_same "$work/kept" "$work/got" "after kill $round"
	[ "$min" -gt 0 ] || fail "it begins at 0"
	inode=$(stat -c %i "$q")
	stop_mqfs "$mnt"
	start_mqfs "$work/store" "$mnt" -o "$opts,fileReservedTime=876000"
	want "$min $inode" "$(xattr min_offset "$q") $(stat -c %i "$q")" "head after a clean remount"
	stop_mqfs "$mnt"
	start_mqfs "$work/store" "$mnt" -o "$opts"
done
