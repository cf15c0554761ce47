#!/bin/bash
# autoCreateTopicEnable: appending to an unknown topic makes it, looking at it does not.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
fails_with ENOENT ls "$mnt/topics/typo"
fails_with ENOENT bash -c "echo x >> '$mnt/topics/typo/q0'"

echo true > "$mnt/config/autoCreateTopicEnable"
stat "$mnt/topics/typo" "$mnt/topics/typo/q0" > "$work/out"
want "" "$(ls "$mnt/topics/typo")" "a topic that is not there"
fails_with ENOENT cat "$mnt/topics/typo/q0"
fails_with ENOENT cat "$mnt/topics/typo/q0@5"
fails_with ENOENT cat "$mnt/topics/typo/config"
fails_with EPERM bash -c "echo x >> '$mnt/topics/typo/q8'"
fails_with EPERM bash -c "echo x > '$mnt/topics/typo/q0'"
fails_with EPERM chmod 777 "$mnt/topics/typo/q0"
fails_with ENOENT rmdir "$mnt/topics/typo"
fails_with ENOENT stat "$mnt/topics/bad.name"
want "" "$(ls "$mnt/topics")" "topics that were only looked at"

exec 3>> "$mnt/topics/new/q0"
echo one >&3
want one "$(cat "$mnt/topics/new/q0")" "a topic made by appending"
want 8 "$(find "$mnt/topics/new" -name 'q?' | wc -l)" "its queues"
want 4 "$(stat -L -c %s /proc/self/fd/3)" "the open file"
echo two >&3
exec 3>&-
want "one two" "$(paste -sd " " "$mnt/topics/new/q0")" "the same file goes on"
want 755 "$(stat -c %a "$mnt/topics/new")" "its mode"
echo '{"body":"three"}' >> "$mnt/topics/other/all:format=json"
want three "$(cat "$mnt/topics/other/all")" "by a name with options"

echo drop > "$mnt/config/onFull"
echo x >> "$mnt/topics/drops/q0"
want "onFull = drop" "$(grep onFull "$mnt/topics/drops/config")" "the setting onFull, as mkdir takes it"

if [ "$(id -u)" = 0 ]; then
	chmod 755 "$work"
	fails_with EACCES as_user bash -c "echo x >> '$mnt/topics/theirs/q0'"
	chmod 1777 "$mnt/topics"
	as_user bash -c "echo x >> '$mnt/topics/theirs/q0'"
	want 65534 "$(stat -c %u "$mnt/topics/theirs")" "who made it owns it"
	chmod 755 "$mnt/topics"
fi

for i in {1..20}; do
	for j in {1..5}; do
		echo "$j" >> "$mnt/topics/race$i/q0" &
		pids[j]=$!
	done
	wait_for "${pids[@]}"
	want 5 "$(wc -l < "$mnt/topics/race$i/q0")" "messages of five who made it together"
done
