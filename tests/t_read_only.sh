#!/bin/bash
# A read-only mount shows everything and changes nothing: not one byte of the store.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir -p "$mnt/topics/t" "$mnt/groups/g/t"
seq_lines 1 100 >> "$mnt/topics/t/q0"
stop_mqfs "$mnt"
sums() { (cd "$work/store" && find . -type f ! -name lock -exec sha256sum {} + | sort -k 2); }
sums > "$work/before"

start_mqfs "$work/store" "$mnt" -o ro
want "$(seq_lines 1 100)" "$(cat "$mnt/topics/t/q0")" "the queue"
want "$(seq_lines 1 100)" "$(cat "$mnt/groups/g/t/q0")" "a peek"
fails_with EROFS bash -c "echo x >> '$mnt/topics/t/q0'"
fails_with EROFS mkdir "$mnt/topics/u"
fails_with EROFS bash -c "echo 5 > '$mnt/groups/g/t/q0.offset'"
fails_with EROFS bash -c ": <> '$mnt/groups/g/t/q0'"
stop_mqfs "$mnt"
sums > "$work/after"
want "" "$(diff "$work/before" "$work/after")" "the store after a read-only mount"
