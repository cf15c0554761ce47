#!/bin/bash
# What plain files keep when the power is cut as power.sh cuts it: the measure for what it may expect.
#
#	--cycles N       so many cuts of each file system
#	--types T,T      file systems
. "$top_srcdir/tests/lab/kit.sh"
. "$top_srcdir/tests/power.sh"
requires_loop

lab_options "cycles=20 types=ext4,xfs" "cycles=300" "$@"
plain=$top_builddir/tests/lab/plain
[ -x "$plain" ] || skip "tests/lab/plain was not built"

mount_disk() { mount -o loop "$work/disk.disk" "$disk"; }

cut_once() {
	local files=$disk/files
	mkdir "$files"
	sync "$disk"
	"$plain" run "$files" "$work/acks" $((20 + RANDOM % 200)) >> "$work/said"
	eventually 10 umount "$disk"
	mount_disk
	"$plain" check "$files" "$work/acks" >> "$work/said" || true
	rm -r "$files"
}

for type in ${types//,/ }; do
	: > "$work/said"
	loop_disk "$type" 1G "$disk"
	for ((n = 0; n < cycles; n++)); do cut_once; done
	grep '^lost' "$work/said" >&9 || true
	sum "$type: $cycles cuts; of what fdatasync had acknowledged $(grep -c 'at -' "$work/said" || true)" \
		"writes were lost from before the cut, $(grep -c '^lost.* at [0-9]' "$work/said" || true) from within it"
	eventually 10 umount "$disk"
	rm "$work/disk.disk"
done
