#!/bin/bash
# A supervised mount begins and ends as any other, and when its broker keeps dying, gives up.
. "$top_builddir/tests/functions.sh"
requires_fuse

ended() {
	eventually "$patience" is_gone "${daemons[$mnt]}"
	reap_mqfs "$mnt" "${daemons[$mnt]}" || fail "$1: not a clean end"
	if mounted "$mnt"; then fail "$1: still mounted"; fi
}
log() { echo "$work/mqfs.$daemon_count.log"; }

# What cannot begin says why, once, and is not begun again.
rc=0
mount.mqfs "$work/store" "$work/nowhere" -o supervise 2> "$work/said" || rc=$?
want 32 $rc "exit status without a mount point"
rc=0
mount.mqfs /proc/none "$mnt" -o supervise 2> "$work/said" || rc=$?
want 32 $rc "exit status without a store"
want 1 "$(wc -l < "$work/said")" "lines that say why"

start_mqfs "$work/store" "$mnt" -o supervise
eventually 5 unmount "$mnt"
ended "umount"
if [ -e "$work/store/abort" ]; then fail "umount: abort is still there"; fi

start_mqfs "$work/store" "$mnt" -o supervise
mkdir "$mnt/topics/t"
exec 3>> "$mnt/topics/t/q0"
printf 'begun' >&3
kill_broker "$work/store" "$mnt"
kill -TERM "${daemons[$mnt]}"
ended "SIGTERM"
if [ -e "$work/store/abort" ]; then fail "SIGTERM: abort is still there"; fi
exec 3>&- || true

# In the background; what a killed supervisor leaves behind serves on.
undo let_go_of "$mnt"
mount.mqfs "$work/store" "$mnt" -o supervise
want begun "$(cat "$mnt/topics/t/q0")" "what was begun before SIGTERM"
kill_broker "$work/store" "$mnt"
broker=$(broker_of "$work/store")
kill -KILL "$(awk '{ print $4 }' "/proc/$broker/stat")"
eventually 5 grep -q 'supervisor is gone' "$mnt/status/log"
echo still >> "$mnt/topics/t/q0"
eventually 5 unmount "$mnt"
eventually "$patience" is_gone "$broker"
if [ -e "$work/store/abort" ]; then fail "without a supervisor: abort is still there"; fi

# Unmounted just when the broker is dead.
start_mqfs "$work/store" "$mnt" -o supervise
kill -KILL "$(broker_of "$work/store")"
umount -l "$mnt" 2> "$work/said" || fusermount3 -u -z "$mnt"
ended "umount of a dead broker's"

# Brokers that die at once: the third time open files are given up, the tenth time all.
start_mqfs "$work/store" "$mnt" -o supervise
exec 3< "$mnt/topics/t/q0"
supervisor=${daemons[$mnt]}
last=0
until is_gone "$supervisor"; do
	now=$(broker_of "$work/store")
	if [ "$now" != "$last" ] && grep -q "is mounted on" "$(log)" && timeout 2 head -c 1 "$mnt/README" > "$work/out"; then
		last=$now
		kill -KILL "$now" || true
	fi 2> "$work/err"
	sleep 0.01
done
exec 3<&-
rc=0
wait "$supervisor" || rc=$?
unset "daemons[$mnt]"
want 2 $rc "exit status after giving up"
grep -q 'mounts anew' "$(log)" || fail "open files were not given up"
grep -q 'giving up' "$(log)" || fail "it did not say that it gives up"
deaths=$(grep -c 'was killed by SIGKILL' "$(log)")
[ "$deaths" -ge 10 ] || fail "it gave up after $deaths deaths"	# a slow machine makes some live longer
if mounted "$mnt"; then fail "a dead mount is left"; fi

# The mount that comes next has everything.
start_mqfs "$work/store" "$mnt"
want 'still' "$(tail -n 1 "$mnt/topics/t/q0")" "the last message"
stop_mqfs "$mnt"
