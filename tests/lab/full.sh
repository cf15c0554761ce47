#!/bin/bash
# A disk that fills up at any moment, again and again, while messages are appended, segments and files
# are made, offsets committed, snapshots taken: ENOSPC is said before anything is half done, and when
# space returns all goes on by itself.
#
#	--cycles N       so many times
#	--types T,T      file systems, in turns
. "$top_srcdir/tests/lab/kit.sh"
requires_fuse
requires_loop

lab_options "cycles=3 seed=$RANDOM types=ext4,xfs" "cycles=60" "$@"
say "$cycles times on $types, seed $seed"
disk=$work/disk
settings=mappedFileSizeCommitLog=1048576,mappedFileSizeConsumeQueue=20000,maxMessageSize=65536,haListen=none
settings+=,flushIntervalConsumeQueue=50,flushConsumerOffsetInterval=100,cleanResourceInterval=100
settings+=,diskMaxUsedSpaceRatio=95,diskSpaceCleanForciblyRatio=99,diskSpaceWarningLevelRatio=100
kills=0

free_bytes() { echo $(($(stat -f -c '%a * %S' "$disk"))); }

# Leave so many bytes on the disk, or a little more.  The load writes meanwhile, and if the ballast does not
# fit any more, XFS allocates nothing of it.
leave() {
	local end=0 size=$(($(free_bytes) - $1))
	while [ $size -ge 65536 ]; do
		if fallocate -o $end -l $size "$disk/ballast" 2> /dev/null; then
			end=$((end + size))
			size=$(($(free_bytes) - $1))
		else
			size=$((size / 2))
		fi
	done
}

somebody_is_refused() { grep -qi 'no space left' "$work/mqfs.$daemon_count.log"; }

fill() {
	local n=$1
	start_load "$mnt" "$n" --seconds 200 --errors ENOTCONN,ECONNABORTED --again ENOSPC
	sleep "$(up_to_ms 600)"
	leave $((RANDOM % 4 * 500000))
	eventually 30 somebody_is_refused
	sleep "$(up_to_ms 1000)"
	if ((RANDOM % 3 == 0)); then
		kill_mqfs "$mnt"	# and mounted on the full disk
		kills=$((kills + 1))
		end_load "$n"
		start_mqfs "$disk/store" "$mnt" -o "$settings"
		wc -l "$mnt"/topics/load/q* > "$work/can.be.read"
		space_returns
	else
		space_returns
		end_load "$n"
	fi
	judge_brokers "cycle $n"
}

end_load() { stop_load || fail "cycle $1: not only because the disk was full"; }

space_returns() {
	rm -f "$disk/ballast"
	eventually 30 appends_again
}

appends_again() { echo again >> "$mnt/topics/aside/q0"; }

generation() {
	local n=$1 list
	IFS=, read -r -a list <<< "$types"
	loop_disk "${list[n % ${#list[@]}]}" 400M "$disk"
	start_mqfs "$disk/store" "$mnt" -o "$settings"
	new_load "$mnt"
	mkdir "$mnt/topics/aside"
	fill "$n"
	stop_mqfs "$mnt"
	views_are_the_log "$disk/store" --strict
	fsck_says_clean "$disk/store"
	umount "$disk"
	rm "$work/disk.disk"
}

for ((n = from; n < from + cycles; n++)); do
	choose "$n"
	generation "$n"
	forget_logs
done
sum "the disk was full $cycles times, $kills times the broker was killed then; $lines lines judged"
