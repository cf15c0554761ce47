#!/bin/bash
# Queues and messages tell about themselves in user.mqfs.* attributes.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
seq_lines 0 4 >> "$mnt/topics/t/q2"
want 0 "$(xattr min_offset "$mnt/topics/t/q2")" "min_offset"
want 5 "$(xattr max_offset "$mnt/topics/t/q2")" "max_offset"

id=$(python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["msgId"])' < "$mnt/topics/t/q2@3:format=json")
message=$mnt/messages/$id
want 'line 3' "$(cat "$message")" "the message by its id"
want 'line 3' "$(cat "$mnt/messages/${id,,}")" "the message by its id in lower case"
want t "$(xattr topic "$message")" "topic"
want 2 "$(xattr queue_id "$message")" "queue_id"
want 3 "$(xattr queue_offset "$message")" "queue_offset"
getfattr -d --absolute-names "$message" | grep -q user.mqfs.phy_offset || fail "phy_offset is not listed"
want "" "$(ls "$mnt/messages")" "messages are not listed"
fails_with ENOENT cat "$mnt/messages/${id:0:28}FFFF"
if xattr no_such "$message" 2> /dev/null; then fail "there is a user.mqfs.no_such"; fi
