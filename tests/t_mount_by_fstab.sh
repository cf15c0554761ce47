#!/bin/bash
# mount -t mqfs and a line of fstab work, with all the options that mount(8) passes on.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_root

# In a private view of /sbin that has mount.mqfs, as if it were installed.
cp -a /usr/sbin "$work/sbin"
ln -sf "$top_builddir/fs/mount.mqfs" "$work/sbin/mount.mqfs"
ln -sf mount.mqfs "$work/sbin/mount.fuse.mqfs"
echo "$work/store $mnt mqfs defaults,nofail,_netdev,noexec,flushDiskType=SYNC_FLUSH,x-systemd.automount 0 0" > "$work/fstab"

cat > "$work/inside" << 'END'
set -eu
mount --bind "$1/sbin" /usr/sbin
mount -t mqfs "$1/store" "$1/mnt" -o user,role=master,maxMessageSize=1000
mkdir "$1/mnt/topics/t"
echo hello >> "$1/mnt/topics/t/q0"
test "$(cat "$1/mnt/config/maxMessageSize")" = 1000
flags() { grep " $1/mnt " /proc/self/mounts | cut -d ' ' -f 3,4 | cut -d , -f 1-4; }
test "$(flags "$1")" = "fuse.mqfs rw,nosuid,nodev,noexec"

# A remount with nothing but the mount point, whatever the kernel shows of it.
mount -o remount,ro "$1/mnt"
test "$(flags "$1")" = "fuse.mqfs ro,nosuid,nodev,noexec"
mount -o remount,rw,exec "$1/mnt"
test "$(flags "$1")" = "fuse.mqfs rw,nosuid,nodev,relatime"
echo again >> "$1/mnt/topics/t/q0"
mount -o remount,noexec "$1/mnt"
test "$(flags "$1")" = "fuse.mqfs rw,nosuid,nodev,noexec"
umount "$1/mnt"
mount -t mqfs "$1/store" "$1/mnt" -o allow_other=false
mount -o remount,ro "$1/mnt"
umount "$1/mnt"
mount --fstab "$1/fstab" -a -t mqfs
test "$(xargs < "$1/mnt/topics/t/q0")" = "hello again"
test "$(cat "$1/mnt/config/flushDiskType")" = SYNC_FLUSH
mount --fstab "$1/fstab" -o remount,ro "$1/mnt"
test "$(flags "$1")" = "fuse.mqfs ro,nosuid,nodev,noexec"
mount --fstab "$1/fstab" -o remount,rw "$1/mnt"
echo more >> "$1/mnt/topics/t/q0"
umount "$1/mnt"
rc=0
mount -t mqfs "$1/store" "$1/mnt" -o maxMessageSize=none 2> "$1/said" || rc=$?
test $rc != 0
grep -q maxMessageSize "$1/said"
rc=0
mount -t mqfs "$1/store" "$1/mnt" -o user_id=5 2> "$1/said" || rc=$?
test $rc != 0
grep -q 'user_id goes with remount only' "$1/said"
END
unshare -m bash "$work/inside" "$work"
eventually 10 test ! -e "$work/store/abort"
