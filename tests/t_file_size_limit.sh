#!/bin/bash
# A limit on the size of files (ulimit -f) is a full disk: it ends no broker, nothing is half stored,
# views that cannot be written are no failure of a write, and without the limit all goes on.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool prlimit

start_mqfs "$work/store" "$mnt" -o mappedFileSizeCommitLog=1048576,maxMessageSize=65536,flushIntervalConsumeQueue=50
mkdir "$mnt/topics/t" "$mnt/topics/j"
echo 'format = json' > "$mnt/topics/j/config"
limit() { prlimit --fsize="$1:unlimited" --pid="${daemons[$mnt]}"; }
is_said() { grep -qF "$1" "$mnt/status/log"; }

# Segments fit, files of queues and of the key index do not.
limit 2000000
seq_lines 1 9000 > "$work/sent"		# more than a queue keeps in memory
cat "$work/sent" >> "$mnt/topics/t/q0" || fail "a write failed for a view"
echo '{"body": "keyed", "keys": "k"}' >> "$mnt/topics/j/q0" || fail "a keyed write failed for the index"
sync "$mnt/topics/t/q0"
eventually 5 is_said 'checkpoint: consumequeue'
want_same "$work/sent" "$mnt/topics/t/q0" "what was stored meanwhile"

# Nor does what comes next of the log.
limit 700000
big=$(head -c 60000 /dev/zero | tr '\0' x)
stored=0
for ((n = 0; n < 30; n++)); do
	if ! echo "$n $big" >> "$mnt/topics/t/q1" 2> "$work/err"; then break; fi
	stored=$((stored + 1))
done
grep -q "${errno_text[ENOSPC]}" "$work/err" || fail "a full log says: $(cat "$work/err")"
want "$stored" "$(wc -l < "$mnt/topics/t/q1")" "messages that were acknowledged"
want 0 "$(cat "$mnt/status/failed")" "failed"

limit unlimited
echo 'goes on' >> "$mnt/topics/t/q1"
want 'goes on' "$(tail -n 1 "$mnt/topics/t/q1")" "without the limit"
checkpointed() { [ "$(cat "$mnt/status/checkpoint")" = "$(written "$mnt")" ]; }
eventually 10 checkpointed
kill -USR2 "${daemons[$mnt]}"		# nor does a signal that means nothing here
stop_mqfs "$mnt"
fsck.mqfs -n "$work/store" > "$work/out" || fail "fsck: $(cat "$work/out")"
start_mqfs "$work/store" "$mnt"
want_same "$work/sent" "$mnt/topics/t/q0" "after a remount"
want $((stored + 1)) "$(wc -l < "$mnt/topics/t/q1")" "messages after a remount"
