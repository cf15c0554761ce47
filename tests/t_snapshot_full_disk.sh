#!/bin/bash
# Taking a snapshot on a full disk is ENOSPC and leaves nothing; dropping one works, and so does the next.
. "$top_builddir/tests/functions.sh"
requires_fuse
loop_disk ext4 64M "$work/disk"

start_mqfs "$work/disk/store" "$mnt" \
	-o mappedFileSizeCommitLog=1048576,maxMessageSize=65536,diskMaxUsedSpaceRatio=95,diskSpaceWarningLevelRatio=99
mkdir "$mnt/topics/t"
seq_lines 1 10000 >> "$mnt/topics/t/q0"
mkdir "$mnt/.snapshots/before"
sha256sum "$mnt/.snapshots/before/MANIFEST" > "$work/sum"
sleep 1.5			# views and LMDB rest
dd if=/dev/zero of="$work/disk/ballast" bs=64k 2> /dev/null || true
dd if=/dev/zero of="$work/disk/crumbs" bs=1k 2> /dev/null || true
fails_with ENOSPC mkdir "$mnt/.snapshots/full"
want before "$(ls "$mnt/.snapshots")" "snapshots shown"
want before "$(ls "$work/disk/store/snapshots")" "snapshots in the store"
sha256sum --quiet -c "$work/sum"
want "$(seq_lines 1 10000 | md5sum)" "$(md5sum < "$mnt/topics/t/q0")" "the queue"

rm "$work/disk/ballast" "$work/disk/crumbs"
eventually 20 mkdir "$mnt/.snapshots/full"
(cd "$mnt/.snapshots/full" && sha256sum --quiet -c MANIFEST)
rmdir "$mnt/.snapshots/before" "$mnt/.snapshots/full"
