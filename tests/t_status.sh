#!/bin/bash
# status/ says how the broker is: one value per file, and the same as JSON and for Prometheus.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
seq_lines 1 10 >> "$mnt/topics/t/q0"
for file in "$mnt"/status/*; do
	[ -f "$file" ] || continue
	cat "$file" > "$work/value"
	want "$(stat -c %s "$work/value")" "$(wc -c < "$work/value")" "size of $file"
done
[ "$(cat "$mnt/status/written")" -gt 1000 ] || fail "written is $(cat "$mnt/status/written")"
want "$(cat "$mnt/status/written")" "$(cat "$mnt/status/dispatched")" "dispatched"
sync "$mnt/topics/t/q0"
want "$(cat "$mnt/status/written")" "$(cat "$mnt/status/flushed")" "flushed"
python3 -m json.tool "$mnt/status/status.json" > /dev/null
grep -qE '^mqfs_[a-z_]+(\{[^}]*\})? [0-9.e+-]+$' "$mnt/status/metrics.prom" || fail "metrics.prom has no metrics"
rsync -a "$mnt/status/" "$work/status/"
