#!/bin/bash
# A finished range, whose pages the kernel keeps, does not just end where a message is damaged.
. "$top_builddir/tests/functions.sh"
requires_fuse

line() { printf '%0100000d' "$1"; }
start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
for i in 1 2 3; do line $i; echo; done > "$work/lines"
cat "$work/lines" >> "$mnt/topics/t/q0"
want_same "$work/lines" "$mnt/topics/t/q0@0..3" "the range, whole"
stop_mqfs "$mnt"
at=$(mqdump "$work/store" | awk '/t\/q0@1 / { print $1 }')
printf X | dd of="$work/store/commitlog/00000000000000000000" bs=1 seek=$((at + 50000)) conv=notrunc status=none

start_mqfs "$work/store" "$mnt"
fails_with EIO cat "$mnt/topics/t/q0@0..3"
cmp -n "$(stat -c %s "$work/out")" "$work/out" "$work/lines" || fail "what came before the damage is not as it was"
want "$(line 1)" "$(cat "$mnt/topics/t/q0@0..1")" "the message before it"
want "$(line 3)" "$(cat "$mnt/topics/t/q0@2..3")" "the message behind it"
