#!/bin/bash
# Names of the system belong to the broker: nobody makes such a topic or group, appends to
# one, gives it another owner or removes what is in it, be it root or be topics made by
# themselves; and reading one is for who runs the broker.
. "$top_builddir/tests/functions.sh"
requires_fuse

names=(MQFS_META MQFS_anything SCHEDULE_TOPIC_XXXX RMQ_SYS_TRANS_HALF_TOPIC rmq_sys_wheel_timer TBW102
	OFFSET_MOVED_EVENT SELF_TEST_TOPIC TRANS_CHECK_MAX_TIME_TOPIC BenchmarkTest)

start_mqfs "$work/store" "$mnt" -o flushIntervalConsumeQueue=3600000
mkdir "$mnt/topics/t" "$mnt/groups/g"

for name in "${names[@]:1}"; do
	fails_with EPERM mkdir "$mnt/topics/$name"
done
fails_with EEXIST mkdir "$mnt/topics/MQFS_META"		# it has a message: who made the store
for name in MQFS_META CID_RMQ_SYS_TRANS; do
	fails_with EPERM mkdir "$mnt/groups/$name"
done
want "t" "$(ls "$mnt/topics")" "the topics there are"

# They are not listed, and can be named as soon as they have a message.
fails_with ENOENT cat "$mnt/topics/SCHEDULE_TOPIC_XXXX/q2"
echo later >> "$mnt/topics/t/q0:delay=level3"
want later "$(cat "$mnt/topics/SCHEDULE_TOPIC_XXXX/q2")" "the message that waits"
echo later still >> "$mnt/topics/t/q0:delay=level8"
want 'later still' "$(cat "$mnt/topics/SCHEDULE_TOPIC_XXXX/q7")" "the message of another queue"
grep -q '"op":"group"' "$mnt/topics/MQFS_META/q0" || fail "no record of the group: $(cat "$mnt/topics/MQFS_META/q0")"

# The one that is there is found in the store by the next mount.
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt" -o autoCreateTopicEnable=true
meta=$mnt/topics/MQFS_META
want 700 "$(stat -c %a "$meta")" "who may read it"
fails_with EPERM chmod 777 "$meta"
fails_with EPERM chown nobody "$meta"
fails_with EPERM chmod 666 "$meta/q0"
fails_with EPERM bash -c "echo purge > '$meta/ctl'"
fails_with EPERM bash -c "echo 'trim q0 1' > '$meta/ctl'"
cat "$meta/config" > "$work/config"
echo 'perm = rw' > "$meta/config" || true	# close(2) says so, which a shell does not look at
want_same "$work/config" "$meta/config" "its config"
fails_with EPERM rmdir "$meta"
fails_with EPERM bash -c "echo x >> '$meta/q0'"
for name in "${names[@]}"; do
	fails_with EPERM bash -c "echo '{\"op\":\"group-delete\",\"v\":1,\"name\":\"g\"}' >> '$mnt/topics/$name/q0'"
	fails_with EPERM bash -c "echo x >> '$mnt/topics/$name/all'"
done
want "t" "$(ls "$mnt/topics")" "the topics there are, after a remount"
want "g" "$(ls "$mnt/groups")" "the groups there are"
