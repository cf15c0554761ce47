#!/bin/bash
# `all` reads every queue in the order of the log, and appends to them in turn.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
t=$mnt/topics/t
for i in 3 1 0 2 1 0; do echo "to q$i" >> "$t/q$i"; done
want "$(printf 'to q%d\n' 3 1 0 2 1 0)" "$(cat "$t/all")" "all queues in log order"
for i in 1 2 3 4; do echo "shared" >> "$t/all"; done
for i in 0 1 2 3; do want 1 "$(grep -c shared "$t/q$i")" "q$i's share"; done
want 10 "$(wc -l < "$t/all")" "lines of all"
