#!/bin/bash
# Segments past their time go: the queue begins later, under a new inode; old readers hear
# ESTALE, tail -F follows, and groups that were behind are moved and told.
. "$top_builddir/tests/functions.sh"
requires_fuse

hours=$(seq -s ';' -w 0 23)
opts=mappedFileSizeCommitLog=1048576,maxMessageSize=65536,fileReservedTime=24,deleteWhen=$hours
opts+=,cleanResourceInterval=100,deleteCommitLogFilesInterval=10,flushIntervalConsumeQueue=100
opts+=,diskSpaceWarningLevelRatio=100,diskSpaceCleanForciblyRatio=100

start_mqfs "$work/store" "$mnt" -o "$opts"
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
q=$mnt/topics/t/q0
seq_lines 1 40000 'a line of some length, so that a few segments are soon full: number' > "$work/sent"
cat "$work/sent" >> "$q"
sync "$q"
inode=$(stat -c %i "$q")
exec 3< "$q"
tail -n 1 -s 0.1 -F "$q" > "$work/tailed" 2> "$work/said" &
eventually 5 grep -q 'number 40000' "$work/tailed"
want 0 "$(cat "$mnt/status/begin")" "begin"

# no segment goes that a replay would need
is_checkpointed() { [ "$(cat "$mnt/status/checkpoint")" -gt 3145728 ]; }
eventually 10 is_checkpointed
# the first at last: it is what retention looks at, and all three are to go at once
touch -d '25 hours ago' "$work"/store/commitlog/0000000000000{2097152,1048576,0000000}
begins_at() { [ "$(cat "$mnt/status/begin")" = "$1" ]; }
eventually 10 begins_at 3145728
has_removed() { [ "$(cat "$mnt/status/removed_segments")" = "$1" ]; }
eventually 5 has_removed 3
first=$(find "$work/store/commitlog" -name '0*' -printf '%f\n' | sort | head -n 1)
want 00000000000003145728 "$first" "first segment"

min=$(xattr min_offset "$q")
[ "$min" -gt 1000 ] || fail "the queue begins at $min"
tail -n "+$((min + 1))" "$work/sent" > "$work/kept"
cat "$q" > "$work/got"
want_same "$work/kept" "$work/got" "what is kept"
want "$(wc -c < "$work/kept")" "$(stat -c %s "$q")" "size"
has_new_inode() { [ "$(stat -c %i "$q")" != "$inode" ]; }
eventually 5 has_new_inode		# the kernel remembers names for a second
fails_with ESTALE cat <&3
exec 3<&-
echo 'one more' >> "$q"
eventually 10 grep -q 'one more' "$work/tailed"
kill $!

# the group that had read nothing
eventually 5 grep -q "group g, t/q0: messages 0 to $((min - 1)) were removed" "$mnt/status/log"
clamped() { [ "$(cat "$mnt/status/offsets_clamped")" = 1 ]; }
eventually 5 clamped
want "$min" "$(cat "$mnt/groups/g/t/q0.offset")" "the group's offset"
want "$(head -n 1 "$work/kept")" "$(head -n 1 "$mnt/groups/g/t/q0")" "its next message"

inode=$(stat -c %i "$q")
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt" -o "$opts"
want "$min" "$(xattr min_offset "$q")" "min_offset after a remount"
want "$inode" "$(stat -c %i "$q")" "inode after a remount"
want 0 "$(cat "$mnt/status/offsets_clamped")" "nobody is told twice"
head -n -1 "$q" > "$work/got"
want_same "$work/kept" "$work/got" "what is kept, after a remount"
