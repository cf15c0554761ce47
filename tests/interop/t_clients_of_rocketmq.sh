#!/bin/bash
# RocketMQ's Java client produces to and consumes from an mqfs broker that it finds by RocketMQ's
# name server: what it sends is a line for files, what files append it gets, offsets are shared.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

port[mqfs]=$(free_port)
broker=127.0.0.1:${port[mqfs]}
start_namesrv
start_mqfs "$work/store" "$mnt" -o "$mqfs_small,listen=127.0.0.1,listenPort=${port[mqfs]},brokerIP1=127.0.0.1" \
	-o "brokerName=interop,namesrvAddr=$namesrv,remotingUser=$(id -un)"
mkdir "$mnt/topics/Files"
echo 'of a file' >> "$mnt/topics/Files/q3"

rocketmq <<END
topic $broker Orders 4
send Orders 0 TagA k1 - hello rückét
send Orders 1 - - - without anything
batch Orders 2 3 one of a batch
query Orders k1
consume billing Orders * 5
consume files Files * 1
offsets billing Orders
END
want "SEND_OK 0 0" "$(answer 2)" "the first message sent"
want "SEND_OK 2 0" "$(answer 4)" "a batch"
want "Orders 0 000000 TagA k1 hello rückét" "$(answer 5)" "the message by its key"
want 5 "$(answer 6 | wc -l)" "messages consumed"
want "Files 3 000000 - - of a file" "$(answer 7)" "what a file appended"
want "0 1 1
1 1 1
2 3 3
3 0 0" "$(answer 8)" "what mqadmin says of the group"
want "hello rückét" "$(cat "$mnt/topics/Orders/q0")" "the message as a line"
want 3 "$(wc -l < "$mnt/topics/Orders/q2")" "lines of the batch"
want 3 "$(cat "$mnt/groups/billing/Orders/q2.offset")" "the offset that the client committed"
stop_mqfs "$mnt"
sound_store store
