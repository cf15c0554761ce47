#!/bin/bash
# Whoever mounts in the background gets its standard files, pipes and locks back: no process
# of the broker keeps them.
. "$top_builddir/tests/functions.sh"
requires_fuse

# Processes whose files are what the caller had open.
keepers() { (find /proc/[0-9]*/fd -lname "*$1*" 2> /dev/null || true) | cut -d / -f 3 | sort -u; }

port=$(free_port)
for options in supervise=false supervise=true; do
	store=$work/store.$options
	options=$options,haListen=127.0.0.1,listen=127.0.0.1,listenPort=$port
	undo let_go_of "$mnt"
	: > "$work/locked"

	# As ssh, Ansible and command substitution do: read until the last writer is gone.
	(exec 3> "$work/locked" && flock 3 && mount.mqfs "$store" "$mnt" -o "$options" 2>&1 < "$work/locked") |
		timeout "$patience" cat > "$work/said" || fail "the broker keeps what its caller reads"
	want "" "$(cat "$work/said")" "what the mount said"
	flock -n "$work/locked" true || fail "the broker holds a lock of its caller"
	want "" "$(keepers "$work/locked")" "processes with a file of the caller"
	for pid in $(cut -d ' ' -f 1 "$store/lock") $(pgrep -P "$(cut -d ' ' -f 1 "$store/lock")"); do
		for fd in 0 1 2; do
			want /dev/null "$(readlink "/proc/$pid/fd/$fd")" "file $fd of $(cat "/proc/$pid/comm")"
		done
	done
	for daemon in mqrepld mqremoted; do
		pgrep -P "$(cut -d ' ' -f 1 "$store/lock")" $daemon > /dev/null || fail "no $daemon runs"
	done
	pid=$(cut -d ' ' -f 1 "$store/lock")
	unmount "$mnt"
	eventually 10 is_gone "$pid"
done
