#!/bin/bash
# touch sets a committed offset by time, and its mtime says how far consumption has come.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir -p "$mnt/topics/t" "$mnt/groups/g/t"
offset=$mnt/groups/g/t/q0.offset
seq_lines 0 4 >> "$mnt/topics/t/q0"
cat <> "$mnt/groups/g/t/q0" > /dev/null
want 5 "$(cat "$offset")" "drained"
want "$(stat -c %Y "$mnt/topics/t/q0")" "$(stat -c %Y "$offset")" "mtime: store time of the last message consumed"

touch -d '1 hour ago' "$offset"
want 0 "$(cat "$offset")" "an hour ago"
touch -d '1 hour' "$offset"
want 5 "$(cat "$offset")" "in an hour"
