#!/bin/bash
# Segments and consume-queue files are the store's own bytes; a finished range does not change.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt" -o mappedFileSizeCommitLog=65536,maxMessageSize=32000,mappedFileSizeConsumeQueue=4000
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
seq_lines 1 3000 >> "$q"
range=$(stat -c %i:%s "$q@100..200")
want "$(seq_lines 101 200)" "$(cat "$q@100..200")" "a finished range"
seq_lines 3001 3100 >> "$q"
want "$range" "$(stat -c %i:%s "$q@100..200")" "it stays the same file"

ls "$mnt/commitlog" > "$work/segments"
want "00000000000000000000 00000000000000065536" "$(head -n 2 "$work/segments" | tr '\n' ' ' | sed 's/ $//')" "names"
while read -r segment; do
	want_same "$work/store/commitlog/$segment" "$mnt/commitlog/$segment" "a segment"
done < <(head -n -1 "$work/segments")
exec 3< "$mnt/commitlog/00000000000000000000"
want_same "$work/store/commitlog/00000000000000000000" "$mnt/commitlog/00000000000000000000" "a segment that is open already"
exec 3<&-
if bash -c "echo x >> '$mnt/commitlog/00000000000000000000'" 2> /dev/null; then fail "appended to a segment"; fi
eventually 10 test -s "$mnt/consumequeue/t/0/00000000000000000000"
want 4000 "$(stat -c %s "$mnt/consumequeue/t/0/00000000000000000000")" "a consume-queue file"
