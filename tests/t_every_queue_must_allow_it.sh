#!/bin/bash
# A name that reads or appends to other queues gives no more than each of those queues does.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_root
chmod 755 "$work"

start_mqfs "$work/store" "$mnt" -o defaultTopicQueueNums=2,messageIndexEnable=true
t=$mnt/topics/t
mkdir "$t"
chmod 777 "$mnt/topics" "$mnt/groups"
chmod 666 "$t/q0" "$t/q1" "$t/all"
echo public >> "$t/q0"
echo secret >> "$t/q1"
id=$(sed 's/.*"msgId":"\([^"]*\)".*/\1/' "$t/q1:format=json")
as_user mkdir -p "$mnt/groups/theirs/t"
echo first | tee "$mnt/groups/theirs/t/q0.offset" "$mnt/groups/theirs/t/q1.offset" > /dev/null
g=$mnt/groups/theirs/t

# Each way to the messages of q1.
ways=("cat '$t/q1'" "cat '$t/q1@first'" "cat '$t/all'" "cat '$t/all@first:format=json'"
	"cat '$g/q1'" "cat <> '$g/q1'" "cat '$g/q1:format=raw'" "cat '$mnt/messages/$id'")
for way in "${ways[@]}"; do
	as_user bash -c "$way" | grep -q secret || fail "not readable while q1 is: $way"
	echo 0 > "$g/q1.offset"
done

chmod 600 "$t/q1"
for way in "${ways[@]}" "ls '$t/q1.parts'" "ls '$mnt/consumequeue/t/1'" \
	"cat '$mnt/consumequeue/t/1/00000000000000000000'" "cat <> '$g/any'" "echo x >> '$t/all'" "echo x >> '$t/all:format=raw'"; do
	fails_with EACCES as_user bash -c "$way"
done
grep -q 'topics/t/q1 may not be read by uid 65534' "$mnt/status/log" || fail "the log does not say why"
as_user bash -c "echo 'of a user' >> '$t/q0'"
want 2 "$(as_user cat "$g/q0" | wc -l)" "lines of the queue that allows it"

# Supplementary groups and access lists count; so does the topic's directory.
chgrp 4242 "$t/q1"
chmod 660 "$t/q1"
setpriv --reuid=65534 --regid=65534 --groups=4242 cat "$g/q1" | grep -q secret || fail "its group may not"
chmod 600 "$t/q1"
if setfacl -m u:65534:r "$t/q1" 2> /dev/null; then
	for way in "cat '$g/q1'" "cat '$t/q1.parts/'*"; do
		as_user bash -c "$way" | grep -q secret || fail "its access list does not count: $way"
	done
	as_user ls "$mnt/consumequeue/t/1" > /dev/null || fail "its access list does not count for the consume queue"
	fails_with EACCES as_user bash -c "echo x >> '$t/all'"
fi
chmod 666 "$t/q1"
chmod 700 "$t"
fails_with EACCES as_user cat "$g/q0"
fails_with EACCES as_user cat "$mnt/messages/$id"
grep -q 'topics/t may not be entered by uid 65534' "$mnt/status/log" || fail "the log does not say why"
