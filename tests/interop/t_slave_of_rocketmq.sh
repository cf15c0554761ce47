#!/bin/bash
# An mqfs slave is a RocketMQ master a moment ago, from its first message on, through
# restarts of both; so is one that comes later.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

first=$work/first late=$work/late
start_namesrv
start_broker m
options=role=slave,master=127.0.0.1:$((port[m] + 1)),haListen=none,haSendHeartbeatInterval=300,$mqfs_small
long=$(printf '%01000d' 7)
packed=$(seq -s, 3000)

start_mqfs "$work/s" "$first" -o "$options"		# before there is anything
rocketmq <<END
topic 127.0.0.1:${port[m]} Orders 4
topic 127.0.0.1:${port[m]} Events 2
send Orders 0 TagA k1 - hello rückét
send Orders 1 - - - without anything
send Orders 2 TagB k1 1 later
send Events 0 TagA - - another topic
send Events 0 - - - $packed
batch Orders 3 20 batched
$(for _ in $(seq 8); do echo "batch Events 1 25 $long"; done)
topic 127.0.0.1:${port[m]} Sure 1
transaction Sure all or nothing
consume G Orders TagB 1
consume G2 Sure * 1
END
eventually 20 same_log m s
[ "$(find "$work/s/commitlog" -type f | wc -l)" -gt 3 ]

# What was sent is what is read.
want 'hello rückét' "$(cat "$first/topics/Orders/q0")" "with tag and key"
want 'without anything' "$(cat "$first/topics/Orders/q1")" "without"
want later "$(cat "$first/topics/Orders/q2")" "the delayed one, delivered"
want "$(seq_lines 1 20 batched)" "$(cat "$first/topics/Orders/q3")" "a batch"
want "$(echo another topic; echo "$packed")" "$(cat "$first/topics/Events/q0")" "compressed by the client"
want 'all or nothing' "$(cat "$first/topics/Sure/q0")" "a transaction's"
many=$(for _ in $(seq 8); do seq_lines 1 25 "$long"; done)
want "$many" "$(cat "$first/topics/Events/q1")" "several segments"
for queue in q0 q2; do
	grep -q '"tags":"Tag[AB]","keys":"k1"' "$first/topics/Orders/$queue:format=json"
done

# Both sides die, and come back.
kill_mqfs "$first"
rocketmq <<< "batch Orders 1 20 $long"
start_mqfs "$work/s" "$first" -o "$options"
eventually 20 same_log m s
kill_broker m
start_broker m
rocketmq <<< "batch Orders 1 20 after its death"
eventually 20 same_log m s

# Its SYNC_MASTER waits for the slave, and has none when that is gone.
stop_broker m
start_broker m brokerRole=SYNC_MASTER
follows() { grep -qx transfer "$first/status/replication/master/state"; }
eventually 20 follows
rocketmq <<< "send Orders 1 - - - waited for"
want SEND_OK "$(answer 1 | cut -d ' ' -f 1)" "a synchronous message"
want 'waited for' "$(tail -n 1 "$first/topics/Orders/q1")" "the slave has it by then"
kill_mqfs "$first"
rocketmq <<< "send Orders 1 - - - not waited for"
want SLAVE_NOT_AVAILABLE "$(answer 1 | cut -d ' ' -f 1)" "without a slave"
start_mqfs "$work/s" "$first" -o "$options"
eventually 20 same_log m s

# Another one has all of it.
start_mqfs "$work/l" "$late" -o "$options"
eventually 20 same_log m l
for queue in Orders/q{0,1,2,3} Events/q{0,1}; do
	eventually 5 cmp "$first/topics/$queue" "$late/topics/$queue"
done

for mount in "$first" "$late"; do stop_mqfs "$mount"; done
sound_store s l
