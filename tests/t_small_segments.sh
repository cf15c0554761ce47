#!/bin/bash
# Many small segments: names, sizes, blank ends, and messages that cross none of it.
. "$top_builddir/tests/functions.sh"
requires_fuse

options=mappedFileSizeCommitLog=65536,mappedFileSizeConsumeQueue=2000
start_mqfs "$work/store" "$mnt" -o "$options"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
for size in 10 1000 30000 17 50000 4000; do
	head -c "$size" /dev/zero | tr '\0' x
	echo
done > "$work/mixed"
for _ in $(seq 20); do cat "$work/mixed"; done > "$work/all"
cat "$work/all" >> "$q"
cat "$q" > "$work/got.all"
want_same "$work/all" "$work/got.all" "the queue"
fails_with EMSGSIZE bash -c "head -c 65536 /dev/zero >> '$q:whole'"

at=0
for segment in "$work"/store/commitlog/*; do
	want "$(printf %020d $at)" "$(basename "$segment")" "a segment's name"
	want 65536 "$(stat -c %s "$segment")" "a segment's size"
	at=$((at + 65536))
done
[ $at -gt 2000000 ] || fail "only $at bytes of segments"

kill_mqfs "$mnt"
start_mqfs "$work/store" "$mnt" -o "$options"
cat "$q" > "$work/got.all"
want_same "$work/all" "$work/got.all" "the queue after a kill"
want 120 "$(xattr max_offset "$q")" "messages"
