#!/bin/bash
# Whatever is a view of the log can be lost: it is made again from the log.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt" -o mappedFileSizeCommitLog=1048576
mkdir -p "$mnt/topics/t" "$mnt/groups/g/t"
seq_lines 1 5000 >> "$mnt/topics/t/q0"
echo 1234 > "$mnt/groups/g/t/q0.offset"
stop_mqfs "$mnt"

for lost in lmdb byteindex consumequeue index 'lmdb byteindex consumequeue index config checkpoint'; do
	for view in $lost; do rm -rf "$work/store/$view"; done
	start_mqfs "$work/store" "$mnt" -o mappedFileSizeCommitLog=1048576
	want "$(seq_lines 1 5000 | md5sum)" "$(md5sum < "$mnt/topics/t/q0")" "the queue without its $lost"
	want 'line 4321' "$(head -n 1 "$mnt/topics/t/q0@4320")" "at an offset, without its $lost"
	want 1234 "$(cat "$mnt/groups/g/t/q0.offset")" "the committed offset without its $lost"
	stop_mqfs "$mnt"
done
