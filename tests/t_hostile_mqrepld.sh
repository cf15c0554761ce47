#!/bin/bash
# An mqrepld that has been taken over can end its link, again and again, and no more:
# the mount goes on, its log is as it was, its memory and descriptors do not grow.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

# A daemon gets nothing of the mount's environment.
export MQREPLD=$work/mqrepld
printf '#!/bin/sh\nexec env HOSTILE_LOG="%s" MQFS_SEED="%s" python3 "%s"\n' \
	"$work/sent" "${MQFS_SEED:-}" "$(readlink -f "$top_srcdir/tests/hostile.py")" > "$MQREPLD"
chmod 755 "$MQREPLD"
options=listenPort=$(free_port),haListen=127.0.0.1
fds() { find "/proc/${daemons[$mnt]}/fd" -mindepth 1 | wc -l; }
attacks() { [ "$(grep -ac 'mqrepld was ended' "$mnt/status/log")" -ge "$1" ]; }
sent() { [ "$(stat -c %s "$work/sent")" -ge "$1" ]; }

start_mqfs "$work/store" "$mnt" -o "$options"
mkdir "$mnt/topics/t"
before=$(fds)
seq_lines 1 100 >> "$mnt/topics/t/q0"
eventually 30 attacks 4
eventually 30 sent 300
seq_lines 101 200 >> "$mnt/topics/t/q0"
want "$(seq_lines 1 200)" "$(cat "$mnt/topics/t/q0")" "all that was written"
few_fds() { [ "$(fds)" -lt $((before + 10)) ]; }
within 20 few_fds || fail "descriptors: $before, then $(fds)"
stop_mqfs "$mnt"
fsck.mqfs -n "$work/store" > "$work/fsck" || fail "fsck: $(cat "$work/fsck")"
