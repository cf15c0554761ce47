#!/bin/bash
# Settings come from mqfs.conf, from an unchanged broker.conf, from -o; config/ shows and changes them.
. "$top_builddir/tests/functions.sh"
requires_fuse

cat > "$work/mqfs.conf" << 'END'
; comments are fine
flushDiskType = SYNC_FLUSH
defaultTopicQueueNums = 2
END
start_mqfs "$work/store" "$mnt" -o "conf=$work/mqfs.conf,default_topic_queue_nums=3"
want SYNC_FLUSH "$(cat "$mnt/config/flushDiskType")" "from the file"
want 3 "$(cat "$mnt/config/defaultTopicQueueNums")" "-o is stronger"
mkdir "$mnt/topics/t"
want 3 "$(find "$mnt/topics/t" -name 'q*' | wc -l)" "queues of a topic"

echo ASYNC_FLUSH > "$mnt/config/flushDiskType"
want ASYNC_FLUSH "$(cat "$mnt/config/flushDiskType")" "changed"
fails_with EINVAL bash -c "echo SOMETIMES > '$mnt/config/flushDiskType'"
fails_with EINVAL bash -c "echo -1 > '$mnt/config/maxMessageSize'"
want ASYNC_FLUSH "$(cat "$mnt/config/flushDiskType")" "after a bad value"
grep -q SOMETIMES "$mnt/status/log" || fail "status/log does not name the bad value"
if bash -c "echo 65536 > '$mnt/config/mappedFileSizeCommitLog'" 2> /dev/null; then
	fail "a setting that is fixed was changed"
fi
stop_mqfs "$mnt"

# As RocketMQ ships it.
cat > "$work/broker.conf" << 'END'
# Licensed to the Apache Software Foundation (ASF) under one or more
brokerClusterName = DefaultCluster
brokerName = broker-a
brokerId = 0
deleteWhen = 04
fileReservedTime = 48
brokerRole = ASYNC_MASTER
flushDiskType = ASYNC_FLUSH
namesrvAddr=127.0.0.1:9876
END
start_mqfs "$work/store" "$mnt" -o "conf=$work/broker.conf"
want broker-a "$(cat "$mnt/config/brokerName")" "from broker.conf"
