#!/bin/bash
# After a crash, a mount that cannot open the store does not make it look as if the last exit had been clean.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
echo message >> "$mnt/topics/t/q0"
kill_mqfs "$mnt"

mkdir -p "$work/store/batchconsumequeue/t"	# of RocketMQ 5, not served
if mount.mqfs "$work/store" "$mnt" 2> "$work/said"; then fail "mounted nevertheless"; fi
grep -q BatchCQ "$work/said" || fail "it says: $(cat "$work/said")"

rm -r "$work/store/batchconsumequeue"
start_mqfs "$work/store" "$mnt"
grep -q 'last exit was not clean' "$mnt/status/log" || fail "the crash is forgotten"
want message "$(cat "$mnt/topics/t/q0")" "the message"
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
if grep 'last exit was not clean' "$mnt/status/log" >&9; then fail "a clean exit is not seen"; fi
stop_mqfs "$mnt"
