#!/bin/bash
# Ctrl-C ends a blocked reader, and the end of the broker ends them all.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
readers=()
for i in $(seq 20); do
	env --default-signal=INT cat "$mnt/topics/t/q0:follow" &
	readers+=($!)
done
for pid in "${readers[@]}"; do eventually 10 is_waiting "$pid"; done
for pid in "${readers[@]:0:19}"; do kill -INT "$pid"; done
for pid in "${readers[@]:0:19}"; do eventually 5 is_gone "$pid"; done

# The last one holds the mount busy, until the broker is told to go.
last=${readers[19]}
if umount "$mnt" 2> /dev/null; then fail "unmounted under an open file"; fi
pid=${daemons[$mnt]}
kill -TERM "$pid"
eventually "$patience" is_gone "$pid"
reap_mqfs "$mnt" "$pid"
eventually 5 is_gone "$last"

# The store was left clean.
start_mqfs "$work/store" "$mnt"
want "" "$(cat "$mnt/topics/t/q0")" "the queue"
