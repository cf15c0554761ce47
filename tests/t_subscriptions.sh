#!/bin/bash
# Groups and subscriptions are made with mkdir, removed with rmdir, and survive a remount.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t" "$mnt/topics/u" "$mnt/groups/g"
fails_with ENOENT mkdir "$mnt/groups/g/unknown"
mkdir "$mnt/groups/g/t" "$mnt/groups/g/u"
fails_with EEXIST mkdir "$mnt/groups/g/t"
want "clients config ctl lag t u" "$(ls "$mnt/groups/g" | tr '\n' ' ' | sed 's/ $//')" "a group"
want "all any q0 q0.lag q0.offset q0.retry q1 q1.lag q1.offset q1.retry" \
	"$(ls "$mnt/groups/g/t" | head -n 10 | tr '\n' ' ' | sed 's/ $//')" "a subscription"
want '*' "$(cat "$mnt/groups/g/t/subscription")" "what is subscribed"

fails_with ENOTEMPTY rmdir "$mnt/groups/g"
rmdir "$mnt/groups/g/u"
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
want t "$(find "$mnt/groups/g" -mindepth 1 -type d -printf "%f\n")" "after a remount"
rmdir "$mnt/groups/g/t" "$mnt/groups/g"
want "" "$(ls "$mnt/groups")" "no groups"
fails_with ENOENT ls "$mnt/groups/g"
