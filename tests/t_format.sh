#!/bin/bash
# A second, independent reader (tests/reader) finds in the store what was written, record by record.
. "$top_builddir/tests/functions.sh"
requires_fuse

reader() { python3 "$top_srcdir/tests/reader/mqstore.py" "$@"; }

options=mappedFileSizeCommitLog=65536,mappedFileSizeConsumeQueue=2000,maxHashSlotNum=100,maxIndexNum=400
start_mqfs "$work/store" "$mnt" -o "$options"
mkdir -p "$mnt/topics/t" "$mnt/topics/u" "$mnt/groups/g/t"
seq_lines 1 2000 >> "$mnt/topics/t/q0"
for size in 30000 17 50000 1 0; do
	head -c "$size" /dev/zero | tr '\0' x
	echo
done >> "$mnt/topics/t/q1"
for i in $(seq 500); do
	echo "{\"body\":\"order $i\",\"tags\":\"paid\",\"keys\":\"order-$i customer-$((i % 7))\"}"
done >> "$mnt/topics/u/q0:format=json"
cat <> "$mnt/groups/g/t/q0" > /dev/null
stop_mqfs "$mnt"
reader check "$work/store" >&9

# The same store after a kill and a recovery.
start_mqfs "$work/store" "$mnt" -o "$options"
seq_lines 2001 4000 >> "$mnt/topics/t/q0"
kill_mqfs "$mnt"
start_mqfs "$work/store" "$mnt" -o "$options"
want "$(seq_lines 1 4000 | md5sum)" "$(md5sum < "$mnt/topics/t/q0")" "the queue"
stop_mqfs "$mnt"
reader check "$work/store" >&9
