#!/bin/bash
# With :whole everything between open and close is one message.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
seq_lines 1 10000 > "$work/lines"
cat "$work/lines" >> "$q:whole"
want 1 "$(xattr max_offset "$q")" "messages"
cat "$q:format=raw" > "$work/got.lines"
want_same "$work/lines" "$work/got.lines" "one message"
