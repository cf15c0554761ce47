#!/bin/bash
# One byte a write is slow, but it is the same file.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
seq_lines 1 200 > "$work/lines"
dd if="$work/lines" of="$mnt/topics/t/q0" bs=1 oflag=append conv=notrunc status=none
cat "$mnt/topics/t/q0" > "$work/got.lines"
want_same "$work/lines" "$work/got.lines" "byte by byte"
dd if="$mnt/topics/t/q0" of="$work/got.lines" bs=1 status=none
want_same "$work/lines" "$work/got.lines" "read byte by byte"
