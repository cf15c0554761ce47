#!/bin/bash
# An mqfs slave is a RocketMQ master a moment ago: log, topics, groups and offsets, from the first
# message on and through restarts of both; what is committed at the slave the master knows, too.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq
java_command+=("$tls_too")

first=$work/first late=$work/late
start_namesrv
start_broker m
master=127.0.0.1:${port[m]}
options=role=slave,master=127.0.0.1:$((port[m] + 1)),haListen=none,haSendHeartbeatInterval=300,$mqfs_small
long=$(printf '%01000d' 7)
packed=$(seq -s, 3000)

# is_same STORE MNT   its log, and readers see all of it
is_same() { same_log m "$1" && [ "$(cat "$2/status/dispatched")" = "$(cat "$2/status/written")" ]; }

start_mqfs "$work/s" "$first" -o "$options"		# before there is anything
rocketmq <<END
topic $master Orders 4
topic $master Events 2
topic $master Sure 1
topic $master Empty 3
send Orders 0 TagA k1 - hello rückét
send Orders 1 - - - without anything
send Orders 2 TagB k1 1 later
send Events 0 TagA - - another topic
send Events 0 - - - $packed
batch Orders 3 20 batched
$(for _ in $(seq 8); do echo "batch Events 1 25 $long"; done)
transaction Sure all or nothing
consume G Orders TagB 1
consume G2 Sure * 1
END
eventually 60 is_same s "$first"
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

# Topics, groups, offsets: asked for, and told.
sure=$first/groups/G2/Sure
committed() { [ "$(cat "$sure/q0.offset")" = "$1" ]; }
master_knows() { rocketmq <<< "offsets G2 Sure" && [ "$(answer 1)" = "0 $1 $1" ]; }
eventually 60 committed 1
want "q0 q1 q2" "$(cd "$first/topics/Empty" && echo q?)" "a topic that has had no message"
rocketmq <<< "send Sure 0 - - - for the slave's consumer"
eventually 60 is_same s "$first"
want "for the slave's consumer" "$(cat <> "$sure/q0")" "consumed here"
eventually 60 master_knows 2

# Both sides die, and come back.
kill_mqfs "$first"
rocketmq <<< "batch Orders 1 20 $long"
start_mqfs "$work/s" "$first" -o "$options"
eventually 60 is_same s "$first"
rocketmq <<< "send Sure 0 - - - consumed while the master is away"
eventually 60 is_same s "$first"
kill_broker m
want "consumed while the master is away" "$(cat <> "$sure/q0")" "consumed without the master"
start_broker m
rocketmq <<< "batch Orders 1 20 after its death"
eventually 60 is_same s "$first"
eventually 60 master_knows 3
want 3 "$(cat "$sure/q0.offset")" "no way back"

# Its SYNC_MASTER waits for the slave, and has none when that is gone.
stop_broker m
state_is() { grep -qx "$1" "$first/status/replication/master/state"; }
not_followed() { ! state_is transfer; }
eventually 60 not_followed
start_broker m brokerRole=SYNC_MASTER inSyncReplicas=2	# 5.x waits for nobody by default
eventually 60 state_is transfer
rocketmq <<< "send Orders 1 - - - waited for"
want SEND_OK "$(answer 1 | cut -d ' ' -f 1)" "a synchronous message"
same_log m s || fail "the slave does not have it when it is acknowledged"
kill_mqfs "$first"
nobody=SLAVE_NOT_AVAILABLE
if [ "$rocketmq_version" = "$newest" ]; then nobody=FLUSH_SLAVE_TIMEOUT; fi	# 5.x does not look who is there
has_none() {			# a moment after the slave's death
	rocketmq <<-END
		set $master slaveTimeout 1000
		send Orders 1 - - - not waited for
	END
	[ "$(answer 2 | cut -d ' ' -f 1)" = "$nobody" ]
}
eventually 60 has_none
start_mqfs "$work/s" "$first" -o "$options"
eventually 60 is_same s "$first"

# Who comes late has all that the master still has.
stop_broker m
rm "$work/m/commitlog/00000000000000000000"
start_broker m
start_mqfs "$work/l" "$late" -o "$options"
eventually 60 is_same l "$late"
for queue in Orders/q1 Events/q1; do
	kept=$(wc -l < "$late/topics/$queue")
	[ "$kept" -gt 20 ]
	want "$(tail -n "$kept" "$first/topics/$queue" | md5sum)" "$(md5sum < "$late/topics/$queue")" "late, $queue"
done

for mount in "$first" "$late"; do stop_mqfs "$mount"; done
sound_store s l
