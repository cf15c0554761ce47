#!/bin/bash
# Inode numbers are the same after a remount, and no two files share one.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir -p "$mnt/topics/t" "$mnt/topics/u" "$mnt/groups/g/t" "$mnt/groups/h/u"
echo x >> "$mnt/topics/t/q0"
inodes() { find "$mnt" -path "$mnt/status" -prune -o -printf '%i %P\n' | sort -k 2; }
inodes > "$work/before"
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
inodes > "$work/after"
want "" "$(diff "$work/before" "$work/after")" "inodes after a remount"
want "" "$(cut -d ' ' -f 1 "$work/after" | sort | uniq -d)" "inodes of two files"
