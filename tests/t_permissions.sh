#!/bin/bash
# Owner, group and mode are kept across remounts and enforced for others.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_root
chmod 755 "$work"

start_mqfs "$work/store" "$mnt"
mkdir -p "$mnt/topics/open" "$mnt/topics/closed" "$mnt/topics/theirs"
chmod 666 "$mnt/topics/open/q0"
chmod 700 "$mnt/topics/closed"
chown 65534:65534 "$mnt/topics/theirs" "$mnt/topics/theirs/q1"
chmod 640 "$mnt/topics/theirs/q1"
echo 'of root' >> "$mnt/topics/open/q0"

check() {
	want 666 "$(stat -c %a "$mnt/topics/open/q0")" "mode of a queue"
	want 700 "$(stat -c %a "$mnt/topics/closed")" "mode of a topic"
	want 65534:65534:640 "$(stat -c %u:%g:%a "$mnt/topics/theirs/q1")" "owner and mode of a queue"
	as_user sh -c "echo 'of a user' >> '$mnt/topics/open/q0'"
	as_user sh -c "echo 'of a user' >> '$mnt/topics/theirs/q1'"
	fails_with EACCES as_user sh -c "echo x >> '$mnt/topics/open/q1'"
	fails_with EACCES as_user ls "$mnt/topics/closed"
	fails_with EPERM as_user chmod 777 "$mnt/topics/open/q1"
	fails_with EACCES as_user mkdir "$mnt/topics/more"
}
check
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
check
kill_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
check
want 3 "$(grep -c 'of a user' "$mnt/topics/open/q0")" "a user's messages"

# Who may consume, may write the group's queue.
mkdir -p "$mnt/groups/g/open"
chmod 644 "$mnt/groups/g/open/q0"
fails_with EACCES as_user sh -c ": <> '$mnt/groups/g/open/q0'"
chmod 666 "$mnt/groups/g/open/q0"
as_user sh -c ": <> '$mnt/groups/g/open/q0'"
