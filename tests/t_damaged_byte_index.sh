#!/bin/bash
# Where the byte index is damaged a read is an error, never an empty file; the rest can be read.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt" -o mappedFileSizeConsumeQueue=2000
mkdir "$mnt/topics/t"
seq_lines 1 1000 >> "$mnt/topics/t/q0"
stop_mqfs "$mnt"

dd if=/dev/zero of="$work/store/byteindex/t/0/00000000000000000800" bs=800 count=1 conv=notrunc status=none	# messages 100 to 199
start_mqfs "$work/store" "$mnt" -o mappedFileSizeConsumeQueue=2000
q=$mnt/topics/t/q0
for range in 99..100 150..151 99..300; do fails_with EIO cat "$q@$range"; done
want "$(seq_lines 1 99)" "$(cat "$q@0..99")" "what lies before"
want "$(seq_lines 201 1000)" "$(cat "$q@200")" "what lies behind"
