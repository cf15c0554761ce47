#!/bin/bash
# Every byte value survives, NUL too, at any place of a line.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
printf '\0\n\0\0a\0\n\n\377\376\n' > "$work/bytes"
head -c 300000 /dev/urandom >> "$work/bytes"
printf '\n' >> "$work/bytes"
cat "$work/bytes" >> "$mnt/topics/t/q0"
cat "$mnt/topics/t/q0" > "$work/got.bytes"
want_same "$work/bytes" "$work/got.bytes" "all bytes"
