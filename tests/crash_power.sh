#!/bin/bash
# Power cuts at any moment, again and again, under mixed work: what was synced stays,
# of the rest only what is younger than the flush interval is lost.
#
# MQFS_CRASHES=N   so many cuts per file system (5); MQFS_SEED=N repeats a run's choices
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/power.sh"
requires_fuse
requires_loop

cuts=${MQFS_CRASHES:-5}
power_size=4G
seed=${MQFS_SEED:-$RANDOM}
RANDOM=$seed
say "$cuts cuts, MQFS_SEED=$seed"
settings=flushIntervalCommitLog=200,flushIntervalConsumeQueue=50,flushConsumerOffsetInterval=100
settings+=,mappedFileSizeConsumeQueue=20000

load() { python3 "$top_srcdir/tests/crash_load.py" "$@"; }
reader() { python3 "$top_srcdir/tests/reader/mqstore.py" check "$@" "$disk/store" > "$work/reader.out" 2>&1; }

rounds() {
	local type=$1 cut at worker
	rm -rf "$work/state"
	mkdir "$work/state"
	power_on "$type" -o "$settings"
	mkdir "$mnt/topics/load" "$mnt/groups/readers" "$mnt/groups/readers/load"
	sync "$mnt/topics/load/q0"
	for ((cut = 1; cut <= cuts; cut++)); do
		load run "$mnt" "$work/state" "$cut" 30 power &
		worker=$!
		sleep "$((RANDOM % 4)).$(printf %03d $((RANDOM % 1000)))"
		at=$(date +%s.%N)
		power_cut
		wait_for "$worker" || fail "$type, cut $cut: not only because of the cut"
		power_on "$type" -o "$settings"
		load judge "$mnt" "$work/state" "$at" || fail "$type, cut $cut"
	done
	stop_mqfs "$mnt"
	reader --strict || { cat "$work/reader.out" >&9; fail "views are not the log"; }
	find "$disk/store/lost+found" -type f -printf "$type: lost+found/%f, %s bytes\n" >&9
	umount "$disk"
	rm "$work/disk.disk"
}

for type in ext4 xfs; do
	if command -v mkfs.$type > /dev/null; then rounds $type; fi
done
