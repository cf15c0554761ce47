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

# When the first one goes in time, the second gets the store.  (A busy machine may take longer
# over that than the second one waits: then once more.)
for ((tries = 1; ; tries++)); do
	mount.mqfs -f "$work/store" "$work/second" > "$work/mqfs.second.log" 2>&1 9>&- &
	second=$!
	sleep 0.3
	stop_mqfs "$mnt"
	eventually 10 is_up_or_dead "$second" "$work/second"
	if ! is_gone "$second"; then break; fi
	grep -q 'is in use' "$work/mqfs.second.log" || fail "the second mount: $(cat "$work/mqfs.second.log")"
	[ $tries -lt 5 ] || fail "the second mount does not wait"
	start_mqfs "$work/store" "$mnt"
done
daemons[$work/second]=$second
undo end_mqfs "$work/second" "$second"
want undisturbed "$(cat "$work/second/topics/t/q0")" "the second mount"
