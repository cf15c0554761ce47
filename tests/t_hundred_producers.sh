#!/bin/bash
# A hundred producers on one queue: no line torn or mixed, each producer's order kept.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
producers=()
for p in $(seq 100); do
	# seq writes blocks that end in the middle of a line
	seq -f "producer $p says %.0f" 1 400 >> "$q" &
	producers+=($!)
done
wait_for "${producers[@]}"

want 40000 "$(wc -l < "$q")" "lines in all"
awk '{ if ($1 != "producer" || $3 != "says" || NF != 4 || $4 != ++n[$2]) { print "wrong:", $0; exit 1 } }
	END { for (p = 1; p <= 100; p++) if (n[p] != 400) { print p, "has", n[p]; exit 1 } }' "$q" >&9
