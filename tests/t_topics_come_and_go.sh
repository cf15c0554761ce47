#!/bin/bash
# rmdir removes an empty topic; one that holds messages must be purged first.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t" "$mnt/topics/u"
echo message >> "$mnt/topics/t/q1"
fails_with ENOTEMPTY rmdir "$mnt/topics/t"
fails_with ENOENT bash -c "echo x >> '$mnt/topics/unknown/q0'"
echo purge > "$mnt/topics/t/ctl"
want "" "$(cat "$mnt/topics/t/q1")" "a purged queue"
want 1 "$(xattr min_offset "$mnt/topics/t/q1")" "offsets are never used again"
rmdir "$mnt/topics/t"
want u "$(ls "$mnt/topics")" "topics"
kill_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
want u "$(ls "$mnt/topics")" "topics after a kill"
