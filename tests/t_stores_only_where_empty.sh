#!/bin/bash
# A store is made in a new or an empty directory only, and a mount point is not taken for a store.
. "$top_builddir/tests/functions.sh"
requires_fuse

# refused WORDS COMMAND...
refused() {
	local words=$1 rc=0
	shift
	timeout 60 "$@" > "$work/out" 2>&1 < /dev/null || rc=$?
	if [ $rc = 0 ]; then fail "'$*' succeeded"; fi
	grep -q -- "$words" "$work/out" || fail "'$*' does not say '$words': $(cat "$work/out")"
}

# Somebody's files are left as they are, and nothing is put beside them.
mkdir "$work/etc"
echo precious > "$work/etc/passwd"
for options in rw ro; do
	refused "holds something else (passwd)" mount.mqfs "$work/etc" "$mnt" -o $options
	want passwd "$(ls -A "$work/etc")" "the directory after mounting it $options"
done
if mounted "$mnt"; then fail "it was mounted nevertheless"; fi

# Empty, as mkfs leaves a disk, or begun by a mount that was killed: fine.
mkdir -p "$work/empty" "$work/disk/lost+found" "$work/begun"
touch "$work/begun/lock"
for store in empty disk begun new; do
	start_mqfs "$work/$store" "$mnt"
	mkdir "$mnt/topics/t"
	stop_mqfs "$mnt"
done

# A mount point is no store.
start_mqfs "$work/empty" "$mnt"
mkdir "$work/other"
refused "mount point of mqfs; the store that is mounted there is $work/empty" mount.mqfs "$mnt" "$work/other"
refused "mount point of mqfs; the store that is mounted there is $work/empty" fsck.mqfs -n "$mnt"
echo 'still there' >> "$mnt/topics/t/q0"
want 'still there' "$(cat "$mnt/topics/t/q0")" "the queue"
