#!/bin/bash
# A synced commit survives SIGKILL; a clean unmount keeps every commit.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir -p "$mnt/topics/t" "$mnt/groups/g/t"
seq_lines 1 9 >> "$mnt/topics/t/q0"
q=$mnt/groups/g/t/q0
# Takes N messages and handles all of them.
consume() { (for ((i = 0; i <= $1; i++)); do IFS= read -r _ || true; done) <> "$q"; }

consume 3
sync "$q.offset"
kill_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
want 'line 4' "$(head -n 1 "$q")" "after SIGKILL"

consume 2
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
want 'line 6' "$(head -n 1 "$q")" "after a clean unmount"
want 4 "$(cat "$q.lag")" "lag"

# Without sync a kill may cost commits, never messages, and never goes ahead.
consume 2
kill_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
case $(cat "$q.offset") in
5 | 6 | 7) ;;
*) fail "the offset is $(cat "$q.offset")" ;;
esac
