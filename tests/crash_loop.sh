#!/bin/bash
# SIGKILL at any moment, again and again, under mixed work: what was acknowledged stays.
#
# MQFS_CRASHES=N   so many times (15); MQFS_SEED=N repeats a run's choices
. "$top_builddir/tests/functions.sh"
requires_fuse

crashes=${MQFS_CRASHES:-15}
seed=${MQFS_SEED:-$RANDOM}
RANDOM=$seed
say "$crashes crashes, MQFS_SEED=$seed"
store=$work/store
mkdir "$work/state"

# Small segments and files, so that rolls, new files and checkpoints meet the kill.
settings=mappedFileSizeCommitLog=1048576,mappedFileSizeConsumeQueue=20000,maxMessageSize=65536
settings+=,flushIntervalConsumeQueue=50,flushConsumerOffsetInterval=100
load() { python3 "$top_srcdir/tests/crash_load.py" "$@"; }
reader() { python3 "$top_srcdir/tests/reader/mqstore.py" check "$@" "$store" > "$work/reader.out" 2>&1; }
up_to_ms() { echo "$((RANDOM % $1 / 1000)).$(printf %03d $((RANDOM % $1 % 1000)))"; }

# A broker that is killed while it recovers.
kill_a_starting_broker() {
	setsid mount.mqfs -f "$store" "$mnt" -o $settings > /dev/null 2>&1 9>&- < /dev/null &
	local pid=$!
	sleep "$(up_to_ms 60)"
	kill -KILL "$pid" 2> /dev/null || true
	eventually 5 is_gone "$pid"
	wait "$pid" 2> /dev/null || true
}

slowest_ms=0
restart() {
	local began ms
	began=$(date +%s%3N)
	start_mqfs "$store" "$mnt" -o $settings
	ms=$(($(date +%s%3N) - began))
	if [ $ms -gt $slowest_ms ]; then slowest_ms=$ms; fi
}

restart
mkdir "$mnt/topics/load" "$mnt/groups/readers" "$mnt/groups/readers/load"
for ((crash = 1; crash <= crashes; crash++)); do
	load run "$mnt" "$work/state" "$crash" 30 &
	worker=$!
	sleep "$(up_to_ms 1500)"
	kill_mqfs "$mnt"
	wait_for "$worker" || fail "crash $crash: not only because of the kill"
	if [ $((RANDOM % 3)) = 0 ]; then kill_a_starting_broker; fi
	if [ $((crash % 10)) = 5 ]; then
		reader || { cat "$work/reader.out" >&9; fail "crash $crash: a view is ahead of the log"; }
	fi
	restart
	load judge "$mnt" "$work/state" || fail "crash $crash"
	want 1 "$(grep -cF " $mnt " /proc/self/mountinfo)" "mounts on top of each other"
done

for kept in "$mnt"/lost+found/*; do
	[ -e "$kept" ] || continue
	say "lost+found: $(basename "$kept"), $(stat -c %s "$kept") bytes"
done
stop_mqfs "$mnt"
reader --strict || { cat "$work/reader.out" >&9; fail "views are not the log"; }
say "the slowest start took $slowest_ms ms; $(grep -E '^records' "$work/reader.out" | head -n 1)"
