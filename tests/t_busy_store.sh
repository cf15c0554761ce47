#!/bin/bash
# A second mount of a busy store waits a little, then fails, naming who holds it.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$work/second" "$mnt/topics/t"
rc=0
mount.mqfs "$work/store" "$work/second" 2> "$work/said" || rc=$?
want 32 $rc "exit status"
grep -q "${daemons[$mnt]}" "$work/said" || fail "the holder's pid is not named: $(cat "$work/said")"
grep -q "$(uname -n)" "$work/said" || fail "the holder's host is not named: $(cat "$work/said")"
want 1 "$(wc -l < "$work/said")" "lines said"
echo 'undisturbed' >> "$mnt/topics/t/q0"
want undisturbed "$(cat "$mnt/topics/t/q0")" "the first mount"

# When the first one goes in time, the second gets the store.
mount.mqfs -f "$work/store" "$work/second" > "$work/mqfs.second.log" 2>&1 9>&- &
daemons[$work/second]=$!
undo end_mqfs "$work/second" $!
sleep 0.3
stop_mqfs "$mnt"
eventually 10 test -e "$work/second/README"
want undisturbed "$(cat "$work/second/topics/t/q0")" "the second mount"
