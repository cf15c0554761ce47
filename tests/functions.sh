# functions.sh - what every shell test stands on.
#
#	#!/bin/bash
#	# One behaviour, said in this line.
#	. "$top_builddir/tests/functions.sh"
#	requires_fuse
#	start_mqfs "$work/store" "$mnt"
#	...
#	want EXPECTED ACTUAL "what it is"
#
# A test runs in its own directory $work, which is removed when it passes, and
# kept and named when it fails.  A command that fails, fails the test.
# Whatever a test started is undone in reverse order, however it ends: undoing
# never hangs, and a broker that has to be forced away, or that ends with
# another status than 0 (a sanitizer's, valgrind's), fails the test.
#
# MQFS_NO_SKIP=1   a test that cannot run here fails instead of being skipped
# MQFS_WRAP='...'  put before mount.mqfs (valgrind and its options)
# MQFS_KEEP=1      keep $work of tests that pass, too
#
# shellcheck shell=bash

set -Eeuo pipefail
export LC_ALL=C TZ=UTC
umask 022

test_name=$(basename "$0" .sh)
work=$(mktemp -d "${TMPDIR:-/tmp}/mqfs-$test_name.XXXXXX")
mnt=$work/mnt			# for the test that needs only one
mkdir "$mnt"
exec 9>&1			# reports reach the log from inside $(...), too

: "${top_srcdir:?run shell tests by \`make check\` or \`./run\`}" "${top_builddir:?}"
PATH=$top_builddir/fs:$top_builddir/offsets:$top_builddir/store:$top_builddir/contrib/mqtop:$top_builddir/tests:$PATH:/usr/sbin:/sbin

# A busy machine, valgrind and sanitizers are slow, not wrong.
patience=60
if [ -n "${MQFS_WRAP:-}" ]; then patience=120; fi

# Does this build, or what it runs under, keep memory that was freed?
keeps_freed() { [ -n "${MQFS_WRAP:-}" ] || grep -q 'define MQFS_UNCONFINED' "$top_builddir/config.h"; }

# --- telling -----------------------------------------------------------------

say() { echo "$test_name: $*" >&9; }

# The line of the test itself that has led here.
line_of_test() { echo "${BASH_LINENO[${#BASH_LINENO[@]} - 2]}"; }

fail() {
	say "FAILED: $* (line $(line_of_test))"
	exit 1
}

skip() {
	if [ "${MQFS_NO_SKIP:-}" = 1 ]; then fail "may not skip: $*"; fi
	say "skipped: $*"
	exit 77
}

# want EXPECTED ACTUAL WHAT
want() {
	if [ "$1" = "$2" ]; then return 0; fi
	say "$3: wanted and got"
	printf '%s\n' "$1" > "$work/wanted"
	printf '%s\n' "$2" > "$work/got"
	diff -u "$work/wanted" "$work/got" | head -n 40 >&9 || true
	fail "$3"
}

# want_same FILE FILE WHAT
want_same() {
	if cmp "$1" "$2" >&9 2>&9; then return 0; fi
	fail "$3: $1 and $2 differ"
}

declare -A errno_text=(
	[EACCES]='Permission denied'
	[EAGAIN]='Resource temporarily unavailable'
	[EBUSY]='Device or resource busy'
	[EEXIST]='File exists'
	[EINVAL]='Invalid argument'
	[EHOSTDOWN]='Host is down'
	[EIO]='Input/output error'
	[EISDIR]='Is a directory'
	[EMSGSIZE]='Message too long'
	[ENODATA]='No data available'
	[ENOENT]='No such file or directory'
	[ENOSPC]='No space left on device'
	[ENOTCONN]='Transport endpoint is not connected'
	[ENOTDIR]='Not a directory'
	[ENOTEMPTY]='Directory not empty'
	[ENXIO]='No such device or address'
	[EPERM]='Operation not permitted'
	[EREMOTE]='Object is remote'
	[EROFS]='Read-only file system'
	[ESTALE]='Stale file handle'
	[ETIMEDOUT]='Connection timed out'
	[EXDEV]='Invalid cross-device link'
)

# fails_with ERRNO_NAME COMMAND...   COMMAND must fail and say so on stderr
fails_with() {
	local name=$1 rc=0
	shift
	"$@" > "$work/out" 2> "$work/err" || rc=$?
	if [ $rc = 0 ]; then fail "'$*' succeeded, $name was wanted"; fi
	if ! grep -qF "${errno_text[$name]}" "$work/err"; then
		head -n 5 "$work/err" >&9
		fail "'$*' failed, but not with $name"
	fi
}

