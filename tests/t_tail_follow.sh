#!/bin/bash
# tail -f shows what is appended while it runs.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
seq_lines 1 10 >> "$q"

tail -n 2 -s 0.1 -f "$q" > "$work/tailed" &
eventually 5 grep -q 'line 10' "$work/tailed"
seq_lines 11 12 >> "$q"
eventually 5 grep -q 'line 12' "$work/tailed"
want "$(seq_lines 9 12)" "$(cat "$work/tailed")" "what tail has shown"
