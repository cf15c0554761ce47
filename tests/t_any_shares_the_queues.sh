#!/bin/bash
# Workers that open `any` share the queues: each has one, and a dead one's is free again.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir -p "$mnt/topics/t" "$mnt/groups/g/t"
any=$mnt/groups/g/t/any
for i in 0 1 2 3; do echo "of q$i" >> "$mnt/topics/t/q$i"; done

workers=()
for i in 0 1 2 3; do
	bash -c 'IFS= read -r m && echo "$m" && exec sleep 100' <> "$any" > "$work/worker.$i" &
	workers+=($!)
done
for i in 0 1 2 3; do eventually 5 test -s "$work/worker.$i"; done
want $'of q0\nof q1\nof q2\nof q3' "$(sort "$work"/worker.*)" "each queue has one worker"
fails_with EBUSY bash -c ": <> '$any'"

kill -KILL "${workers[2]}"
wait_for "${workers[2]}" 2> /dev/null || true
eventually 5 bash -c ": <> '$any'"
# What it had is there again, for who comes next.
want "$(cat "$work/worker.2")" "$(head -n 1 <> "$any")" "the dead worker's message"
