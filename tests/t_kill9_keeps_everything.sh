#!/bin/bash
# After SIGKILL everything that was acknowledged is there, whole, once and in order.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
for round in 1 2 3 4; do
	producers=()
	for p in a b c; do
		python3 "$top_srcdir/tests/producer.py" write "$mnt/topics/t/q0" "$round$p" "$work/acked.$round$p" &
		producers+=($!)
	done
	for p in a b c; do eventually 10 test -s "$work/acked.$round$p"; done
	sleep 0.$round
	kill_mqfs "$mnt"
	wait_for "${producers[@]}"
	start_mqfs "$work/store" "$mnt"		# over the dead mount
	cat "$mnt/topics/t/q0" > "$work/content"
	for acked in "$work"/acked.*; do
		python3 "$top_srcdir/tests/producer.py" check "$work/content" "${acked##*.}" "$acked"
	done
done
echo 'still works' >> "$mnt/topics/t/q0"
want 'still works' "$(tail -n 1 "$mnt/topics/t/q0")" "an append after all that"
