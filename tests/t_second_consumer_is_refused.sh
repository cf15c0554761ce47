#!/bin/bash
# A group's queue has one consumer at a time; the next gets EBUSY until it is gone.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir -p "$mnt/topics/t" "$mnt/groups/g/t" "$mnt/groups/h/t"
q=$mnt/groups/g/t/q0
echo message >> "$mnt/topics/t/q0"

sleep 100 <> "$q" &
holder=$!
# shellcheck disable=SC2016	# for the inner shell
eventually 5 bash -c '! : <> "$1"' - "$q"
fails_with EBUSY bash -c ": <> '$q'"
want message "$(cat "$q")" "peeking is still allowed"
: <> "$mnt/groups/g/t/q1"
: <> "$mnt/groups/h/t/q0"

kill -KILL "$holder"
wait_for "$holder" 2> /dev/null || true
eventually 5 bash -c ": <> '$q'"

# Who comes after a close is not too early.
for _ in {1..200}; do : <> "$q"; done
