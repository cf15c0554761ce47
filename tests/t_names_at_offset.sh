#!/bin/bash
# A queue's name says where to begin and where to end.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
seq_lines 0 9 >> "$q"
sleep 0.05
middle=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
sleep 0.05
seq_lines 10 19 >> "$q"

want "$(seq_lines 15 19)" "$(cat "$q@15")" "@15"
want "$(seq_lines 5 6)" "$(cat "$q@5..7")" "@5..7"
want "" "$(cat "$q@5..5")" "@5..5"
want "$(seq_lines 17 19)" "$(cat "$q@-3")" "@-3"
want "$(seq_lines 0 19)" "$(cat "$q@first")" "@first"
want "" "$(cat "$q@last")" "@last"
want "$(seq_lines 0 2)" "$(cat "$q@first..3")" "@first..3"
want "$(seq_lines 18 19)" "$(cat "$q@18..last")" "@18..last"
want "$(seq_lines 10 19)" "$(cat "$q@$middle")" "@TIME"
want "$(seq_lines 0 9)" "$(cat "$q@first..$middle")" "@first..TIME"
want "$(seq_lines 0 19)" "$(cat "$q@-1h")" "@-1h"
want "" "$(cat "$q@2099-01-01T00:00:00")" "@ a time to come"
want "$(seq_lines 0 19)" "$(cat "$q@1999-01-01T00:00")" "@ a time long ago"
want "$(seq_lines 3 19)" "$(tail -c +1 "$q@3")" "tail of a name with an offset"
want 8 "$(wc -c < "$q@19")" "size of a name with an offset"

want "config ctl q0 q1 q2 q3" "$(ls "$mnt/topics/t" | tr '\n' ' ' | sed 's/ $//')" "only plain names are listed"
