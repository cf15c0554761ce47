#!/bin/bash
# A slave that begins when retention has removed all messages of a queue knows where the
# queue ends: after its promotion the next messages get the next numbers, and the group
# that had consumed the others sees them.  The same in a restored snapshot.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
master=$work/master slave=$work/slave restored=$work/restored
mkdir "$master" "$slave" "$restored"
hours=$(seq -s ';' -w 0 23)
opts=mappedFileSizeCommitLog=1048576,maxMessageSize=65536,fileReservedTime=24,deleteWhen=$hours
opts+=,cleanResourceInterval=100,deleteCommitLogFilesInterval=10,flushIntervalConsumeQueue=100
opts+=,diskSpaceWarningLevelRatio=100,diskSpaceCleanForciblyRatio=100,haSendHeartbeatInterval=300

start_mqfs "$work/m" "$master" -o "$opts,listenPort=$port,haListen=127.0.0.1"
mkdir "$master/topics/idle" "$master/topics/busy" "$master/groups/g" "$master/groups/g/idle"
printf '%s\n' one two three >> "$master/topics/idle/q0"
cat <> "$master/groups/g/idle/q0" > "$work/consumed"
sync "$master/groups/g/idle/q0.offset"
at_three() { [ "$(cat "$1/groups/g/idle/q0.offset")" = 3 ]; }
at_three "$master" || fail "the group has not consumed"
time=$(stat -c %Y "$master/topics/idle/q0")
seq_lines 1 40000 'a line of some length, so that a few segments are soon full: number' >> "$master/topics/busy/q0"
sync "$master/topics/busy/q0"

touch -d '25 hours ago' "$work"/m/commitlog/0000000000000{0000000,1048576}
begins_later() { [ "$(cat "$master/status/begin")" = 2097152 ]; }
eventually 10 begins_later
want 3 "$(xattr max_offset "$master/topics/idle/q0")" "the master's queue ends"

start_mqfs "$work/s" "$slave" -o "$opts,role=slave,master=127.0.0.1:$((port + 1)),haListen=none"
ends_at_three() { [ "$(xattr max_offset "$slave/topics/idle/q0")" = 3 ]; }
eventually 20 ends_at_three
want 3 "$(xattr min_offset "$slave/topics/idle/q0")" "nothing is left of it"
want "$time" "$(stat -c %Y "$slave/topics/idle/q0")" "time of its last message"
eventually 20 at_three "$slave"
eventually 20 caught_up "$master" "$slave"

mkdir "$slave/.snapshots/s"
cp -a "$slave/.snapshots/s" "$work/r"
start_mqfs "$work/r" "$restored" -o "$opts,haListen=none"
stop_mqfs "$master"
echo ASYNC_MASTER > "$slave/config/brokerRole"
for mnt in "$slave" "$restored"; do
	printf '%s\n' four five >> "$mnt/topics/idle/q0"
	want 5 "$(xattr max_offset "$mnt/topics/idle/q0")" "numbers go on"
	want "$(printf '%s\n' four five)" "$(cat "$mnt/groups/g/idle/q0")" "the group's next messages"
	stop_mqfs "$mnt"
done
"$top_builddir/run" fsck.mqfs -n "$work/s" > "$work/fsck" || fail "$(cat "$work/fsck")"
