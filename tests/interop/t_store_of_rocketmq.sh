#!/bin/bash
# mqfs mounts the store of a RocketMQ broker that was stopped, or killed: its topics, messages,
# groups and offsets; read-only it changes nothing.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

long=$(printf '%01000d' 7)
packed=$(seq -s, 3000)
timed=
if [ "$rocketmq_version" = "$newest" ]; then timed='timed Orders 7200 in the wheel'; fi
start_namesrv
start_broker m
rocketmq <<END
topic 127.0.0.1:${port[m]} Orders 4
topic 127.0.0.1:${port[m]} Empty 3
send Orders 0 TagA k1 - hello rocket
send Orders 1 - - - $packed
send Orders 2 TagB k1 1 later
$(for _ in $(seq 8); do echo "batch Orders 3 25 $long"; done)
consume G Orders * 203
send Orders 0 - - - not yet consumed
send Orders 0 - - 18 in two hours
half Orders half of a transaction
${timed:-offsets G Orders}
END
stop_broker m

# as_it_was WHAT
as_it_was() {
	local t=$mnt/topics g=$mnt/groups/G/Orders
	want "Empty Orders" "$(cd "$t" && echo Empty* Orders*)" "$1: topics"
	want "q0 q1 q2" "$(cd "$t/Empty" && echo q?)" "$1: queues"
	want "$(printf '%s\n' 'hello rocket' 'not yet consumed')" "$(cat "$t/Orders/q0")" "$1: sent one by one"
	want "$packed" "$(cat "$t/Orders/q1")" "$1: compressed by the client"
	want later "$(cat "$t/Orders/q2")" "$1: delayed"
	want "$(for _ in $(seq 8); do seq_lines 1 25 "$long"; done)" "$(cat "$t/Orders/q3")" "$1: batches"
	want "1 1 1 0 200" "$(cat "$g/q0.offset" "$g/q0.lag" "$g/q1.offset" "$g/q2.lag" "$g/q3.offset" | xargs)" \
		"$1: offsets"
	want 'not yet consumed' "$(cat "$g/q0")" "$1: where the group is"
	grep -q '"packed":"zlib"' "$t/Orders/q1:format=json"
	want 'in two hours' "$(cat "$mnt/messages/$waits")" "$1: one that waits for its time, by UNIQ_KEY"
	want 'half of a transaction' "$(cat "$mnt/messages/$half")" "$1: one that waits for the end of its transaction"
	if [ -z "$timed" ]; then return; fi
	want 'in the wheel' "$(cat "$mnt/messages/$in_wheel")" "$1: one that waits in the timer wheel"
	want 1 "$(cat "$mnt/status/timer_wheel_waiting")" "$1: what mqfs does not deliver"
}

cp -a "$work/m" "$work/before"
# key_of TOPIC BODY   UNIQ_KEY of the message that waits there; a half is stored again when it is asked about
key_of() { mqdump -j -t "$1" "$work/m" | grep "$2" | sed 's/.*"UNIQ_KEY":"\([^"]*\)".*/\1/' | sort -u; }
waits=$(key_of SCHEDULE_TOPIC_XXXX 'in two hours')
half=$(key_of RMQ_SYS_TRANS_HALF_TOPIC 'half of a transaction')
if [ -n "$timed" ]; then in_wheel=$(key_of rmq_sys_wheel_timer 'in the wheel'); fi
start_mqfs "$work/m" "$mnt" -o "ro,$mqfs_small"
as_it_was "read-only"
stop_mqfs "$mnt"
diff -r "$work/before" "$work/m" >&9 || fail "a read-only mount has changed it"

start_mqfs "$work/m" "$mnt" -o "$mqfs_small"
as_it_was "read-write"
echo 'from mqfs' >> "$mnt/topics/Orders/q1"
want 'not yet consumed' "$(cat <> "$mnt/groups/G/Orders/q0")" "consumed"
stop_mqfs "$mnt"
sound_store m

# After kill -9, what its log has is there.
start_broker m
rocketmq <<END
consume G Orders * 1
send Orders 1 - - - the last one
END
want 'from mqfs' "$(bodies 1)" "RocketMQ knows what was consumed here"
kill_broker m
start_mqfs "$work/m" "$mnt" -o "$mqfs_small"
want "$(printf '%s\n' "$packed" 'from mqfs' 'the last one')" "$(cat "$mnt/topics/Orders/q1")" "after kill -9"
stop_mqfs "$mnt"
