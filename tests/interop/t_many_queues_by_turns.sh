#!/bin/bash
# On a store of so many queues that a mount does not look at all of them RocketMQ deletes a topic, and with it
# what it takes for unused, and makes it anew: the next mount has all views as the log says.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

start_namesrv
start_mqfs "$work/m" "$mnt" -o "$mqfs_small"
mkdir "$mnt/topics/Many" "$mnt/topics/Anew"
config=$(sed 's/^queues *=.*/queues = 1100/' "$mnt/topics/Many/config")
echo "$config" > "$mnt/topics/Many/config"
for ((i = 0; i < 1100; i++)); do echo "many $i" >> "$mnt/topics/Many/q$i"; done
seq_lines 1 5 old >> "$mnt/topics/Anew/q0"
stop_mqfs "$mnt"

start_broker m
deleted() { mqadmin deleteTopic -c DefaultCluster -t Anew | grep success; }
eventually 60 deleted
rocketmq <<END
topic 127.0.0.1:${port[m]} Anew 1
batch Anew 0 3 anew
batch Many 7 2 more
END
stop_broker m

start_mqfs "$work/m" "$mnt" -o "$mqfs_small"
want "$(seq_lines 1 3 anew)" "$(cat "$mnt/topics/Anew/q0")" "the topic that was made anew"
want "$(echo 'many 7'; seq_lines 1 2 more)" "$(cat "$mnt/topics/Many/q7")" "a queue that RocketMQ has appended to"
stop_mqfs "$mnt"
sound_store m
