#!/bin/bash
# Each way to fail has its exit status and one clear line.
. "$top_builddir/tests/functions.sh"
requires_fuse

# refused STATUS WORDS ARGUMENT...
refused() {
	local status=$1 words=$2 rc=0
	shift 2
	timeout 60 mount.mqfs "$@" > "$work/out" 2> "$work/said" < /dev/null || rc=$?
	want "$status" $rc "exit status of mount.mqfs $*"
	grep -qi -- "$words" "$work/said" || fail "mount.mqfs $*: no '$words' in: $(cat "$work/said")"
	want "" "$(cat "$work/out")" "standard output of mount.mqfs $*"
	if [ "$status" = 32 ]; then want 1 "$(wc -l < "$work/said")" "lines said by mount.mqfs $*"; fi
	if mounted "$mnt"; then fail "mount.mqfs $*: mounted nevertheless"; fi
}
echo text > "$work/file"
mkdir "$work/strange"
echo 'flushDiskTpye = SYNC_FLUSH' > "$work/mqfs.conf"

refused 1 usage
refused 1 usage "$work/store" "$mnt" too many
refused 1 option -x "$work/store" "$mnt"
refused 1 flushDiskType "$work/store" "$mnt" -o flushDiskTpye=SYNC_FLUSH
refused 1 SYNC_FLUSH "$work/store" "$mnt" -o flushDiskType=MAYBE
refused 1 maxMessageSize "$work/store" "$mnt" -o maxMessageSize=0
refused 1 mqfs.conf:1 "$work/store" "$mnt" -o "conf=$work/mqfs.conf"
refused 1 'no such file' "$work/store" "$mnt" -o "conf=$work/nothing.conf"
refused 32 'no such file' "$work/store" "$work/no-such-directory"
refused 32 'not a directory' "$work/store" "$work/file"
refused 32 'not a directory' "$work/file" "$mnt"
want "" "$(ls "$mnt")" "the mount point"
said=$(mount.mqfs "$work/store" "$work/nothing" -o flushCommitLogLeastPages=5 2>&1) || true
want 1 "$(grep -c 'flushCommitLogLeastPages has no effect' <<< "$said")" "times that a setting without effect is said"

mount.mqfs -V | grep -q 'mqfs [0-9]' || fail "-V: $(mount.mqfs -V)"
mount.mqfs -h > "$work/help"
grep -q flushDiskType "$work/help" || fail "-h does not list the settings"
