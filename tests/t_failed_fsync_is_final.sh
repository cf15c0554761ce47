#!/bin/bash
# After the disk has failed a sync, nothing more is accepted until a remount.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/power.sh"
requires_fuse
requires_loop

power_on ext4 -o flushIntervalCommitLog=3600000,flushIntervalConsumeQueue=3600000
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
echo kept >> "$q"
sync "$q"
echo 'in memory only' >> "$q"
shutdown_disk > /dev/null
fails_with EIO sync "$q"
fails_with EIO sync "$q"		# never retried into success
fails_with EIO bash -c "echo x >> '$q'"
power_cut
power_on ext4
want kept "$(cat "$q")" "after the remount"
echo more >> "$q"
want more "$(tail -n 1 "$q")" "appending again"
stop_mqfs "$mnt"
umount "$disk"
