#!/bin/bash
# A line that only close(2) ends is stored before whatever its writer does next, also
# when every worker has somebody waiting for just that.
. "$top_builddir/tests/functions.sh"
requires_fuse
start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"

writers=()
for writer in $(seq 8); do
	(for i in $(seq 150); do printf '%d %d' "$writer" "$i" >> "$mnt/topics/t/q0"; done) &
	writers+=($!)
	(for _ in $(seq 150); do tail -n 1 "$mnt/topics/t/q0" > "$work/tail.$writer"; done) &
	writers+=($!)
done
wait_for "${writers[@]}"
want 1200 "$(wc -l < "$mnt/topics/t/q0")" "messages"
for writer in $(seq 8); do
	want "$(seq 150)" "$(sed -n "s/^$writer //p" "$mnt/topics/t/q0")" "what writer $writer wrote, in order"
done