# --- waiting -----------------------------------------------------------------

# Nothing is ever written there.  A process for each sleep costs more than most of what is waited for.
exec {nothing}<> <(:)
nap() { read -rt "$1" -u "$nothing" || true; }

# within SECONDS COMMAND...   tries until COMMAND succeeds, after a second less often; fails if it
# never did
within() {
	local _end=$((SECONDS + $1 + 1)) _looks=0	# COMMAND sees them, and may have variables of its own
	shift
	until "$@" > "$work/.attempt" 2>&1; do
		if [ "$SECONDS" -ge $_end ]; then return 1; fi
		nap "0.0$((_looks++ < 50 ? 2 : 8))"
	done
}

# eventually SECONDS COMMAND...   the same, and fails the test.  SECONDS are what a machine
# needs that does nothing else; any is given $patience.
eventually() {
	local _seconds=$(($1 > patience ? $1 : patience))
	if within "$_seconds" "${@:2}"; then return 0; fi
	tail -n 5 "$work/.attempt" >&9
	fail "not within $_seconds s: ${*:2}"
}

# State letter of a process; Z also for one that is gone.
state_of() {
	local state
	read_state "$1"
	echo "$state"
}

# Into $state; no process is started for it, since it is asked again and again.
read_state() {
	local line=
	state=Z
	{ read -rd '' line < "/proc/$1/stat"; } 2> /dev/null || true
	if [ -z "$line" ]; then return; fi
	line=${line##*) }
	state=${line%% *}
}

is_gone() {
	local state
	read_state "$1"
	[ "$state" = Z ]
}

# wait_for PID...   for the end of the test's own jobs (a bare `wait` would wait
# for the broker, too); fails if one of them did
wait_for() {
	local pid rc=0
	for pid; do wait "$pid" || rc=$?; done
	return $rc
}

# Does it sleep in a request to the mount (not merely in some other call)?
is_waiting() {
	[ "$(state_of "$1")" = S ] || return 1
	case $(cat "/proc/$1/wchan" 2> /dev/null) in
	'' | 0 | *request_wait_answer* | *fuse*) return 0 ;;
	*) return 1 ;;
	esac
}

# All threads of PID have stopped: until then they go on after kill -STOP has returned.
is_stopped() {
	[ "$(cut -d ')' -f 2 "/proc/$1/task/"*/stat | cut -c 2 | sort -u)" = T ]
}

# --- undoing -----------------------------------------------------------------

undo_stack=()

# undo COMMAND...   when the test ends, latest first
undo() { undo_stack+=("$(printf '%q ' "$@")"); }

# The test's own background jobs, without the brokers.
kill_jobs() {
	local pid
	for pid in $(jobs -p); do
		case " ${daemons[*]} " in
		*" $pid "*) ;;
		*) kill -KILL "$pid" 2> /dev/null || true ;;
		esac
	done
}

