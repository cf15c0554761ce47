#!/bin/bash
# LMDB's file loses pages under a mount: the broker that needs them may end (SIGBUS), the next one
# makes the tables anew from the log, and nothing is lost; with a supervisor nobody notices.
. "$top_builddir/tests/functions.sh"
requires_fuse
[ "$(printf '6.9\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.9 ] || skip "Linux is older than 6.9"

is_aside() { [ -d "$work/store/lost+found/lmdb.broken-1" ]; }
judge() {
	want 3 "$(cat "$mnt/groups/g/t/q0.offset")" "the committed offset"
	want "$(seq_lines 1 10)" "$(cat "$mnt/topics/t/q0")" "the queue"
	[ -d "$mnt/topics/made" ] || fail "a topic that was made is not there"
}

start_mqfs "$work/store" "$mnt" -o supervise,flushIntervalConsumeQueue=100
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
seq_lines 1 10 >> "$mnt/topics/t/q0"
echo 3 > "$mnt/groups/g/t/q0.offset"
exec 3>> "$mnt/topics/t/q1"
truncate -s 8192 "$work/store/lmdb/data.mdb"
mkdir "$mnt/topics/made"
eventually 30 is_aside
judge
echo 'an open file' >&3
want 'an open file' "$(cat "$mnt/topics/t/q1")" "what was open before"
exec 3>&-
stop_mqfs "$mnt"
fsck.mqfs -n "$work/store" > "$work/fsck" || fail "fsck.mqfs: $(cat "$work/fsck")"
