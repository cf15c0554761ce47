#!/bin/bash
# After the disk has failed a sync, nothing more is accepted until a remount; reads go on.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/power.sh"
requires_fuse
requires_loop

power_on ext4
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
echo kept >> "$q"
sync "$q"
shutdown_disk
echo 'lost, and nobody can know yet' >> "$q" || true
if sync "$q" 2> /dev/null; then fail "a sync succeeded on a dead disk"; fi
fails_with EIO bash -c "echo x >> '$q'"
fails_with EIO sync "$q"
want kept "$(head -n 1 "$q")" "reading goes on"
power_cut
power_on ext4
want kept "$(head -n 1 "$q")" "after the remount"
echo more >> "$q"
want more "$(tail -n 1 "$q")" "appending again"
stop_mqfs "$mnt"
umount "$disk"
