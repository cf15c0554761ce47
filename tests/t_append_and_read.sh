#!/bin/bash
# What is appended to a queue can be read at once, by everybody.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/orders"
want "config ctl q0 q1 q2 q3" "$(ls "$mnt/topics/orders" | tr '\n' ' ' | sed 's/ $//')" "a new topic"
q=$mnt/topics/orders/q0

want "" "$(cat "$q")" "a new queue"
echo 'order 17 paid' >> "$q"
want 'order 17 paid' "$(cat "$q")" "one message"
printf 'order %d paid\n' 18 19 20 >> "$q"
want "$(printf 'order %d paid\n' 17 18 19 20)" "$(cat "$q")" "four messages"
want 56 "$(stat -c %s "$q")" "the size"
want "$(printf 'order %d paid\n' 19 20)" "$(tail -n 2 "$q")" "the last two"
want "" "$(cat "$mnt/topics/orders/q1")" "another queue"

# One open file sees what another appends, at its next read.
exec 3< "$q"
head -c 56 <&3 > /dev/null
echo 'order 21 paid' >> "$q"
want 'order 21 paid' "$(cat <&3)" "at the end of an open file"
exec 3<&-
