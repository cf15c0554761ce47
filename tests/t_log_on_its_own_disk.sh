#!/bin/bash
# A commit log on a disk of its own: appends need room on both disks, only the log's own makes retention
# remove segments, and a snapshot, which cannot be hard links there, is refused with the reason.
. "$top_builddir/tests/functions.sh"
requires_fuse
loop_disk ext4 48M "$work/log"
loop_disk ext4 48M "$work/views"

q=$mnt/topics/t/q0
start_mqfs "$work/views/store" "$mnt" -o "storePathCommitLog=$work/log/commitlog" \
	-o mappedFileSizeCommitLog=1048576,maxMessageSize=65536,mappedFileSizeConsumeQueue=20000 \
	-o maxHashSlotNum=1000,maxIndexNum=4000,cleanResourceInterval=100,deleteCommitLogFilesInterval=0
mkdir "$mnt/topics/t"
seq_lines 1 5000 "$(printf '%0500d' 0)" >> "$q"
[ "$(find "$work/log/commitlog" -name '0*' | wc -l)" -gt 2 ]

fails_with EXDEV mkdir "$mnt/.snapshots/s"
grep -q 'snapshots/s: a snapshot is hard links to segments, and the commit log lies on another file system' \
	"$mnt/status/log" || fail "the reason is not said: $(tail -n 5 "$mnt/status/log")"
want "" "$(ls "$mnt/.snapshots")" "snapshots"
want "" "$(find "$work/views/store/snapshots" -name 's*.new' -o -name s)" "what the refused one has left"

# fill DIR   to 95 % of what an ordinary user may have
fill() {
	local free
	free=$(($(stat -f -c '%a * %S' "$1")))
	fallocate -l $((free - (48 << 20) / 20)) "$1/filler"
}
is_full() { [ "$(cat "$mnt/status/disk_full")" = "$1" ]; }

for disk in views log; do
	fill "$work/$disk"
	eventually 10 is_full 1
	fails_with ENOSPC bash -c "echo refused >> '$q'"
	if [ "$disk" = views ]; then
		# Retention has looked meanwhile.
		rounds=$(cat "$mnt/status/retention_rounds")
		gone_on() { [ "$(cat "$mnt/status/retention_rounds")" -gt $((rounds + 3)) ]; }
		eventually 10 gone_on
		want 0 "$(cat "$mnt/status/removed_segments")" "segments that were removed for the disk of the views"
	fi
	rm "$work/$disk/filler"
	eventually 10 is_full 0
	echo "room on $disk" >> "$q"
done
want "room on views room on log" "$(tail -n 2 "$q" | xargs)" "what was accepted"
stop_mqfs "$mnt"
fsck.mqfs -n "$work/views/store" > "$work/fsck" || fail "$(cat "$work/fsck")"
