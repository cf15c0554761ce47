#!/bin/bash
# A power cut loses nothing that was synced, and of the rest only an end.
# SYNC_FLUSH on one round; O_DSYNC, fdatasync and plain producers on the other.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/power.sh"
requires_fuse
requires_loop

produce() { python3 "$top_srcdir/tests/producer.py" write "$mnt/topics/t/$1" "$2" "$work/acked.$2" "$3" & }
judge() {
	cat "$mnt/topics/t/$1" > "$work/content"
	python3 "$top_srcdir/tests/producer.py" check "$work/content" "$2" "$work/before.acked.$2" "$3"
}

# round FSTYPE NAME FLUSH_DISK_TYPE WHAT_PLAIN_KEEPS
round() {
	local name=$2 pids=()
	power_on "$1" -o "flushDiskType=$3"
	if [ ! -d "$mnt/topics/t" ]; then mkdir "$mnt/topics/t"; sync "$mnt/topics/t/q0"; fi
	produce q0 "${name}d" dsync; pids+=($!)
	produce q1 "${name}f" fsync; pids+=($!)
	produce q2 "${name}p" plain; pids+=($!)
	produce q2 "${name}q" plain; pids+=($!)
	for producer in d f p q; do eventually 10 test -s "$work/acked.$name$producer"; done
	sleep 0.7
	# (what is acknowledged while the disk goes down, ext4 may lose)
	for producer in d f p q; do cp "$work/acked.$name$producer" "$work/before.acked.$name$producer"; done
	power_cut
	wait_for "${pids[@]}"
	power_on "$1" -o "flushDiskType=$3"
	judge q0 "${name}d" all
	judge q1 "${name}f" all
	judge q2 "${name}p" "$4"
	judge q2 "${name}q" "$4"
	echo 'after the cut' >> "$mnt/topics/t/q3"
	want 'after the cut' "$(tail -n 1 "$mnt/topics/t/q3")" "an append after the cut"
	stop_mqfs "$mnt"
	umount "$disk"
}

for type in ext4 xfs; do
	command -v mkfs.$type > /dev/null || continue
	round $type "$type-sync" SYNC_FLUSH all
	round $type "$type-async" ASYNC_FLUSH prefix
	round $type "$type-again" ASYNC_FLUSH prefix
	rm "$work/disk.disk"
done
