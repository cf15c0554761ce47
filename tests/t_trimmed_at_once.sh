#!/bin/bash
# Whoever opens a queue right after a trim has what is left, though the kernel still remembers the name.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
seq_lines 1 20 >> "$q"
exec 3< "$q"
for i in {1..20}; do
	ls -l "$mnt/topics/t" > /dev/null
	echo "trim q0 $i" > "$mnt/topics/t/ctl"
	want "$((20 - i))" "$(wc -l < "$q")" "lines after trim $i"
	want "$(seq_lines $((i + 1)) 20 | wc -c)" "$(wc -c < "$q")" "bytes after trim $i"
done
fails_with ESTALE cat <&3
exec 3<&-