at_exit() {
	local rc=$? i
	trap '' TERM INT HUP
	trap - EXIT ERR
	set +e
	if [ $rc != 0 ]; then end_of_log > "$work/.end"; fi
	exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&-	# whatever the test held open
	kill_jobs
	for ((i = ${#undo_stack[@]} - 1; i >= 0; i--)); do
		if ! eval "${undo_stack[i]}"; then
			say "undoing failed: ${undo_stack[i]}"
			if [ $rc = 0 ]; then rc=1; fi
		fi
	done
	if [ $rc != 0 ] && [ ! -e "$work/.end" ]; then end_of_log > "$work/.end"; fi
	show_daemon_logs "$rc"
	cd /
	if [ $rc = 0 ] || [ $rc = 77 ]; then
		if [ "${MQFS_KEEP:-}" != 1 ]; then rm -rf --one-file-system "$work"; fi
	else
		in_short
		say "exit $rc; its files are in $work"
	fi
	exit $rc
}

show_daemon_logs() {
	local log
	for log in "$work"/{mqfs,rocketmq}.*.log; do
		[ -s "$log" ] || continue
		if [ "$1" != 0 ] || grep -qE 'Sanitizer|runtime error|== (Invalid|Conditional)' "$log"; then
			echo "--- $(basename "$log"), its last lines" >&9
			tail -n 60 "$log" >&9
		fi
	done
}

# What a log says in its last lines, without those of stacks in Java.
in_few_lines() { grep -vE '^\s+(at |\.\.\. )' "$2" | tail -n "$1" | cut -c 1-300; }

# The same of this test's, if it is in a file.
end_of_log() { if [ -f /proc/self/fd/9 ]; then in_few_lines 18 /proc/self/fd/9; fi; }

# What has gone wrong, in the few lines that are shown of a log when many tests were run.
in_short() {
	local log
	echo "=== in short"
	ls -t "$work"/{mqfs,rocketmq}.*.log | head -n 4 | while read -r log; do
		[ -s "$log" ] || continue
		echo "--- $(basename "$log")"
		in_few_lines 3 "$log"
	done
	echo "--- the test"
	cat "$work/.end"
} >&9 2> /dev/null

trap at_exit EXIT
trap 'say "line $LINENO: failed: $BASH_COMMAND${FUNCNAME:+ (line $(line_of_test))}"' ERR
trap 'say "interrupted or out of time${FUNCNAME:+ (line $(line_of_test))}"; exit 124' TERM INT HUP

# --- brokers -----------------------------------------------------------------

declare -A daemons=()		# mount point -> pid
daemon_count=0

# It is opened: the kernel may remember what a dead broker has said of it.
is_up_or_dead() { is_gone "$1" || timeout 2 head -c 1 "$2/README"; }

# start_mqfs STORE MNT [ARGUMENT...]   a broker in the foreground, so that its pid
# is ${daemons[MNT]}, but in a session of its own, so that what ends the test
# does not end it; returns when it is usable.  A disk that is busy with others is
# no error, unless the test says how long it may take.
start_mqfs() {
	local store=$1 at=$2 pid log
	shift 2
	mkdir -p "$at" 2> /dev/null || true	# a dead mount point cannot be looked at
	daemon_count=$((daemon_count + 1))
	log=$work/mqfs.$daemon_count.log
	# shellcheck disable=SC2086	# words are wanted
	setsid ${MQFS_WRAP:-} mount.mqfs -f "$store" "$at" -o "syncFlushTimeout=${patience}000" "$@" \
		>> "$log" 2>&1 9>&- {nothing}>&- < /dev/null &
	pid=$!
	daemons[$at]=$pid
	undo end_mqfs "$at" "$pid"
	eventually "$patience" is_up_or_dead "$pid" "$at"
	if is_gone "$pid"; then
		cat "$log" >&9
		fail "mount.mqfs on $at ended before it was up"
	fi
}

unmount() {
	if [ "$(id -u)" = 0 ]; then umount "$@"; else fusermount3 -u "$@"; fi
}

mounted() {
	local mounts
	mapfile -t mounts < /proc/self/mountinfo
	[[ ${mounts[*]} == *" $1 "* ]]
}

# Wait for the end of a broker and pass judgement on how it ended.
reap_mqfs() {
	local at=$1 pid=$2 rc=0
	unset "daemons[$at]"
	wait "$pid" || rc=$?
	if [ $rc != 0 ]; then
		say "the broker on $at ended with status $rc"
		return 1
	fi
}

# stop_mqfs MNT   unmounts, as an operator does
stop_mqfs() {
	local at=$1 pid=${daemons[$1]}
	eventually 5 unmount "$at"
	eventually "$patience" is_gone "$pid"
	reap_mqfs "$at" "$pid" || fail "not a clean end"
}

# kill_mqfs MNT   SIGKILL; the dead mount stays, as in life
kill_mqfs() {
	local at=$1 pid=${daemons[$1]}
	kill -KILL "$pid"
	eventually 5 is_gone "$pid"
	unset "daemons[$at]"
	wait "$pid" 2> /dev/null || true
}

# --- supervised brokers --------------------------------------------------------

# The broker itself; ${daemons[MNT]} is its supervisor.
broker_of() { cut -d ' ' -f 1 "$1/lock"; }

# restarted STORE PID MNT   another broker than PID serves
restarted() { [ "$(broker_of "$1")" != "$2" ] && timeout 2 head -c 1 "$3/README"; }

# kill_broker STORE MNT   SIGKILL; returns when the next one serves
kill_broker() {
	local pid
	pid=$(broker_of "$1")
	kill -KILL "$pid"
	eventually "$patience" restarted "$1" "$pid" "$2"
}

# What is left of a broker when its test ends; never hangs.
end_mqfs() {
	local at=$1 pid=$2 rc=0
	if [ "${daemons[$at]:-}" = "$pid" ]; then
		within 20 unmounted "$at"
		if ! within "$(mounted "$at" && echo 1 || echo "$patience")" is_gone "$pid"; then
			say "the broker on $at does not go: lazy unmount, then SIGKILL"
			show_stacks "$pid"
			umount -l "$at" 2> /dev/null
			# shellcheck disable=SC2046	# and a supervised broker
			kill -KILL "$pid" $(cat "/proc/$pid/task/$pid/children")
			rc=1
		elif mounted "$at"; then
			say "a dead mount was left below the one on $at"
			rc=1
		fi
		reap_mqfs "$at" "$pid" || rc=1
	fi
	while mounted "$at"; do umount -l "$at" || break; done
	return $rc
}

unmounted() { ! mounted "$1" || timeout 3 umount "$1" 2> /dev/null; }

# Where the threads of a stuck broker are, for the log.
show_stacks() {
	local t
	for t in /proc/"$1"/task/*; do
		echo "$(cat "$t/comm"): $(cat "$t/wchan")" >&9
	done 2> /dev/null
	if command -v gdb > /dev/null; then
		timeout 20 gdb -p "$1" -batch -ex 'thread apply all bt 12' 2> /dev/null | tail -n 120 >&9
	fi
	return 0
}

# --- masters and slaves --------------------------------------------------------

# free_port   prints a listenPort for a broker: nobody has it, the port for slaves above it,
# the VIP port two below, nor those of a second broker five above; no other test of this
# build gets it soon; and connections do not choose such ports for themselves.
free_port() {
	local last=$top_builddir/tests/port number=$RANDOM base p
	(
		flock 3
		read -r number < "$last" || true
		while :; do
			number=$(((number + 1) % 999)) base=$((20010 + number * 10))
			for ((p = base - 2; p < base + 8; p++)); do
				if is_listened_to "$p"; then continue 2; fi
			done
			break
		done
		echo "$number" > "$last"
		echo "$base"
	) 3>> "$last.lock"
}

is_listened_to() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

written() { cat "$1/status/written"; }
dispatched() { cat "$1/status/dispatched"; }

# caught_up [MASTER SLAVE]   all of the log of $master can be read on $slave
caught_up() { [ "$(written "${1:-${master:?}}")" = "$(dispatched "${2:-${slave:?}}")" ]; }

# --- what a test needs ---------------------------------------------------------

requires_fuse() {
	[ -c /dev/fuse ] || skip "there is no /dev/fuse"
	{ [ -r /dev/fuse ] && [ -w /dev/fuse ]; } || skip "/dev/fuse may not be opened"
}

requires_root() {
	[ "$(id -u)" = 0 ] || skip "only root can do this"
}

# requires_tool COMMAND...
requires_tool() {
	local tool
	for tool in "$@"; do
		command -v "$tool" > /dev/null || skip "$tool is not installed"
	done
}

requires_loop() {
	requires_root
	requires_tool losetup
	losetup -f > /dev/null 2>&1 || skip "there are no loop devices"
}

# loop_disk FSTYPE SIZE DIR   a file system of its own; unmounted when the test ends
loop_disk() {
	local type=$1 size=$2 dir=$3 image
	requires_loop
	requires_tool "mkfs.$type"
	image=$work/disk.$(basename "$dir")
	truncate -s "$size" "$image"
	"mkfs.$type" -q "$image" || fail "mkfs.$type"
	mkdir -p "$dir"
	mount -o loop "$image" "$dir" || skip "cannot mount $type from a loop device"
	undo let_go_of "$dir"
}

let_go_of() {
	if within 20 unmounted "$1"; then return 0; fi
	say "$1 stays busy: lazy unmount"
	umount -l "$1"
	return 1
}

# as_user COMMAND...   as somebody who is not root and owns nothing
as_user() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# --- small helpers ---------------------------------------------------------------

# seq_lines FIRST LAST [TEXT]   numbered lines to feed
seq_lines() { seq -f "${3:-line} %.0f" "$1" "$2"; }

xattr() { getfattr --only-values --absolute-names -n "user.mqfs.$1" "$2"; }

# of_json EXPRESSION: of each line of json, as m, what Python says of it
of_json() { python3 -c 'import json, sys
for line in sys.stdin:
    m = json.loads(line)
    p = m["properties"]
    print('"$1"')'; }
