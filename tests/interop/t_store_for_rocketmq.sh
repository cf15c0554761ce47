#!/bin/bash
# RocketMQ opens what mqfs wrote, a snapshot or a stopped store: its consumers get every message,
# from where their group was; and mqfs goes on with what RocketMQ has added.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

options=brokerIP1=127.0.0.1,defaultTopicQueueNums=4,$mqfs_small
long=$(printf '%01000d' 7)
q=$mnt/topics/Orders

start_mqfs "$work/store" "$mnt" -o "$options"
mkdir "$q"
seq_lines 1 200 "$long" >> "$q/q0"
echo '{"body":"hello rocket","tags":"TagA","keys":"k1"}' >> "$q/q1:format=json"
echo '{"body":"another tag","tags":"TagB","keys":"k1 k2"}' >> "$q/q1:format=json"
mkdir -p "$mnt/groups/G/Orders"
echo 150 > "$mnt/groups/G/Orders/q0.offset"
echo 1 > "$mnt/groups/G/Orders/q1.offset"
mkdir "$mnt/.snapshots/s"
cp -a "$mnt/.snapshots/s" "$work/copy"
stop_mqfs "$mnt"
start_namesrv

# A snapshot has RocketMQ's tables, too.
start_broker copy
rocketmq <<END
consume G Orders * 51
consume Another Orders TagA 1
query Orders k1
consume All Orders * 202
END
want "$(printf '%06d\n' {150..199})" "$(answer 1 | sed '$d' | cut -d ' ' -f 3)" "from the committed offset on"
want "Orders 1 000001 TagB k1,k2 another tag" "$(answer 1 | tail -n 1)" "and in the other queue"
want "Orders 1 000000 TagA k1 hello rocket" "$(answer 2)" "by tag"
want "$(printf '%s\n' 'hello rocket' 'another tag')" "$(bodies 3)" "by key"
want "$(seq_lines 1 200 "$long"; echo hello rocket; echo another tag)" "$(bodies 4)" "all of it"

# What RocketMQ adds, mqfs has.
rocketmq <<< "send Orders 0 - - - from RocketMQ"
want "SEND_OK 0 200" "$(answer 1)" "it goes on where mqfs was"
stop_broker copy
start_mqfs "$work/copy" "$mnt" -o "$options"
want 'from RocketMQ' "$(tail -n 1 "$q/q0")" "RocketMQ's"
echo 'from mqfs' >> "$q/q0"
stop_mqfs "$mnt"
start_broker copy
rocketmq <<< "consume All Orders * 2"
want "$(printf '%s\n' 'from RocketMQ' 'from mqfs')" "$(bodies 1)" "both go on"
stop_broker copy

# A store as mqfs leaves it has them as well.
start_broker store
rocketmq <<END
consume G Orders * 51
consume All Orders * 202
END
want "$(printf '%06d\n' {150..199})" "$(answer 1 | sed '$d' | cut -d ' ' -f 3)" "from the committed offset on"
want "$(seq_lines 1 200 "$long"; echo hello rocket; echo another tag)" "$(bodies 2)" "all of the store"
